#!/usr/bin/env python3
"""Ours against aquatic_udp in alternating pairs, on one core; prints the ratios of each pair.

  benches/tracker_pairs.py --bench path/to/tracker_bench.py \\
      --cmd 'target/release/ourtorrent-tracker --bind {ip}:{port} --db {dir}/tracker.sqlite --max-peers-per-source 1000000'

Machines drift, so only what was measured next to each other is compared: each pair is one run of either tracker, and a
ratio is taken inside the pair. The harness that it drives pins the tracker to core 0 and `aquatic_udp_load_test` to core 1;
it takes a command with {ip}, {port} and {dir}, and writes what it measured as JSON. A second --cmd2 is compared with
the first instead of aquatic (persistence on and off, one worker and two).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

# connect, announce, scrape: announces only, the load tool's own mix, and that of a public tracker over twelve days.
MIXES = ["0,1,0", "50,50,1", "67,32,1"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True, help="the harness")
    parser.add_argument("--cmd", required=True, help="our tracker's command")
    parser.add_argument("--cmd2", help="what it is compared with, instead of aquatic_udp")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--duration", type=int, default=10, help="seconds of a run")
    parser.add_argument("--mixes", default=" ".join(MIXES), help="connect,announce,scrape, separated by blanks")
    return parser.parse_args()


def measure(args, mix, folder):
    """Two lists of runs, ours and theirs, in the order in which they alternated."""
    ours, theirs = [], []
    common = [sys.executable, args.bench, "--phases", "load", "--weights", mix, "--duration", str(args.duration)]
    result = os.path.join(folder, "result.json")

    def run(*more):
        subprocess.run([*common, "--json", result, *more], check=True)
        with open(result) as file:
            return json.load(file)["load"]

    if not args.cmd2:
        more = ["--trackers", "aquatic", "--cmd", args.cmd, "--name", "ours", "--repeats", str(args.pairs), "--warmup", "1"]
        load = run(*more)
        return load["ours"], load["aquatic"]
    for _ in range(args.pairs):
        for command, runs in ((args.cmd2, theirs), (args.cmd, ours)):
            runs += run("--trackers", "", "--cmd", command, "--name", "it", "--repeats", "1")["it"]
    return ours, theirs


def show(what, ratios):
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    print(f"  {what:24} {middle:.3f} ({low:.3f}..{high:.3f})")


def main():
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        for mix in args.mixes.split():
            ours, theirs = measure(args, mix, folder)
            pairs = [(mine, other) for mine, other in zip(ours, theirs)]
            print(f"mix {mix}: {len(pairs)} pairs, ours / theirs, median (min..max)")
            show("responses a second", [mine["rate"] / other["rate"] for mine, other in pairs])
            show("CPU per response", [mine["us"] / other["us"] for mine, other in pairs])
            for name, runs in (("ours", ours), ("theirs", theirs)):
                middle = {key: statistics.median(run[key] for run in runs) for key in ("rate", "us", "ppa", "error")}
                print(
                    f"  {name:24} {middle['rate'] / 1000:.1f} k/s, {middle['us']:.2f} us, "
                    f"{middle['ppa']:.1f} peers a reply, {middle['error']:.0f} errors/s"
                )


if __name__ == "__main__":
    main()
