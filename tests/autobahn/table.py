"""table.py REPORTS: prints what the suite found in every run there, as a table that can be committed: one row a section, one column a run."""

import collections
import datetime
import json
import pathlib
import sys

SECTIONS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation", "6": "UTF-8", "7": "closing",
    "9": "limits, performance", "10": "miscellaneous", "12": "compression, sizes", "13": "compression, parameters",
}
RUNS = ["server-blocking", "client-blocking", "server-loop", "client-loop"]


def counts(cases, section):
    """How many cases of a section came out how, in the suite's words; the close counts too."""
    found = collections.Counter()
    for case, result in cases.items():
        if case.split(".")[0] == section:
            worse = [part for part in (result["behavior"], result["behaviorClose"]) if part not in ("OK", "INFORMATIONAL")]
            found[worse[0] if worse else result["behavior"]] += 1
    return found


def shown(found):
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items())) or "–"


def main():
    runs = {}
    for run in RUNS:
        path = pathlib.Path(sys.argv[1]) / run / "index.json"
        if path.exists():
            (runs[run],) = json.loads(path.read_text()).values()
    print("# Conformance\n")
    print("What the [Autobahn Testsuite](https://github.com/crossbario/autobahn-testsuite) 25.10.1 found, with compression on. `scripts/conformance`")
    print(f"repeats it. This run: {datetime.date.today()}. INFORMATIONAL: the suite only tells what happened, and asks for nothing.\n")
    print("| section | " + " | ".join(run.replace("-", ", ") for run in runs) + " |")
    print("| --- |" + " --- |" * len(runs))
    for section, name in SECTIONS.items():
        print(f"| {section} {name} | " + " | ".join(shown(counts(cases, section)) for cases in runs.values()) + " |")
    print("| **all** | " + " | ".join(f"**{len(cases)} cases**" for cases in runs.values()) + " |")


if __name__ == "__main__":
    main()
