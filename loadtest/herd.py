#!/usr/bin/env python3
"""The herd: everyone asks for the same thing at once, the origin dies, the cache is too small for the site.

Starts Seawall before an origin that counts (loadtest/herd), and shows in one table what the origin heard
and what the crowd got; exit code 1 when an outcome fails.

misses   N clients ask at the same moment for a page that can be cached, for one that fails (503), and for
         one that is not to be stored
readers  1,000 clients read one slow large answer, which is too large to be kept; then one that breaks off
kill     the origin is killed and stays dead under load: whatever was ever cached is still answered
soak     more pages of 1 s than fit, for --soak seconds: memory stays within its budget
"""
import argparse
import contextlib
import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

import crowds
from ports import free_ports

MIB = 1 << 20

POLICY = """
[edge]
listen = ["127.0.0.1:{edge}"]
max_connections = 18000
max_connections_per_client = 18000
[admin]
listen = "127.0.0.1:{admin}"
[keys]
file = "seawall.keys"
[state]
dir = "state"
[origin.site]
servers = ["127.0.0.1:{origin}"]
concurrency = {{ mode = "fixed", limit = {limit}, queue = 20000, patience = "60s" }}
[cache_store]
memory = "{memory}MiB"
[cache.page]
stale_if_error = "1h"
[cache.brief]
ttl = "1s"
stale_while_revalidate = "10s"
stale_if_error = "1h"
[[route]]
name = "brief"
path = "/page/**"
cache = "brief"
[[route]]
name = "all"
cache = "page"
[log]
access = false
"""


class Herd:
    """Seawall, the origin behind it, and the crowd before it."""

    def __init__(self, args, memory, **origin):
        self.args, self.memory, self.flags = args, memory, origin
        self.ports = free_ports("edge", "admin", "origin")
        self.origin = None

    def __enter__(self):
        self.directory = tempfile.TemporaryDirectory()
        policy = pathlib.Path(self.directory.name) / "herd.toml"
        policy.write_text(POLICY.format(**self.ports, limit=self.args.limit, memory=self.memory))
        self.start_origin()
        try:
            self.seawall = crowds.Seawall(self.args.seawall, policy, self.ports["edge"]).start()
        except BaseException:
            self.stop_origin()
            self.directory.cleanup()
            raise
        return self

    def __exit__(self, *_):
        self.seawall.stop()
        self.stop_origin()
        self.directory.cleanup()

    def start_origin(self):
        flags = [f"--{name}={value}" for name, value in self.flags.items()]
        command = [self.args.herd, "origin", "--listen", f"127.0.0.1:{self.ports['origin']}", *flags]
        self.origin = subprocess.Popen(command)
        for _ in range(200):
            with contextlib.suppress(OSError):
                self.stats()
                return
            time.sleep(0.05)
        sys.exit("the origin does not answer")

    def stop_origin(self):
        if self.origin:
            self.origin.kill()
            self.origin.wait()
            self.origin = None

    def stats(self, kind=None):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['origin']}/stats", timeout=10) as answer:
            stats = json.load(answer)
        return stats.get(kind, {"requests": 0, "most_at_once": 0, "least_between_ms": None}) if kind else stats

    def ask(self, path, clients):
        target = f"127.0.0.1:{self.ports['edge']}"
        command = [self.args.herd, "ask", "--target", target, "--path", path, "--clients", str(clients)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    def load(self, pages, seconds, *flags):
        target = f"127.0.0.1:{self.ports['edge']}"
        command = [self.args.herd, "load", "--target", target, "--pages", str(pages), "--seconds", str(seconds), *flags]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def rss(self):
        """MiB, resident now."""
        status = pathlib.Path(f"/proc/{self.seawall.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024


def row(name, *cells):
    print(f"{name:<34}" + "".join(f"{cell:>22}" for cell in cells), flush=True)


def shown(name, got, stats):
    answers = " ".join(f"{n}×{status}" for status, n in got["whole"].items())
    row(name, stats["requests"], stats["most_at_once"], f"{got['ms']['p50']:.0f} / {got['ms']['p99']:.0f}", answers)


def misses(args):
    delay = args.delay * 1000
    outcomes = []
    print(f"\n{args.clients} clients at once; the origin takes {delay:.0f} ms, {args.limit} places")
    row("", "asked of the origin", "most at once there", "p50 / p99, ms", "answers")
    with Herd(args, 512, delay=f"{delay:.0f}ms", page=1024) as herd:
        got, stats = herd.ask("/cacheable/1", args.clients), herd.stats("cacheable")
        shown("a page for everyone", got, stats)
        outcomes += [
            (f"a page for everyone: all {args.clients} answered 200", got["whole"] == {"200": args.clients}),
            ("a page for everyone: 1 request to the origin", stats["requests"] == 1),
            (f"a page for everyone: p99 {got['ms']['p99'] - delay:+.0f} ms against the origin's own delay, "
             f"at most {args.over:.0f} more", got["ms"]["p99"] - delay <= args.over),
        ]
        # Wave after wave, so that it is asked for over and over while it fails.
        began, waves = time.monotonic(), 0
        while time.monotonic() - began < 10:
            got, waves = herd.ask("/fails/1", args.clients), waves + 1
            outcomes.append((f"503, wave {waves}: all {args.clients} answered 503", got["whole"] == {"503": args.clients}))
        stats = herd.stats("fails")
        shown(f"503, the last of {waves} waves", got, stats)
        between = stats["least_between_ms"]
        outcomes.append((f"503: {stats['requests']} requests in {time.monotonic() - began:.0f} s, the closest "
                         f"{between} ms apart", between is None or between >= 1000))
    # Each takes a place by itself: at a second each it would be an hour.
    with Herd(args, 512, delay="5ms", page=1024) as herd:
        got, stats = herd.ask("/private/1", args.clients), herd.stats("private")
        shown("no-store (the origin takes 5 ms)", got, stats)
        outcomes.append((f"no-store: never more than {args.limit} at once", stats["most_at_once"] <= args.limit))
        outcomes.append(("no-store: everyone is served", got["whole"] == {"200": args.clients}))
    return outcomes


def readers(args):
    outcomes = []
    print(f"\n{args.readers} readers of one answer of {args.mib} MiB, at {args.rate} MiB/s from the origin; max_object is 8 MiB")
    row("", "asked of the origin", "whole", "broken off", "seconds", "most resident, MiB")
    for path, name in [(f"/large/{args.mib}", "whole"), (f"/large/{args.mib}/die", "breaks off half-way")]:
        with Herd(args, 64, delay="3s", rate=args.rate) as herd:
            idle, most, over = herd.rss(), [0], threading.Event()

            def watch():
                while not over.wait(0.2):
                    most[0] = max(most[0], herd.rss())

            watching = threading.Thread(target=watch)
            watching.start()
            began = time.monotonic()
            got = herd.ask(path, args.readers)
            took = time.monotonic() - began
            over.set()
            watching.join()
            asked = herd.stats("large")["requests"]
            whole = got["whole"].get("200", 0)
            row(name, asked, whole, got["broken"], f"{took:.0f}", f"{most[0]:.0f} (idle {idle:.0f})")
            outcomes.append((f"{name}: one request to the origin", asked == 1))
            if name == "whole":
                outcomes.append((f"{name}: all have all of it", whole == args.readers))
            else:
                outcomes.append((f"{name}: nobody takes it for whole", whole == 0 and got["broken"] == args.readers))
    return outcomes


def kill(args):
    pages = 2_000
    print(f"\nthe origin is killed for {args.dead} s; {pages} pages of 1 s were asked for once before")
    with Herd(args, 512) as herd:
        warm = json.loads(herd.load(pages, 60, "--once").communicate()[0])
        load = herd.load(pages, args.dead + 5)
        time.sleep(3)
        herd.stop_origin()
        got = json.loads(load.communicate()[0])
        row("", "asked", "200", "others", "p99, ms")
        good = got["outcomes"].pop("200", 0)
        row("while it is dead", got["asked"], good, json.dumps(got["outcomes"]), f"{got['ms']['p99']:.1f}")
        return [(f"all {pages} pages were cached", warm["outcomes"] == {"200": pages}),
                (f"the origin dead for {args.dead} s: 0 errors in {got['asked']} requests", not got["outcomes"])]


def soak(args):
    page, memory = 8192, args.memory
    pages = 4 * memory * MIB // page
    print(f"\n{args.soak} s of {pages} pages of {page} bytes, 1 s each, in a cache of {memory} MiB")
    row("", "resident, MiB", "requests/s", "of them to the origin")
    with Herd(args, memory, page=page) as herd:
        # Warm: what a worker or a connection takes once is no page.
        herd.load(1, 3, "--rate", "8000").wait()
        idle, most, before = herd.rss(), 0.0, (herd.stats("page")["requests"], time.monotonic())
        load = herd.load(pages, args.soak, "--rate", "8000")
        began = time.monotonic()
        while load.poll() is None:
            time.sleep(1)
            with contextlib.suppress(OSError, TypeError):
                most = max(most, herd.rss())
            if time.monotonic() - before[1] >= 30:
                asked, at = herd.stats("page")["requests"], time.monotonic()
                row(f"after {at - began:.0f} s", f"{herd.rss():.1f}", "", f"{(asked - before[0]) / (at - before[1]):.0f}")
                before = (asked, at)
        got = json.loads(load.communicate()[0])
        row("most", f"{most:.1f} (idle {idle:.1f})", f"{got['asked'] / got['seconds']:.0f}")
        budget = 1.1 * memory
        return [(f"resident at most {most:.1f} MiB, all of the process: 1.1 × {memory} MiB are {budget:.1f} MiB",
                 most <= budget),
                (f"only 200 in the soak: {got['outcomes']}", set(got["outcomes"]) == {"200"})]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seawall", default="target/release/seawall", help="the binary")
    parser.add_argument("--herd", default="target/release/examples/herd", help="the origin and the crowd")
    parser.add_argument("--only", choices=["misses", "readers", "kill", "soak"], action="append")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--delay", type=float, default=1.0, help="seconds the origin takes for a page")
    parser.add_argument("--over", type=float, default=50, help="ms that the p99 of the herd may be over it")
    parser.add_argument("--limit", type=int, default=20, help="places at the origin")
    parser.add_argument("--readers", type=int, default=1_000)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rate", type=float, default=16, help="MiB/s at which the large answer comes")
    parser.add_argument("--dead", type=int, default=60, help="seconds the origin is dead")
    parser.add_argument("--memory", type=int, default=256, help="MiB of the cache in the soak")
    parser.add_argument("--soak", type=int, default=60, help="seconds")
    args = parser.parse_args()
    parts = {"misses": misses, "readers": readers, "kill": kill, "soak": soak}
    outcomes = [outcome for name, part in parts.items() if not args.only or name in args.only for outcome in part(args)]
    print()
    sys.exit(crowds.verdict(outcomes))


if __name__ == "__main__":
    main()
