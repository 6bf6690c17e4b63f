#!/usr/bin/env python3
"""Ten times overload, bare and behind Seawall, side by side; exit code 1 when an outcome fails.

Starts the demo's fragile shop (200 requests/s, collapsing) on free ports, alone, then behind
Seawall, then behind Seawall with 20 slow uploads, and storms each with overload.js.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from ports import free_port

HERE = pathlib.Path(__file__).resolve().parent
CAPACITY = 200
LIMIT = 4
UPLOADS = 20

POLICY = """
[edge]
listen = ["127.0.0.1:{edge}"]
max_connections_per_client = 8192   # the whole crowd sits on one machine
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
limit = {limit}
queue = "3x"
patience = {{ normal = "200ms" }}
[log]
access = false
"""


def wait_until_open(port, process):
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended early with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
            return
        time.sleep(0.05)
    sys.exit(f"nothing listens on {port}")


@contextlib.contextmanager
def running(command, port, cwd=None):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=cwd)
    try:
        wait_until_open(port, process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def stats(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=5) as answer:
        return json.load(answer)


def storm(args, port, directory):
    summary = pathlib.Path(directory) / "summary.json"
    # MIN_SHARE=0: the judgement is made here, over all three runs.
    environment = os.environ | {
        "BASE": f"http://127.0.0.1:{port}", "CAPACITY": str(CAPACITY), "FACTOR": str(args.factor),
        "SECONDS": str(args.seconds), "SUMMARY": str(summary), "MIN_SHARE": "0",
    }
    command = [args.k6, "run", "--quiet", "--no-usage-report", str(HERE / "overload.js")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if not summary.exists():
        sys.exit(f"k6 failed:\n{done.stderr[-2000:]}")
    return json.loads(summary.read_text())


@contextlib.contextmanager
def slow_uploads(port):
    """20 visitors who send a head that promises 1,000 bytes, then a byte a second."""
    stop = threading.Event()
    sockets = []
    for _ in range(UPLOADS):
        s = socket.create_connection(("127.0.0.1", port), 5)
        s.sendall(b"POST /cart HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 1000\r\n"
                  b"Content-Type: application/x-www-form-urlencoded\r\n\r\n")
        sockets.append(s)
    cut = []

    def trickle():
        while not stop.wait(1):
            for s in sockets:
                try:
                    s.send(b"x")
                except OSError:
                    if s not in cut:
                        cut.append(s)

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        time.sleep(1.5)
        yield cut
    finally:
        stop.set()
        thread.join()
        for s in sockets:
            s.close()


def bare(args):
    port = free_port()
    with tempfile.TemporaryDirectory() as directory:
        with running([args.seawall, "demo", "--origin-only", "--listen", f"127.0.0.1:{port}"], port):
            figures = storm(args, port, directory)
            return figures | {"origin": stats(port)}


def protected(args, uploads=False):
    edge, admin, origin = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as directory:
        policy = pathlib.Path(directory) / "overload.toml"
        policy.write_text(POLICY.format(edge=edge, admin=admin, origin=origin, limit=LIMIT))
        shop = [args.seawall, "demo", "--origin-only", "--listen", f"127.0.0.1:{origin}"]
        seawall = [*args.edge.split(), str(policy)] if args.edge else [args.seawall, "run", str(policy)]
        with running(shop, origin), running(seawall, edge, cwd=directory):
            with slow_uploads(edge) if uploads else contextlib.nullcontext([]) as cut:
                figures = storm(args, edge, directory)
                return figures | {"origin": stats(origin), "uploads_cut": len(cut)}


def show(runs):
    rows = [
        ("goodput, good/s", lambda r: f"{r['goodput']:.0f}"),
        ("share of capacity", lambda r: f"{r['share']:.0%}"),
        ("p50 / p99 of pages, ms", lambda r: f"{r['p50_ms'] or 0:.0f} / {r['p99_ms'] or 0:.0f}"),
        ("refused", lambda r: str(r["refused"])),
        ("failed", lambda r: str(r["failed"])),
        ("not sent", lambda r: str(r["unsent"])),
        ("peak in flight at origin", lambda r: str(r["origin"]["peak_in_flight"])),
        ("served by origin", lambda r: str(r["origin"]["served"])),
    ]
    print(f"{'':26}" + "".join(f"{name:>22}" for name in runs))
    for label, cell in rows:
        print(f"{label:26}" + "".join(f"{cell(run):>22}" for run in runs.values()))
    print()


def judge(runs):
    alone, behind, slow = runs.values()
    outcomes = [
        ("the bare shop keeps less than 15 %", alone["share"] < 0.15),
        ("behind Seawall at least 90 % is left", behind["share"] >= 0.90),
        (f"never more than {LIMIT} in flight at the origin", behind["origin"]["peak_in_flight"] <= LIMIT),
        ("no request failed but by a refusal", behind["failed"] == 0),
        (f"{UPLOADS} slow uploads take no place: still 90 %", slow["share"] >= 0.90),
        ("nor more in flight with them", slow["origin"]["peak_in_flight"] <= LIMIT),
    ]
    for text, held in outcomes:
        print(f"{'ok  ' if held else 'FAIL'}  {text}")
    return all(held for _, held in outcomes)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seawall", default="target/release/seawall", help="the binary")
    parser.add_argument("--k6", default="k6")
    parser.add_argument("--edge", default="", help="another edge than `seawall run`: a command that takes the policy")
    parser.add_argument("--factor", type=float, default=10)
    parser.add_argument("--seconds", type=int, default=10)
    args = parser.parse_args()
    args.seawall = str(pathlib.Path(args.seawall).resolve())
    runs = {"bare": bare(args), "Seawall": protected(args), "with slow uploads": protected(args, uploads=True)}
    show(runs)
    sys.exit(0 if judge(runs) else 1)


if __name__ == "__main__":
    main()
