"""summary.py REPORTS [--expect N]: counts the results of a run and names every case that did not pass.

Strict: only OK and INFORMATIONAL pass, in the behaviour and in the close; NON-STRICT does not. N cases must be there, not one fewer and not
one more (0 = any number but none). Exits with 0 or 1.
"""

import argparse
import collections
import json
import pathlib
import sys

PASSES = {"OK", "INFORMATIONAL"}


def order(case):
    return [int(part) for part in case.split(".")]


def faults(cases):
    """What is wrong with which case."""
    for case in sorted(cases, key=order):
        result = cases[case]
        for part in ("behavior", "behaviorClose"):
            if result.get(part) not in PASSES:
                yield f"{case}: {part} {result.get(part)}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("reports", type=pathlib.Path)
    parser.add_argument("--expect", type=int, default=0)
    arguments = parser.parse_args()
    try:
        index = json.loads((arguments.reports / "index.json").read_text())
    except (OSError, ValueError) as error:
        print(f"autobahn: no report: {error}")
        return 1
    if len(index) != 1:
        print(f"autobahn: {len(index)} agents in the report, expected one")
        return 1
    (agent, cases), = index.items()
    counts = collections.Counter(result.get("behavior") for result in cases.values())
    wrong = list(faults(cases))
    for line in wrong:
        print(f"autobahn: {line}")
    complete = len(cases) == arguments.expect if arguments.expect else len(cases) > 0
    if not complete:
        print(f"autobahn: {len(cases)} cases, expected {arguments.expect or 'at least one'}")
    seconds = sum(result.get("duration", 0) for result in cases.values()) / 1000
    parts = ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=str))
    print(f"summary: {agent}: {len(cases)} cases in {seconds:.0f} s: {parts}")
    return 0 if complete and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
