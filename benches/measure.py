"""Runs the benchmark clients and prints what a message costs each of them; scripts/bench builds them and calls this.

Two kinds of figures. Instructions in user space (callgrind) and system calls (strace) do not depend on what else the machine does: each is the
difference between a run of 2n messages and one of n, divided by n, so that start, handshake and end are not in it. Processor time (getrusage of the
client, which shares one core with the peer) does depend on it: it is the median of interleaved rounds, with the quartiles, and as a ratio to the bare
client of the same round.
"""

import argparse
import collections
import datetime
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent
RESULTS = TOP / "benches" / "RESULTS.md"
LIMIT_S = 120  # of one run: a client that hangs must not hold up the rest

Scenario = collections.namedtuple("Scenario", "name title mode size counted timed shall aim")
# `counted` is n under callgrind and strace, `timed` the number of messages of a timed run. `shall` is (instructions, system calls).
SCENARIOS = [
    Scenario("pingpong-16", "ping-pong 16 B", "pingpong", 16, 2000, 20000, (900, 2), "1.05 × bare"),
    Scenario("receive-128", "receive a stream of 128 B", "receive", 128, 50000, 2000000, (300, None), "60 ns"),
    Scenario("send-128", "send 128 B", "send", 128, 4000, 60000, (450, 1), "1.12 × bare"),
    Scenario("receive-64k", "receive 64 KiB", "receive", 65536, 2000, 8000, (900, 1), "1.08 × bare"),
    Scenario("send-64k", "send 64 KiB", "send", 65536, 500, 8000, (9000, 1), "1.12 × bare"),
    Scenario("receive-1m", "receive 1 MiB", "receive", 1 << 20, 200, 500, (None, None), "1.08 × bare"),
    Scenario("send-1m", "send 1 MiB", "send", 1 << 20, 100, 500, (None, None), "1.12 × bare"),
]
IDLE = Scenario("idle", "idle connection", "idle", 16, 1000, 1000, (None, None), "1,024 B")
CLIENTS = {"ws101": "ws101", "bare": "bare sockets", "tungstenite": "tungstenite", "beast": "Boost.Beast", "wslay": "wslay",
           "libwebsockets": "libwebsockets"}
# These take so long that a tenth of the messages is enough.
SLOW = {("libwebsockets", "receive"), ("libwebsockets", "send"), ("wslay", "send")}


def share(count, client, scenario):
    return count // (10 if (client, scenario.mode) in SLOW else 1)


class Failed(Exception):
    """A client or the peer did not do what it should have."""


class Runner:
    """Runs a client of `place` against a peer of its own."""

    def __init__(self, place, scratch):
        self.place, self.scratch = pathlib.Path(place), pathlib.Path(scratch)
        self.core = str(max(os.sched_getaffinity(0)))

    def run(self, client, scenario, count, prefix=(), pinned=False):
        """What the client printed; fails if either side says that something was wrong."""
        pin = ["taskset", "-c", self.core] if pinned else []
        peer = subprocess.Popen(pin + [self.place / "peer"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            port = peer.stdout.readline().strip()
            command = pin + list(prefix) + [self.place / client, port, scenario.mode, str(scenario.size), str(count)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
            if done.returncode != 0:
                raise Failed(f"{client}, {scenario.name}: status {done.returncode}: {done.stderr.strip()[-300:]}")
            if scenario.mode != "idle" and peer.wait(timeout=10) != 0:
                raise Failed(f"{client}, {scenario.name}: {peer.stderr.read().strip()}")
            return done.stdout.split()
        except subprocess.TimeoutExpired as expired:
            raise Failed(f"{client}, {scenario.name}: not finished after {expired.timeout} s") from None
        finally:
            peer.kill()
            peer.communicate()

    def instructions(self, client, scenario, count):
        out = self.scratch / "callgrind.out"
        prefix = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--log-file=/dev/null"]
        self.run(client, scenario, count, prefix)
        return int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)[1])

    def system_calls(self, client, scenario, count):
        out = self.scratch / "strace.out"
        self.run(client, scenario, count, ["strace", "-f", "-c", "-o", out])
        total = out.read_text().splitlines()[-1].split()
        if total[-1] != "total":
            raise Failed(f"strace said no total: {total}")
        return int(total[-2] if len(total) == 5 else total[3])

    def each(self, what, client, scenario, count, repeats):
        """Of one message: the median over `repeats` differences."""
        return statistics.median((what(client, scenario, 2 * count) - what(client, scenario, count)) / count for _ in range(repeats))


def count_all(runner, clients, scenarios, quick):
    """{(scenario, client): (instructions, system calls)}; None for a client that failed."""
    found = {}
    for scenario in scenarios:
        # How many reads a stream takes depends on when its bytes come.
        repeats = 3 if scenario.mode == "receive" and not quick else 1
        for client in clients:
            count = share(scenario.counted, client, scenario)
            try:
                found[scenario.name, client] = tuple(
                    runner.each(what, client, scenario, count, repeats) for what in (runner.instructions, runner.system_calls))
            except Failed as failure:
                complain(failure)
                found[scenario.name, client] = None
            progress(f"{scenario.title}, {CLIENTS[client]}: {cost(found[scenario.name, client])}")
    return found


def time_all(runner, clients, scenarios, rounds):
    """{(scenario, client): [nanoseconds of a message in each round]}"""
    found = collections.defaultdict(list)
    for scenario in scenarios:
        failed = set()
        for turn in range(rounds):
            # Another one begins each time, so that nobody always runs behind the same neighbour.
            for client in clients[turn % len(clients):] + clients[:turn % len(clients)]:
                if client in failed:
                    continue
                count = share(scenario.timed, client, scenario)
                try:
                    cpu_ns, _ = runner.run(client, scenario, count, pinned=True)
                    found[scenario.name, client].append(int(cpu_ns) / count)
                except Failed as failure:
                    complain(failure)
                    failed.add(client)
                    found.pop((scenario.name, client), None)
        progress(f"{scenario.title}: {rounds} rounds timed")
    return found


def measure_idle(runner, clients):
    found = {}
    for client in clients:
        try:
            found[client] = int(runner.run(client, IDLE, IDLE.counted)[0])
        except Failed as failure:
            complain(failure)
    return found


# ---- how figures are written ----------------------------------------------------------------------------------------------------------------------


def number(value):
    """Three digits that count, with separators: 1,595; 2; 0.41."""
    if value is None:
        return "–"
    if abs(value) >= 100 or abs(value - round(value)) < 0.005:
        return f"{value:,.0f}" if abs(value) >= 0.5 or abs(value) < 0.0005 else f"{value:.3f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def cost(pair):
    return "failed" if pair is None else " / ".join(number(value) for value in pair)


def wanted(shall):
    return " / ".join(f"≤ {number(value)}" for value in shall if value is not None) or "–"


def met(pair, shall):
    if pair is None or shall == (None, None):
        return "–"
    # A hundredth of a call more is one that was made once a run.
    return "yes" if all(limit is None or value <= limit + 0.01 for value, limit in zip(pair, shall)) else "no"


def spread(values):
    """Median and quartiles."""
    if len(values) < 2:
        return number(values[0]) if values else "–"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{number(middle)} ({number(low)}–{number(high)})"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def count_table(found, clients, scenarios):
    others = [client for client in clients if client != "ws101"]
    head = ["a message: instructions / system calls"] + [CLIENTS[client] for client in others] + ["ws101", "ws101 shall", "met"]
    rows = []
    for scenario in scenarios:
        ours = found.get((scenario.name, "ws101"))
        cells = [cost(found[scenario.name, client]) for client in others]
        rows.append([scenario.title, *cells, cost(ours) if "ws101" in clients else "–", wanted(scenario.shall), met(ours, scenario.shall)])
    return table(head, rows)


def time_table(found, clients, scenarios):
    rows = []
    for scenario in scenarios:
        times = {client: found[scenario.name, client] for client in clients if (scenario.name, client) in found}
        rows.append([scenario.title] + [spread(times.get(client, [])) for client in clients] + [scenario.aim])
    return table(["processor time of a message, ns"] + [CLIENTS[client] for client in clients] + ["aim"], rows)


def ratio_table(found, clients, scenarios):
    """How many times as long as the bare client of the same round."""
    others = [client for client in clients if client != "bare"]
    rows = []
    for scenario in scenarios:
        bare = found.get((scenario.name, "bare"), [])
        ratios = [[time / base for time, base in zip(found.get((scenario.name, client), []), bare)] for client in others]
        rows.append([scenario.title] + [spread(values) for values in ratios] + [scenario.aim])
    return table(["processor time as a multiple of bare sockets'"] + [CLIENTS[client] for client in others] + ["aim"], rows)


def idle_table(found, clients):
    row = ["memory of an idle connection, bytes"] + [number(found.get(client)) for client in clients] + [f"≤ {IDLE.aim}"]
    return table([""] + [CLIENTS[client] for client in clients] + ["aim"], [row])


# ---- the report -----------------------------------------------------------------------------------------------------------------------------------


def said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=TOP).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def versions(clients):
    lock = (TOP / "benches/rivals/tungstenite/Cargo.lock").read_text()
    package = {"beast": "libboost-dev", "wslay": "libwslay-dev", "libwebsockets": "libwebsockets-dev"}
    found = {"tungstenite": re.search(r'name = "tungstenite"\nversion = "([^"]+)"', lock)[1]}
    for client, name in package.items():
        found[client] = re.sub(r"[-+].*", "", said("dpkg-query", "-W", "-f", "${Version}", name))
    return ", ".join(f"{CLIENTS[client]} {found[client]}" for client in clients if client in found)


def machine():
    """In general words: what a reader needs in order to compare."""
    is_virtual = "hypervisor" in pathlib.Path("/proc/cpuinfo").read_text()
    kernel = ".".join(os.uname().release.split(".")[:2])
    compilers = f"{said('rustc', '--version').rsplit(' (', 1)[0]}, gcc {said('cc', '-dumpfullversion')}, {said('valgrind', '--version')}"
    return f"{os.cpu_count()}-core {'virtual machine' if is_virtual else 'machine'} ({os.uname().machine}), Linux {kernel}, {compilers}"


def report(arguments, clients, tables):
    commit = said("git", "rev-parse", "--short", "HEAD")
    version = re.search(r'^version = "(.+)"', (TOP / "Cargo.toml").read_text(), re.MULTILINE)[1]
    missing = [CLIENTS[client] for client in CLIENTS if client not in clients]
    lines = [
        "# What a message costs", "",
        f"Made by `scripts/bench{' --quick --write' if arguments.quick else ''}` on {datetime.date.today().isoformat()}: {machine()}. ws101 {version} (commit {commit}), shared library as it ships;",
        f"{versions(clients)}." + (f" Not measured: {', '.join(missing)}." if missing else ""), "",
        "Every client talks to the same peer over the loopback, without TLS and compression; the last message of a run is compared. What each client",
        "does is in [README.md](README.md).", "",
        "## Instructions in user space, and system calls", "",
        "By `valgrind --tool=callgrind` and `strace -f -c`, (run of 2n messages − run of n) / n: what else the machine does is not in it. Callgrind counts",
        "`rep movsb` and `rep stosb`, which libc uses for large copies, as one instruction a byte, and shows programs a processor with AVX2.", "",
        tables["count"], "",
        "## Processor time", "",
        f"User and system time of the client alone, with client and peer on one core: median and quartiles of {arguments.rounds} interleaved rounds.",
        "Differences below 15 % are no finding.", "",
        tables["time"], "",
        tables["ratio"], "",
        "## Memory", "",
        f"Growth of the resident memory over {number(IDLE.counted)} connections, each after one message either way, with nobody inside a call. The kernel's",
        "own memory for a socket is not in it.", "",
        tables["idle"], "",
    ]
    return "\n".join(lines)


def complain(failure):
    print(f"failed: {failure}", file=sys.stderr, flush=True)
    complain.count += 1


complain.count = 0


def progress(line):
    print(f"  {line}", file=sys.stderr, flush=True)


def chosen(names):
    """The clients and scenarios among the names; all of a kind of which none is named. Bare sockets always run: ratios need them."""
    known = list(CLIENTS) + [scenario.name for scenario in SCENARIOS] + ["idle"]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no client or scenario is called {unknown[0]}; scripts/bench --list names them")
    clients = [client for client in CLIENTS if client in names or client == "bare"] if set(names) & set(CLIENTS) else list(CLIENTS)
    is_named = bool(set(names) - set(CLIENTS))
    scenarios = [scenario for scenario in SCENARIOS if scenario.name in names or not is_named]
    return clients, scenarios, "idle" in names or not is_named


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", add_help=False)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--clients")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("clients: ", *CLIENTS, "\nscenarios: ", *(scenario.name for scenario in SCENARIOS), "idle")
        return
    clients, scenarios, with_idle = chosen(arguments.names)
    clients = [client for client in clients if (pathlib.Path(arguments.clients) / client).exists()]
    if arguments.quick:
        scenarios = [scenario._replace(counted=scenario.counted // 2, timed=scenario.timed // 4) for scenario in scenarios]
    arguments.rounds = 3 if arguments.quick else 11
    tables = {}
    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(arguments.clients, scratch)
        if scenarios:
            tables["count"] = count_table(count_all(runner, clients, scenarios, arguments.quick), clients, scenarios)
            times = time_all(runner, clients, scenarios, arguments.rounds)
            tables["time"], tables["ratio"] = time_table(times, clients, scenarios), ratio_table(times, clients, scenarios)
        if with_idle:
            tables["idle"] = idle_table(measure_idle(runner, clients), clients)
    print("\n\n".join(tables.values()))
    if (arguments.write or not arguments.quick) and not arguments.names and complain.count == 0:
        RESULTS.write_text(report(arguments, clients, tables))
        print(f"\nwritten to {RESULTS.relative_to(TOP)}")
    sys.exit(complain.count != 0)


if __name__ == "__main__":
    main()
