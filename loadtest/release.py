#!/usr/bin/env python3
"""A ticket release on paper and in small: what `seawall simulate` says of it, beside a real run.

The release is that of config/ticket-release.toml: 200,000 people at ten, a lane by invitation from half
past nine, 4,000 inside. Three things are laid side by side, each line's waits from the opening or, for
those who came later, from their coming:

full       the simulation of all of it;
simulated  the simulation of the same release in small: a hundredth of the people and of the places, and
           all times a fortieth, the median of several seeds;
real       that small release over real connections: Seawall and the crowd of loadtest/crowd.

Exit code 1 when a line's median, its p90, p99 or its tail differ by more than a tenth between the last
two. The full one is not judged by them: polls, the tick and the liveness of a place are as long in small
as they are in full, so that a visit of seconds loses more to them than one of minutes; the last column
says how much.
"""
import argparse
import datetime
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib

import crowds
from ports import free_ports

CONFIG = pathlib.Path(__file__).parent.parent / "config" / "ticket-release.toml"
JOURNEY = ["/event/1", "/seats/1", "/seats/hold", "/checkout/1", "/thanks"]
# Of the full release, seconds.
OVER, PATIENCE, THINK, AFTER = 1200, 7200, 45, 21600
GATHERED = 0.6
SEEDS = 5
QUANTILES = ["p50", "p90", "p99", "most"]
TOLERANCE = 0.1

POLICY = """
[edge]
listen = ["127.0.0.1:{edge}"]
trusted_proxies = ["127.0.0.0/8"]
max_connections_per_client = 20000
[admin]
listen = "127.0.0.1:{admin}"
[keys]
file = "seawall.keys"
[state]
dir = "state"
[origin.box_office]
servers = ["127.0.0.1:{origin}"]
concurrency = {{ mode = "fixed", limit = 500, queue = "3x", patience = "5s" }}
[waiting_room.release]
capacity = {capacity}
admit = "{admit}/min"
opens = {opens}
gather = "{gather}ms"
outside = "closed"
session = {{ idle = "{idle}ms", max = "1h" }}
claim = "{claim}ms"
place_hold = "4h"
lanes.fans = {{ weight = {weight}, invitations = "fans.keys", uses = 1, opens = {lane_opens} }}
[[route]]
name = "thanks"
path = "/thanks/**"
waiting_room = "release"
ends_session = "0s"
cache = false
[[route]]
name = "all"
waiting_room = "release"
cache = false
[log]
access = false
"""


def moment(unix):
    return datetime.datetime.fromtimestamp(unix, datetime.timezone.utc).isoformat(timespec="milliseconds")


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m|h)", text).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600}[unit]


class Release:
    """The release of the policy to start from, in small."""

    def __init__(self, args):
        room = tomllib.loads(CONFIG.read_text())["waiting_room"]["release"]
        fans, times = room["lanes"]["fans"], args.times
        many, per = re.fullmatch(r"(\d+)/(s|min)", room["admit"]).groups()
        self.admit = round(int(many) * times / args.people * 60 / {"s": 1, "min": 60}[per])
        self.capacity = max(room["capacity"] // args.people, 1)
        self.visitors, self.fans = args.visitors // args.people, args.fans // args.people
        self.gather = seconds(room["gather"]) / times
        self.early = (room["opens"] - fans["opens"]).total_seconds() / times
        self.idle = max(seconds(room["session"]["idle"]) / times, 5)
        # A visitor far from the front asks each 20 s, however short the day is.
        self.claim = max(seconds(room["claim"]) / times, 25)
        self.weight = fans["weight"]
        self.over, self.patience, self.think = OVER / times, PATIENCE / times, THINK / times
        self.after = AFTER / times

    def written(self, directory, ports, opens):
        policy = pathlib.Path(directory) / "release.toml"
        policy.write_text(POLICY.format(
            **ports, capacity=self.capacity, admit=self.admit, opens=moment(opens), lane_opens=moment(opens - self.early),
            gather=round(self.gather * 1000), idle=round(self.idle * 1000), claim=round(self.claim * 1000),
            weight=self.weight))
        return policy

    def groups(self, begins, invitations):
        """As src/simulation/day/waves.rs makes them."""
        groups = []
        for lane, visitors, opens in [("", self.visitors - self.fans, self.gather),
                                      ("fans", self.fans, self.gather - self.early)]:
            early = round(visitors * GATHERED)
            for many, arrivals, at, over in [(early, "ramp", 0, opens), (visitors - early, "flash", opens, self.over)]:
                groups.append({
                    "lane": lane, "visitors": many, "arrivals": arrivals, "begins_seconds": begins + at,
                    "over_seconds": over, "opens_seconds": begins + opens, "journey": JOURNEY,
                    "think_seconds": self.think, "patience_seconds": self.patience,
                    "invitations": str(invitations[arrivals]) if lane else None,
                })
        return groups


def simulate(args, policy, visitors, fans, over, patience, after, think, seed, service, workers):
    ms = lambda s: f"{round(s * 1000)}ms"  # noqa: E731
    command = [
        args.seawall, "simulate", str(policy), "--json", "--visitors", str(visitors), "--invited", f"fans={fans}",
        "--gathered", f"{GATHERED * 100:g}%", "--over", ms(over), "--patience", ms(patience), "--after", ms(after),
        "--think", ms(think), "--seed", str(seed), "--journey", ",".join(JOURNEY),
        "--origin-service", service, "--origin-workers", str(workers), "--collapse", "0", "--sigma", "0",
    ]
    answered = subprocess.run(command, capture_output=True, text=True)
    if answered.returncode != 0:
        sys.exit(answered.stderr)
    waits = json.loads(answered.stdout)["waits"]
    names = zip(QUANTILES, ["p50_seconds", "p90_seconds", "p99_seconds", "most_seconds"])
    names = list(names)
    return {line: {**{q: of[key] for q, key in names}, "came_in": of["came_in"]} for line, of in waits.items()}


def median(runs):
    return {line: {q: statistics.median(run[line][q] for run in runs) for q in [*QUANTILES, "came_in"]} for line in runs[0]}


def invited(args, policy, release):
    """A file of invitations for each group of fans."""
    command = [args.seawall, "room", "invite", str(policy), "release", "fans", "--count", str(release.fans), "--for", "1h"]
    links = subprocess.run(command, capture_output=True, text=True, check=True, cwd=policy.parent).stdout.split()
    texts = [link.split("seawall_invite=")[1] for link in links]
    early = round(release.fans * GATHERED)
    files = {"ramp": policy.parent / "early", "flash": policy.parent / "late"}
    files["ramp"].write_text("\n".join(texts[:early]))
    files["flash"].write_text("\n".join(texts[early:]))
    return files


def real(args, release, policy, ports, opens, seawall):
    begins = opens - release.gather - time.time()
    plan = {
        **{name: f"{crowds.HOST}:{port}" for name, port in ports.items()}, "room": "release",
        "capacity": release.capacity, "ends": "route", "idle_seconds": release.idle, "page_ms": 5,
        "seconds_max": begins + release.gather + release.over + release.after, "seed": args.seed,
        "groups": release.groups(begins, invited(args, policy, release)),
    }
    figures = crowds.run(args, seawall, plan)
    waits = figures["wait_seconds"].items()
    return figures, {line: {**{q: of["max" if q == "most" else q] for q in QUANTILES}, "came_in": of["count"]}
                     for line, of in waits}


def compare(args, full, simulated, measured):
    rows, outcomes = [], []
    for line in simulated:
        for q in QUANTILES:
            f, s, r = full[line][q] / args.times, simulated[line][q], measured[line][q]
            off = r / s - 1
            rows.append(f"{line:<10} {q:<5} {f * args.times / 60:8.1f} min {s:10.1f} s {r:8.1f} s {off:+8.1%} {s / f - 1:+12.1%}")
            outcomes.append((f"{line}, {q}: {r:.1f} s, simulated {s:.1f} s ({off:+.1%})", abs(off) <= TOLERANCE))
        rows.append(f"{line:<10} in    {full[line]['came_in']:8.0f}     {simulated[line]['came_in']:10.0f}   "
                    f"{measured[line]['came_in']:8.0f}")
    print("line             full         simulated       real      off   small/full")
    print("\n".join(rows))
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    crowds.arguments(parser)
    parser.add_argument("--visitors", type=int, default=200_000, help="of the full release")
    parser.add_argument("--fans", type=int, default=20_000, help="of them, those who are invited")
    parser.add_argument("--people", type=int, default=100, help="by how much fewer there are in small")
    parser.add_argument("--times", type=float, default=40, help="by how much shorter everything takes in small")
    args = parser.parse_args()
    args.seawall = str(pathlib.Path(args.seawall).resolve())
    full = simulate(args, CONFIG, args.visitors, args.fans, OVER, PATIENCE, AFTER, THINK, args.seed, "80ms", 96)
    release = Release(args)
    ports = free_ports("edge", "admin", "origin")
    with tempfile.TemporaryDirectory() as directory:
        opens = time.time() + release.gather + 5
        policy = release.written(directory, ports, opens)
        seawall = crowds.Seawall(args.seawall, policy, ports["edge"]).start()
        try:
            figures, measured = real(args, release, policy, ports, opens, seawall)
        finally:
            seawall.stop()
        runs = [simulate(args, policy, release.visitors, release.fans, release.over, release.patience, release.after,
                         release.think, seed, "5ms", 100) for seed in range(args.seed, args.seed + SEEDS)]
    simulated = median(runs)
    outcomes = compare(args, full, simulated, measured)
    outcomes.append((f"never more than {release.capacity} inside: {figures['inside_most']} provably, "
                     f"{figures['used']['most']} by the room's own figures",
                     max(figures["inside_most"], figures["used"]["most"]) <= release.capacity))
    outcomes.append((f"order kept within each line: {figures['overtaken']} were overtaken; {figures['rises']} positions rose",
                     not figures["overtaken"] and not figures["rises"]))
    if args.json:
        everything = {"full": full, "simulated": simulated, "real": measured, "figures": figures}
        pathlib.Path(args.json).write_text(json.dumps(everything, indent=1))
    sys.exit(crowds.verdict(outcomes))


if __name__ == "__main__":
    main()
