"""Runs the servers of this bench under the load and the event-driven clients, and prints what each costs; scripts/bench-event-loop builds them and calls this.

The server has one core and the load the other. Instructions in user space (callgrind) and system calls (strace) of the server are differences between a
run of 2n messages and one of n, divided by n, so that start, handshakes and end are not in them. Processor time is what the scheduler counted for the
server's threads while n messages were under way: median and quartiles of interleaved rounds. Clients are measured as in ../measure.py.
"""

import argparse
import collections
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import resource
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import measure
from measure import Failed, machine, number, progress, said, spread, table

TOP = measure.TOP
RESULTS = HERE / "RESULTS.md"
LIMIT_S = 300  # of one run: a server that hangs must not hold up the rest

# `counted` is n under callgrind and strace, `timed` the number of messages of a timed run, `deliveries` how many the server sends for each of them.
Scenario = collections.namedtuple("Scenario", "name title mode connections depth size counted timed deliveries")
ECHOES = [
    Scenario("small-64x1", "16 B, 64 connections, 1 in flight", "echo", 64, 1, 16, 2000, 8000, 1),
    Scenario("small-8x64", "16 B, 8 connections, 64 in flight", "echo", 8, 64, 16, 10000, 100000, 1),
    Scenario("64k", "64 KiB, 8 connections, 1 in flight", "echo", 8, 1, 65536, 600, 1500, 1),
    Scenario("1m", "1 MiB, 4 connections, 1 in flight", "echo", 4, 1, 1 << 20, 150, 150, 1),
    Scenario("churn", "open, upgrade and close, 8 at a time", "churn", 8, 1, 0, 200, 1000, 1),
]
BROADCASTS = [
    Scenario("broadcast-128", "128 B to 1,000 connections", "broadcast", 1000, 1, 128, 20, 30, 1000),
    Scenario("broadcast-16k", "16 KiB to 1,000 connections", "broadcast", 1000, 1, 16384, 20, 20, 1000),
]
# Under callgrind these take so long that a tenth of the messages is enough.
SLOW = {"tokio-tungstenite"}
# libwebsockets hands every descriptor to poll for each event: ten thousand would take minutes.
FEWER_IDLE = {"libwebsockets": 1000}
IDLE = Scenario("idle", "memory of an idle connection", "idle", 10000, 1, 16, 0, 0, 1)
PINGPONG = Scenario("pingpong-16", "ping-pong 16 B", "pingpong", 1, 1, 16, 2000, 10000, 1)
SCENARIOS = ECHOES + BROADCASTS + [IDLE, PINGPONG]

TITLES = {"bare": "bare epoll", "ws101": "ws101, batches", "ws101-callbacks": "ws101, callbacks", "ws101-views": "ws101, views",
          "ws101-prepared": "ws101, ws_send_prepared", "ws101-sends": "ws101, ws_send", "tokio-tungstenite": "tokio-tungstenite",
          "fastwebsockets": "fastwebsockets", "tokio-websockets": "tokio-websockets", "libwebsockets": "libwebsockets", "beast": "Boost.Beast"}
ECHO_SERVERS = {"bare": ["bare"], "ws101": ["ws101", "batches"], "ws101-callbacks": ["ws101", "callbacks"], "tokio-tungstenite": ["tokio-tungstenite"],
                "fastwebsockets": ["fastwebsockets"], "tokio-websockets": ["tokio-websockets"], "libwebsockets": ["libwebsockets"], "beast": ["beast"]}
BROADCAST_SERVERS = {"bare": ["bare", "broadcast"], "ws101-prepared": ["ws101", "batches", "prepared"], "ws101-sends": ["ws101", "batches", "sends"],
                     "tokio-tungstenite": ["tokio-tungstenite", "broadcast"], "libwebsockets": ["libwebsockets", "broadcast"]}
# Programs that gather replies by hand, where there is anything to gather.
GATHERING = {"tokio-tungstenite": ["tokio-tungstenite", "gather"], "tokio-websockets": ["tokio-websockets", "gather"]}
GATHER = ECHOES[1]._replace(name="small-8x64-gathered", title="the same, gathered by the program")
CLIENTS = {"bare": ["bare_client"], "ws101": ["ws101_client", "batches"], "ws101-callbacks": ["ws101_client", "callbacks"],
           "ws101-views": ["ws101_client", "views"]}
AIMS = {("small-64x1", "count"): "≤ 733 / ≤ 3", ("small-8x64", "count"): "– / ≤ 0.05", ("idle", "idle"): "≤ 512", ("pingpong-16", "count"): "– / ≤ 3",
        ("pingpong-16", "ratio"): "≤ 1.15"}


def programs(scenario):
    """{name: command} of those that take part in it."""
    if scenario.mode == "broadcast":
        return BROADCAST_SERVERS
    if scenario.mode == "pingpong":
        return CLIENTS
    return GATHERING if scenario.name == GATHER.name else ECHO_SERVERS


def complain(failure):
    measure.complain(failure)
    complain.failures.append(failure)


complain.failures = []


class Runner:
    """Runs a server of `place` and the load, or a client and its peer."""

    def __init__(self, place, scratch):
        self.place, self.scratch = pathlib.Path(place), pathlib.Path(scratch)
        cores = sorted(os.sched_getaffinity(0))
        self.core, self.other = str(cores[-1]), str(cores[0])
        if len(cores) < 2:
            sys.exit("this needs two cores: one for the server, one for the load")

    def command(self, arguments):
        return [self.place / arguments[0], *arguments[1:]]

    def serve(self, arguments, scenario, count, prefix=(), looks_inside=True):
        """What the load printed."""
        command = [*(["taskset", "-c", self.core] if looks_inside else []), *prefix, *self.command(arguments)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        pid, load = server.pid, None
        try:
            port = server.stdout.readline().strip()
            if not port:
                raise Failed(f"{' '.join(arguments)} did not start: {server.stderr.read().strip()[-300:]}")
            if prefix and prefix[0] == "strace":
                # The server is strace's child.
                pid = int(pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
            words = [port, scenario.mode, scenario.connections, scenario.depth, scenario.size, count, pid if looks_inside else 0]
            load = subprocess.Popen([*(["taskset", "-c", self.other] if looks_inside else []), self.place / "load", *map(str, words)], stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            if not select.select([load.stdout], [], [], LIMIT_S)[0]:
                raise Failed(f"{' '.join(arguments)}, {scenario.name}: not finished after {LIMIT_S} s")
            if not (line := load.stdout.readline()):
                raise Failed(f"{' '.join(arguments)}, {scenario.name}: {load.stderr.read().strip()[-300:]}")
            return line.split()
        finally:
            # The server ends first, so that the end of its connections costs it nothing.
            if server.poll() is None:
                os.kill(pid, signal.SIGTERM)
            try:
                server.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.communicate()
            if load is not None:
                load.kill()
                load.communicate()

    def ping(self, arguments, scenario, count, prefix=()):
        """What the client printed. It shares its core with the peer, so that nobody pays for waking another core."""
        pin = ["taskset", "-c", self.core]
        peer = subprocess.Popen([*pin, self.place / "peer"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            words = self.command(arguments) + [peer.stdout.readline().strip(), scenario.mode, str(scenario.size), str(count)]
            done = subprocess.run([*pin, *prefix, *words], capture_output=True, text=True, timeout=LIMIT_S)
            if done.returncode != 0:
                raise Failed(f"{' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()[-300:]}")
            return done.stdout.split()
        except subprocess.TimeoutExpired as expired:
            raise Failed(f"{' '.join(arguments)}: not finished after {expired.timeout} s") from None
        finally:
            peer.kill()
            peer.communicate()

    def run(self, arguments, scenario, count, prefix=()):
        if scenario.mode == "pingpong":
            return self.ping(arguments, scenario, count, prefix)
        return self.serve(arguments, scenario, count, prefix, looks_inside=not prefix)

    def instructions(self, arguments, scenario, count):
        out = self.scratch / f"{'-'.join(arguments)}-{scenario.name}-{count}.callgrind"
        self.run(arguments, scenario, count, ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--log-file=/dev/null"])
        for _ in range(100):  # what was ended by a signal writes it on its way out
            if out.exists() and (found := re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.MULTILINE)):
                return int(found[1])
            time.sleep(0.1)
        raise Failed(f"{' '.join(arguments)}, {scenario.name}: callgrind wrote no total")

    def system_calls(self, arguments, scenario, count):
        out = self.scratch / f"{'-'.join(arguments)}-{scenario.name}-{count}.strace"
        self.run(arguments, scenario, count, ["strace", "-f", "-c", "-o", out])
        total = out.read_text().splitlines()[-1].split()
        if total[-1] != "total":
            raise Failed(f"strace said no total: {total}")
        return int(total[-2] if len(total) == 5 else total[3])

    def each(self, what, name, scenario, n):
        """Of one message that is sent."""
        arguments = programs(scenario)[name]
        return (what(arguments, scenario, 2 * n) - what(arguments, scenario, n)) / n / scenario.deliveries


def count_one(runner, name, scenario):
    """[instructions, system calls]; None for one that failed."""
    try:
        few = max(scenario.counted // 10, 1) if name in SLOW else scenario.counted
        pair = [runner.each(runner.instructions, name, scenario, few), runner.each(runner.system_calls, name, scenario, scenario.counted)]
    except Failed as failure:
        complain(failure)
        pair = None
    progress(f"{scenario.title}, {TITLES[name]}: {measure.cost(pair)}")
    return pair


def count_all(runner, names, scenarios):
    """{scenario: {program: what `count_one` says}}. Two at a time: counts hardly depend on what else the machine does."""
    found = collections.defaultdict(dict)
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        under_way = {(scenario.name, name): both.submit(count_one, runner, name, scenario)
                     for scenario in scenarios for name in programs(scenario) if name in names}
        for (scenario, name), counting in under_way.items():
            found[scenario][name] = counting.result()
    return found


def time_all(runner, names, scenarios, rounds, keep):
    """Gives `keep` {scenario: {program: [nanoseconds of a message in each round]}} after each round; nothing for one that failed."""
    found = {scenario.name: {name: [] for name in programs(scenario) if name in names} for scenario in scenarios}
    for turn in range(rounds):
        for scenario in scenarios:
            taking_part = list(found[scenario.name])
            # Another one begins each time, so that nobody always runs behind the same neighbour.
            first = turn % max(len(taking_part), 1)
            for name in taking_part[first:] + taking_part[:first]:
                try:
                    cpu_ns, _ = runner.run(programs(scenario)[name], scenario, scenario.timed)
                    found[scenario.name][name].append(int(cpu_ns) / scenario.timed / scenario.deliveries)
                except Failed as failure:
                    complain(failure)
                    del found[scenario.name][name]
        keep(found, turn + 1)
        progress(f"round {turn + 1} of {rounds} timed")


def measure_idle(runner, names):
    found = {}
    for name, arguments in ECHO_SERVERS.items():
        if name not in names:
            continue
        try:
            scenario = IDLE._replace(connections=FEWER_IDLE.get(name, IDLE.connections))
            found[name] = int(runner.serve(arguments, scenario, 0)[0])
            progress(f"{IDLE.title}, {TITLES[name]}: {number(found[name])}")
        except Failed as failure:
            complain(failure)
    return found


# ---- the report -----------------------------------------------------------------------------------------------------------------------------------


def with_gathered(scenarios):
    """Those that gather by hand stand below those that do not."""
    found = []
    for scenario in scenarios:
        found.append(scenario)
        if scenario.name == "small-8x64":
            found.append(GATHER._replace(counted=scenario.counted, timed=scenario.timed))
    return found


def columns(scenarios, data):
    """The programs of a group, in order; only those that were run."""
    run = {name for kind in ("count", "time") for scenario in scenarios for name in data[kind].get(scenario.name, {})}
    return [name for name in TITLES if name in run]


def count_table(data, scenarios):
    names = columns(scenarios, data)
    rows = []
    for scenario in scenarios:
        found = data["count"].get(scenario.name, {})
        rows.append([scenario.title] + [measure.cost(found[name]) if name in found else "–" for name in names] + [AIMS.get((scenario.name, "count"), "–")])
    return table(["instructions / system calls"] + [TITLES[name] for name in names] + ["aim"], rows)


def time_table(data, scenarios):
    """Nanoseconds of a message; large ones in seconds for 10^9 bytes that came and went back, which is nanoseconds of a byte."""
    names = columns(scenarios, data)
    rows = []
    for scenario in scenarios:
        is_large = scenario.mode == "echo" and scenario.size >= 65536
        values = {name: [value / scenario.size if is_large else value for value in list_] for name, list_ in data["time"].get(scenario.name, {}).items()}
        rows.append([scenario.title + (", s/GB" if is_large else ", ns")] + [spread(values.get(name, [])) for name in names])
    return table(["processor time"] + [TITLES[name] for name in names], rows)


def ratio_table(data, scenarios):
    """How many times as long as the bare program of the same round."""
    names = [name for name in columns(scenarios, data) if name != "bare"]
    rows = []
    for scenario in scenarios:
        found = data["time"].get(scenario.name, {})
        bare = data["time"].get("small-8x64" if scenario.name == GATHER.name else scenario.name, {}).get("bare", [])
        ratios = [[value / base for value, base in zip(found.get(name, []), bare)] for name in names]
        rows.append([scenario.title] + [spread(values) for values in ratios] + [AIMS.get((scenario.name, "ratio"), "–")])
    return table(["processor time as a multiple of the bare one's"] + [TITLES[name] for name in names] + ["aim"], rows)


def idle_table(data):
    names = [name for name in TITLES if name in data["idle"]]
    return table(["bytes"] + [TITLES[name] for name in names] + ["aim"],
                 [[IDLE.title] + [number(data["idle"][name]) for name in names] + [AIMS["idle", "idle"]]])


def tables(data):
    """{heading: [tables]} of what was measured."""
    found = {}
    for heading, scenarios in (("echo", with_gathered(ECHOES)), ("broadcast", BROADCASTS), ("client", [PINGPONG])):
        scenarios = [scenario for scenario in scenarios if scenario.name in data["count"] or scenario.name in data["time"]]
        if scenarios:
            found[heading] = [count_table(data, scenarios), time_table(data, scenarios), ratio_table(data, scenarios)]
    if data["idle"]:
        found["idle"] = [idle_table(data)]
    return found


def versions():
    lock = (HERE / "rivals/Cargo.lock").read_text()
    crates = [name + " " + re.search(f'name = "{name}"\nversion = "([^"]+)"', lock)[1]
              for name in ("tokio-tungstenite", "fastwebsockets", "tokio-websockets", "tokio")]
    packages = [title + " " + re.sub(r"[-+].*", "", said("dpkg-query", "-W", "-f", "${Version}", package))
                for title, package in (("libwebsockets", "libwebsockets-dev"), ("Boost.Beast", "libboost-dev"))]
    return ", ".join(crates + packages)


def library():
    """Which commit the library is of, as far as that can be told."""
    changed = " and changes that are not committed" if said("git", "status", "--porcelain", "--", "src", "Cargo.toml") else ""
    return said("git", "log", "-1", "--format=%h", "--", "src", "Cargo.toml", "Cargo.lock") + changed


def about(arguments, rounds):
    """What stands above the tables; made when the figures are."""
    version = re.search(r'^version = "(.+)"', (TOP / "Cargo.toml").read_text(), re.MULTILINE)[1]
    load = os.getloadavg()[2]
    return [
        f"Made by `scripts/bench-event-loop{' --quick --write' if arguments.quick else ''}`{', the times by another run with `--times`,' if arguments.times else ''} on {datetime.date.today().isoformat()}: {machine()}, "
        f"{len(os.sched_getaffinity(0))} cores that other work shared (load average of the last quarter of an hour at the end: {load:.1f}). "
        f"ws101 {version} (commit {library()}), shared library as it ships; {versions()}. "
        f"Times: median and quartiles of {rounds} interleaved rounds.",
    ]


def report(data):
    found = tables(data)
    text = {
        "echo": ["## Echo servers", "", "A message that came and went back. By callgrind and `strace -f -c`: instructions in user space, and system calls, of the "
                 "server alone.", "Large messages are given in seconds of processor for 10⁹ bytes echoed."],
        "idle": ["## Memory", "", f"Growth of the server's resident memory over {number(IDLE.connections)} connections, each after one message of 16 bytes either "
                 "way", "(" + ", ".join(f"{TITLES[name]}: over {number(count)}" for name, count in FEWER_IDLE.items()) + "). The kernel's own memory "
                 "for a socket is not in it."],
        "broadcast": ["## Broadcast", "", "One message from one client goes to 1,000; the figures are for one of the 1,000 sends."],
        "client": ["## An event-driven client", "", "A round trip; the processor time is the client's alone, which shares one core with its peer."],
    }
    lines = ["# Event loops, measured", "", *data["about"], ""]
    if data["failed"]:
        lines += ["Failed: " + "; ".join(data["failed"]) + ".", ""]
    lines += ["The server has one core, the load the other; without TLS and compression. What each program does, and how to read the figures, is in",
              "[README.md](README.md). Differences in time below 15 % are no finding; counts hardly depend on what else the machine does.", ""]
    for heading in text:
        if heading in found:
            lines += [*text[heading], ""]
            for one in found[heading]:
                lines += [one, ""]
    return "\n".join(lines).rstrip() + "\n"


def chosen(words):
    """The programs and scenarios among the words; all of a kind of which none is named. Bare ones always run: ratios need them."""
    known = {scenario.name for scenario in SCENARIOS}
    unknown = [word for word in words if word not in known and word not in TITLES]
    if unknown:
        sys.exit(f"no program or scenario is called {unknown[0]}; scripts/bench-event-loop --list names them")
    names = [name for name in TITLES if name in words or name == "bare"] if set(words) & set(TITLES) else list(TITLES)
    wanted = set(words) & known or known
    return names, [scenario for scenario in SCENARIOS if scenario.name in wanted]


def measure_all(arguments, names, scenarios):
    rounds = 3 if arguments.quick else 5
    if arguments.quick:
        scenarios = [scenario._replace(counted=scenario.counted // 2, timed=scenario.timed // 4) for scenario in scenarios]
    many = with_gathered([scenario for scenario in scenarios if scenario.mode != "idle"])
    data = {"failed": [], "idle": {}, "count": {}, "time": {}}

    kept = pathlib.Path(arguments.programs, "figures.json")
    if arguments.times:
        last = json.loads(kept.read_text())
        data.update({kind: last[kind] for kind in ("count", "idle", "commit")})
        if data["commit"] != library():
            sys.exit(f"the counts of the last run are of commit {data['commit']}, the library is of {library()}: leave out --times")

    def keep(kind, figures, rounds=0):
        data[kind] = figures
        data["about"] = about(arguments, rounds)
        if kind == "count":
            data["commit"] = library()
        kept.write_text(json.dumps(data))

    with tempfile.TemporaryDirectory() as scratch:
        runner = Runner(arguments.programs, scratch)
        commands = {key: command for group in (ECHO_SERVERS, BROADCAST_SERVERS, CLIENTS) for key, command in group.items()}
        present = [name for name in names if (runner.place / commands[name][0]).exists()]
        missing = [f"{TITLES[name]} could not be built" for name in names if name not in present]
        try:
            if not arguments.times:
                keep("count", count_all(runner, present, many))
            if not arguments.times and any(scenario.mode == "idle" for scenario in scenarios):
                keep("idle", measure_idle(runner, present))
            time_all(runner, present, many, rounds, lambda found, done: keep("time", json.loads(json.dumps(found)), done))
        except KeyboardInterrupt:
            progress("interrupted: what there is so far")
    data["failed"] = missing + [str(failure) for failure in complain.failures]
    return data


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench-event-loop", add_help=False)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--programs")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--times", action="store_true")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        print("programs: ", *TITLES, "\nscenarios: ", *(scenario.name for scenario in SCENARIOS))
        return
    names, scenarios = chosen(arguments.names)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < IDLE.connections + 200:
        sys.exit(f"{IDLE.connections + 200} open files are needed, {most} are allowed (ulimit -Hn)")
    data = measure_all(arguments, names, scenarios)
    for found in tables(data).values():
        print("\n\n".join(found) + "\n")
    if "about" in data and (arguments.write or not arguments.quick) and not arguments.names:
        RESULTS.write_text(report(data))
        print(f"written to {RESULTS.relative_to(TOP)}")
    sys.exit(bool(complain.failures))


if __name__ == "__main__":
    main()
