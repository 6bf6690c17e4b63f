#!/usr/bin/env python3
"""A waiting room and a crowd: by default 50 places, 5,000 visitors, and a kill -9 in the middle.

Starts Seawall on free ports and the crowd of loadtest/crowd, which is the origin too; kills Seawall
when half of them have been in, starts it again, and waits until all have gone. Exit code 1 when one of
these does not hold:

never more than CAPACITY inside
    A visitor is provably inside from the answer that let them in until their last question reached the
    origin (by time alone, `session.idle` longer): the crowd is the origin too, so one clock has seen both.
    The most who were so at once must not be more than the capacity, nor may the room's own figures,
    sampled each tenth of a second: inside + reserved + leased.
order kept
    Visitors see positions, not numbers, so order is taken from moments that can be proven (the top of
    loadtest/crowd/judge.rs says how). Who could not be told apart by these is not judged. Nor may a
    visitor's position ever rise, over the restart too.
no place lost
    Everyone who drew a number and did not stay away is let in, and nobody is told to queue anew.
no slot wasted (--use)
    While anyone waited, from the first fill on, so much of the capacity was inside, on average. What is
    not inside was reserved: for those who were on their way, and for those who never came.

The issue's crowd, in its three ways of being connected, and with sessions as long as a site's:

    python3 loadtest/room.py --no-kill --hand-overs 3
    python3 loadtest/room.py --no-kill --capacity 500 --visitors 100000 --no-shows 0.3 --ramp 60
    … --connections closing
    … --connections own --visitors 15000
    … --pages 16 --think 8 --seconds 1200 --use 0.99
"""
import argparse
import json
import pathlib
import sys
import tempfile

import crowds
from ports import free_ports

POLICY = """
[edge]
listen = ["127.0.0.1:{edge}"]
trusted_proxies = [{trusted}]
max_connections = 50000
max_connections_per_client = 20000  # the whole crowd sits on one machine
[admin]
listen = "127.0.0.1:{admin}"
[keys]
file = "seawall.keys"
[state]
dir = "state"
[origin.shop]
servers = ["127.0.0.1:{origin}"]
[origin.shop.concurrency]
mode = "fixed"
limit = {limit}                     # more than the room lets in: here only the room may hold anyone
queue = "3x"
patience = "5s"
[waiting_room.room]
capacity = {capacity}
session = {{ idle = "{idle}s", max = "1h" }}
claim = "{claim}s"
place_hold = "1h"
max_queue = 1000000
[[route]]
name = "bye"
path = "/bye"
waiting_room = "room"
cache = false
{ends}
[[route]]
name = "all"
path = "/**"
waiting_room = "room"
cache = false
[log]
access = false
"""
# How long after the kill a visitor may find nobody at home.
OUTAGE = 15


def written(args, directory, ports):
    policy = pathlib.Path(directory) / "room.toml"
    policy.write_text(POLICY.format(
        **ports, capacity=args.capacity, limit=args.capacity + 500, idle=args.idle, claim=args.claim,
        trusted='"127.0.0.0/8"' if args.connections == "virtual" else "",
        ends='ends_session = "0s"' if args.ends == "route" else ""))
    return policy


def planned(args, ports):
    at = {name: f"{crowds.HOST}:{port}" for name, port in ports.items()}
    return {
        **at, "room": "room", "capacity": args.capacity, "connections": args.connections, "carry": args.carry,
        "in_flight_max": args.in_flight, "per_address": args.per_address, "ends": args.ends,
        "idle_seconds": args.idle, "seconds_max": args.seconds, "seed": args.seed,
        "groups": [{
            "visitors": args.visitors, "over_seconds": args.ramp, "arrivals": args.shape,
            "no_shows": args.no_shows, "think_seconds": args.think,
            "journey": ["/page"] * (args.pages - 1) + ["/bye"],
        }],
    }


def outcomes(args, figures, killed):
    f, used = figures, figures["used"]
    failures = enumerate(f["failures_by_second"])
    outside = sum(n for second, n in failures if killed is None or not killed - 2 <= second <= killed + OUTAGE)
    late = f["late_ms"] or {"p99": 0, "max": 0}
    cut = f["still_there"] and args.use
    unclear = sum(f["unclear"].values()) + sum(f["refused"].values()) + f["foreign_cookies"]
    slots = max(used["seconds"], 1) * args.capacity
    lapsed = f["no_shows_at_room"] * args.claim / slots
    coming = max(used["reserved"] - lapsed, 0) * slots / max(f["came_in"], 1)
    result = [
        (f"never more than {args.capacity} inside: {f['inside_most']} provably, {used['most']} by the room's own figures "
         f"({f['samples']} samples)", f["inside_most"] <= args.capacity and used["most"] <= args.capacity and f["samples"]),
        (f"order kept: {f['overtaken']} of {f['drawn']} who drew a number were provably overtaken "
         f"{f['overtaken_examples']}", not f["overtaken"]),
        (f"no position rose: {f['rises']} did {f['rises_examples']}", not f["rises"]),
        (f"no place lost: {f['still_there']} still there, {f['sent_back']} sent back; {f['no_shows']} stayed away, "
         f"{f['came_in']} came in", not f["sent_back"] and (cut or not f["still_there"])),
        (f"every answer was the page or a place: {unclear} were not {f['unclear']} {f['refused']}; "
         f"{f['full']} times full", not unclear),
        (f"an answer to every question: {outside} had none {f['failed']}", not outside),
        (f"the crowd asked in time: {late['p99']:.0f} ms late at most in 99 of 100, {late['max']:.0f} ms once",
         late["p99"] < 1000),
    ]
    if not args.no_kill:
        result.append(("there was a kill -9 in the middle", killed is not None))
    if used["seconds"]:
        result.append((
            f"while anyone waited ({used['seconds']:.0f} s) {used['inside']:.2%} of the capacity was inside, "
            f"{used['reserved']:.2%} reserved, {used['free']:.2%} free; least in ten seconds {used['inside_min']:.2%}; "
            f"{f['no_shows_at_room']} places were given to no-shows, at most {lapsed:.2%} of the capacity; who came took "
            f"{coming:.1f} s to come",             used["inside"] >= args.use))
    return result


def told(figures):
    f = figures
    wait, places, pages, errors = (f["wait_seconds"]["everyone"], f["place_ms"], f["page_ms"], f["estimate_error_percent"])
    per = f["cpu_seconds"] / max(f["requests"], 1) * 1e6
    lines = [f"{f['came']} came in {f['seconds']:.0f} s, {f['walked_in']} walked in; {f['requests']} requests, of them "
             f"{f['polls']} polls ({f['polls_per_second_max']}/s at most), over {f['connections_opened']} connections",
             f"Seawall: {f['cpu_seconds']:.1f} s of CPU, {per:.1f} µs a request, {f['memory_mib']} MiB"]
    for name, of, unit in [("waited", wait, "s"), ("a place took", places, "ms"), ("a page took", pages, "ms"),
                           ("the estimate half the way was wrong by", errors, "%")]:
        if of:
            lines.append(f"{name}: median {of['p50']:g} {unit}, p90 {of['p90']:g}, p99 {of['p99']:g}, most {of['max']:g}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    crowds.arguments(parser)
    parser.add_argument("--capacity", type=int, default=50)
    parser.add_argument("--visitors", type=int, default=5000)
    parser.add_argument("--ramp", type=float, default=20, help="seconds over which they come")
    parser.add_argument("--shape", default="steady", help="as `seawall simulate --shape`")
    parser.add_argument("--no-shows", type=float, default=0.0, help="share that takes a number and does not come")
    parser.add_argument("--pages", type=int, default=3)
    parser.add_argument("--think", type=float, default=0.75, help="seconds between two pages, on average")
    parser.add_argument("--connections", choices=["virtual", "own", "closing"], default="virtual",
                        help="a few for all, one for each, or one for each request")
    parser.add_argument("--carry", choices=["cookie", "field"], default="cookie")
    parser.add_argument("--ends", choices=["revoke", "route", "idle"], default="revoke",
                        help="what ends a session: the origin, the last page's route, or time")
    parser.add_argument("--per-address", type=int, default=1, help="visitors who share an address")
    parser.add_argument("--in-flight", type=int, default=400, help="requests on their way at once")
    parser.add_argument("--idle", type=int, default=20, help="session.idle, seconds")
    parser.add_argument("--claim", type=int, default=30, help="seconds; less than a poll from afar takes loses turns")
    parser.add_argument("--seconds", type=float, default=900, help="then everyone goes home")
    parser.add_argument("--use", type=float, default=0.0, help="share of the capacity that must be inside")
    parser.add_argument("--no-kill", action="store_true")
    parser.add_argument("--hand-overs", type=int, default=0, help="QUIT, so many times, evenly over the run")
    args = parser.parse_args()
    ports = free_ports("edge", "admin", "origin")
    with tempfile.TemporaryDirectory() as directory:
        seawall = crowds.Seawall(args.seawall, written(args, directory, ports), ports["edge"]).start()
        killed, handed = [], []

        def each(progress):
            if not killed and not args.no_kill and progress["gone"] >= args.visitors // 2:
                print(f"{progress['seconds']:5.0f} s  kill -9, and a restart", flush=True)
                killed.append(progress["seconds"])
                seawall.kill()
                seawall.start()
            if progress["gone"] >= args.visitors * (len(handed) + 1) // (args.hand_overs + 1) and len(handed) < args.hand_overs:
                print(f"{progress['seconds']:5.0f} s  a hand-over", flush=True)
                handed.append(progress["seconds"])
                seawall.hand_over()

        try:
            figures = crowds.run(args, seawall, planned(args, ports), each)
        finally:
            seawall.stop()
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(figures, indent=1))
    print(told(figures))
    sys.exit(crowds.verdict(outcomes(args, figures, killed[0] if killed else None)))


if __name__ == "__main__":
    main()
