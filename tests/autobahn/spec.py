"""spec.py fuzzingclient|fuzzingserver URL REPORTS CASES EXCLUDED: prints the suite's configuration for one run."""

import json
import sys

mode, url, reports, cases, excluded = sys.argv[1:]
# failByDrop False: whoever ends TCP first is judged by the close frames, not by the order of FINs.
spec = {
    "outdir": reports,
    "cases": cases.split(),
    "exclude-cases": excluded.split(),
    "exclude-agent-cases": {},
    "options": {"failByDrop": False},
}
if mode == "fuzzingclient":
    spec["servers"] = [{"agent": "ws101", "url": url, "options": {"version": 18}}]
else:
    spec["url"] = url
    spec["webport"] = 0
json.dump(spec, sys.stdout, indent=1)
