"""The measurements of `run`; see bed.py for the ways that are compared."""

import statistics
import subprocess
import sys

import bed
import breaks
import scale
from bed import WAYS, PORT, address, service

RUNS = 7
MS = 500


def traffic(way, name, program, what, to, *more):
    """What a client in this namespace gets; None if it fails."""
    line = ["ip", "netns", "exec", f"{way}-{name}", program, what, to, *map(str, more)]
    done = subprocess.run(line, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def works(program):
    """Who answers on each path, and what source address the server sees."""
    outside = "10.9.0.2"
    asked = []
    for v6 in (False, True):
        at = lambda ip, port: f"[{ip}]:{port}" if v6 else f"{ip}:{port}"
        kind = "IPv6" if v6 else "IPv4"
        client = address("c", v6)
        asked += [
            (f"{kind} container to container", "c", at(address("b1", v6), PORT), client),
            (f"{kind} container to service", "c", at(service(bed.SERVICE, v6), 80), client),
            (f"{kind} container to service that is itself", "c", at(service(bed.ITSELF, v6), 80), client),
        ]
    host = bed.OUTSIDE
    asked += [
        ("outside to published port", "x", f"{host}:{bed.PUBLISHED}", outside),
        ("same network to published port", "c", f"{host}:{bed.PUBLISHED}", address("c")),
        ("container to its own published port", "c", f"{host}:{bed.PUBLISHED_SELF}", address("c")),
    ]
    print("| path | " + " | ".join(WAYS) + " |\n|" + " --- |" * (len(WAYS) + 1))
    for what, name, to, source in asked:
        cells = []
        for way in WAYS:
            got = traffic(way, name, program, "who", to)
            seen = got.split()[1] if got else None
            cells.append("fails" if not got else "kept" if seen == source else f"as {seen}")
        print(f"| {what} | " + " | ".join(cells) + " |", flush=True)


def redirect(program):
    """What the redirect of 127.0.0.11 costs everything else, by translation and without."""
    measure(program, [("container to container", "c", f"{address('b1')}:{PORT}", ["none", "resolve", "plain"])])


def speed(program):
    """Medians of each path and way, all of them alternately."""
    direct = f"{address('b1')}:{PORT}"
    measure(program, [
        ("container to container", "c", direct, WAYS),
        ("container to service", "c", f"{service(bed.SERVICE)}:80", ["own", "brnf", "masq", "routed"]),
        ("outside to published port", "x", f"{bed.OUTSIDE}:{bed.PUBLISHED}", WAYS),
        ("same network to published port", "c", f"{bed.OUTSIDE}:{bed.PUBLISHED}", ["own", "brnf", "masq", "routed"]),
    ])


def measure(program, paths):
    kinds = [("stream", "Gbit/s"), ("trips", "µs median / 99 %"), ("connects", "a second")]
    got = {}
    for run in range(RUNS):
        for path, name, to, ways in paths:
            for what, _ in kinds:
                for way in ways if run % 2 else reversed(ways):
                    numbers = traffic(way, name, program, what, to, MS)
                    assert numbers, f"{what}, {path}, {way}: no answer"
                    got.setdefault((path, what, way), []).append(numbers.split())
    print("| path | unit | " + " | ".join(WAYS) + " |\n|" + " --- |" * (len(WAYS) + 2))
    for path, _, _, ways in paths:
        for what, unit in kinds:
            cells = []
            for way in WAYS:
                values = got.get((path, what, way))
                cells.append(" / ".join(spread(v) for v in zip(*values)) if values else "–")
            print(f"| {path} | {unit} | " + " | ".join(cells) + " |")
    print("\nEach divided by what `none` (else `own`) had in the same round; medians.\n")
    for path, _, _, ways in paths:
        for what, unit in kinds:
            base = got[path, what, ways[0]]
            cells = []
            for way in WAYS:
                rounds = zip(got.get((path, what, way), []), base)
                ratios = [float(of[0]) / float(to[0]) for of, to in rounds]
                cells.append(f"{statistics.median(ratios):.2f}" if ratios else "–")
            print(f"| {path} | {unit} | " + " | ".join(cells) + " |")


def spread(values):
    values = sorted(map(float, values))
    digits = 0 if values[0] >= 1000 else 1
    middle, low, high = statistics.median(values), values[0], values[-1]
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def main():
    global RUNS
    program, *wanted = sys.argv[1:]
    if "--runs" in wanted:
        at = wanted.index("--runs")
        RUNS = int(wanted[at + 1])
        del wanted[at : at + 2]
    wanted = wanted or ["works", "breaks", "redirect", "speed", "update", "size"]
    bed.sh("mkdir -p /run/netns && mount -t tmpfs none /run/netns")
    bed.sh("ip link set lo up")
    if set(wanted) & {"works", "breaks", "redirect", "speed"}:
        for way in WAYS:
            bed.build(way)
            bed.serve(way, program)
    for what, work in (("works", works), ("redirect", redirect), ("speed", speed), ("breaks", breaks.breaks)):
        if what in wanted:
            print(f"\n## {what}\n", flush=True)
            work(program)
    for what in ("update", "size"):
        if what in wanted:
            print(f"\n## {what}\n", flush=True)
            getattr(scale, what)(RUNS)


main()
