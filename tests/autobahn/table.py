"""table.py REPORTS: prints what the suite found in the four runs there, as a table that can be committed: one row a section, one column a run.

Exits with 1, and prints nothing, if one of them is missing or is not whole.
"""

import collections
import datetime
import json
import pathlib
import sys

SECTIONS = {
    "1": "framing", "2": "pings and pongs", "3": "reserved bits", "4": "opcodes", "5": "fragmentation", "6": "UTF-8", "7": "closing",
    "9": "limits, performance", "10": "miscellaneous", "12": "compression, sizes", "13": "compression, parameters",
}
CASES = 517
HEAD = """# Conformance

What the [Autobahn Testsuite](https://github.com/crossbario/autobahn-testsuite) 25.10.1 says of ws101, with all of its {cases} cases and permessage-deflate on:
our server against its client, our client against its server, each blocking and event-driven. Run of {date}. OK: as the RFC wants it, the close included.
INFORMATIONAL: the suite only tells what happened, and asks for nothing. NON-STRICT, UNIMPLEMENTED and FAILED would be failures, and would stand here.

`scripts/conformance` makes this page again. It builds the programs, fetches the suite (which needs a Python 2.7: `PYTHON27` says where), and takes an hour
or two, most of which the suite's own zlib needs. `scripts/conformance server loop` does one column and writes nothing. Every case has its own page in
`tests/autobahn/reports/`; `scripts/test` runs the cases that are not about compression every time, and some of the others.
"""
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
        try:
            (runs[run],) = json.loads(path.read_text()).values()
        except (OSError, ValueError) as error:
            sys.exit(f"table: no report of {run}: {error}")
        if len(runs[run]) != CASES:
            sys.exit(f"table: {len(runs[run])} cases of {run}, expected {CASES}")
    print(HEAD.format(cases=CASES, date=datetime.date.fromtimestamp(path.stat().st_mtime)))
    print("| section | " + " | ".join(run.replace("-", ", ") for run in runs) + " |")
    print("| --- |" + " --- |" * len(runs))
    for section, name in SECTIONS.items():
        print(f"| {section} {name} | " + " | ".join(shown(counts(cases, section)) for cases in runs.values()) + " |")
    print("| **all** | " + " | ".join(f"**{len(cases)} cases**" for cases in runs.values()) + " |")


if __name__ == "__main__":
    main()
