#!/usr/bin/env python3
"""A waiting room with 50 places, 5,000 visitors, and a kill -9 in the middle.

Starts an origin (in this script) and Seawall on free ports, sends the visitors, kills Seawall when
half of them are in, starts it again, and waits until all have been in. Exit code 1 when one of these
does not hold:

never more than CAPACITY inside, counted at the origin
    A session lives for at least `session.idle` after its last request. So all visitors whose
    requests reached the origin within any window shorter than that hold a session at the window's
    end: the most distinct visitors in any such window must not be more than the capacity. (How
    many requests were at the origin at once is shown as well; it is the weaker figure.)
order kept
    Visitors see positions, not numbers, so order is taken from moments that can be proven. A drew
    its number before B if A's first poll with a position was answered before B's was sent. B was
    let in before A if B's admission was answered before A sent a poll that was still answered
    `queued`. Both together are an inversion; none is tolerated. Who could not be told apart by
    these moments is not judged. Nor may a visitor's position ever rise, over the restart too.
no place lost
    Everyone who drew a number is let in, and nobody is told to queue anew.
"""
import argparse
import asyncio
import bisect
import collections
import contextlib
import json
import pathlib
import random
import signal
import socket
import sys
import tempfile
import time

IDLE = 1.5
# The edge starts the session's clock a little before the origin sees the request.
WINDOW = IDLE - 0.3
PAGES = 3
HOST = "127.0.0.1"

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
limit = 200                         # more than the room lets in: here only the room may hold anyone
queue = "3x"
patience = {{ normal = "2s" }}
[waiting_room.room]
capacity = {capacity}
order = "fifo"
session = {{ idle = "1500ms", max = "1m" }}
claim = "20s"
place_hold = "30m"
max_queue = 100000
[[route]]
name = "all"
path = "/**"
waiting_room = "room"
cache = false
[log]
access = false
"""


def free_port():
    with socket.socket() as s:
        s.bind((HOST, 0))
        return s.getsockname()[1]


async def read_head(reader):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = collections.defaultdict(list)
    for line in head[1:]:
        name, colon, value = line.partition(":")
        if colon:
            fields[name.lower()].append(value.strip())
    return head[0], fields


class Origin:
    """Answers everything and remembers who came when."""

    def __init__(self):
        self.visits = []
        self.now = self.peak = 0

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                _, fields = await read_head(reader)
                visitor = fields.get("x-visitor", [None])[0]
                self.now += 1
                self.peak = max(self.peak, self.now)
                if visitor is not None:
                    self.visits.append((time.monotonic(), visitor))
                try:
                    await asyncio.sleep(0.02)
                finally:
                    self.now -= 1
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n"
                             b"Content-Length: 7\r\n\r\ninside\n")
                await writer.drain()
        writer.close()

    def most_inside(self):
        window, last_of, most = collections.deque(), collections.Counter(), 0
        for at, visitor in sorted(self.visits):
            window.append((at, visitor))
            last_of[visitor] += 1
            while window[0][0] <= at - WINDOW:
                _, gone = window.popleft()
                last_of[gone] -= 1
                if not last_of[gone]:
                    del last_of[gone]
            most = max(most, len(last_of))
        return most


class Connections:
    """A bounded number of kept-alive connections that all visitors share."""

    def __init__(self, port, most):
        self.port, self.free, self.places = port, [], asyncio.Semaphore(most)

    async def get(self, path, fields):
        async with self.places:
            reader, writer = self.free.pop() if self.free else await asyncio.open_connection(HOST, self.port)
            try:
                return await asyncio.wait_for(self.exchange(reader, writer, path, fields), 20)
            except BaseException:
                writer.close()
                raise

    async def exchange(self, reader, writer, path, fields):
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        writer.write(f"GET {path} HTTP/1.1\r\nHost: room.example\r\n{lines}\r\n".encode("latin-1"))
        await writer.drain()
        status, got = await read_head(reader)
        body = await self.body(reader, got)
        if "close" in ",".join(got.get("connection", [])).lower():
            writer.close()
        else:
            self.free.append((reader, writer))
        return int(status.split(" ", 2)[1]), got, body

    @staticmethod
    async def body(reader, fields):
        if "chunked" in ",".join(fields.get("transfer-encoding", [])).lower():
            body = b""
            while size := int((await reader.readline()).split(b";")[0], 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
            return body
        return await reader.readexactly(int(fields.get("content-length", ["0"])[0]))


class Visitor:
    def __init__(self, number, connections):
        self.number, self.connections, self.cookies = number, connections, {}
        self.drawn_sent = self.drawn_answered = None
        self.queued_sent = self.admitted_answered = None
        self.position = None
        self.rises, self.unclear, self.sent_back = [], [], 0
        self.done = False

    async def get(self, path):
        """One answer, however often the edge has to be asked while it is down."""
        while True:
            fields = {"Accept": "application/json", "X-Visitor": str(self.number)}
            if self.cookies:
                fields["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
            sent = time.monotonic()
            try:
                status, got, body = await self.connections.get(path, fields)
            except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
                await asyncio.sleep(random.uniform(0.2, 0.6))
                continue
            for line in got.get("set-cookie", []):
                name, _, value = line.split(";")[0].partition("=")
                if "max-age=0" in line.lower():
                    self.cookies.pop(name.strip(), None)
                else:
                    self.cookies[name.strip()] = value.strip()
            return sent, time.monotonic(), status, body

    async def visit(self):
        seen = 0
        while seen < PAGES:
            sent, answered, status, body = await self.get("/page")
            if status == 200:
                self.admitted_answered = self.admitted_answered or answered
                seen += 1
                if seen < PAGES:
                    await asyncio.sleep(random.uniform(0.05, 0.3))
                continue
            if seen or self.admitted_answered:
                self.sent_back += 1
            try:
                place = json.loads(body)
            except ValueError:
                self.unclear.append((status, body[:80]))
                await asyncio.sleep(1)
                continue
            self.note(place, sent, answered)
            await self.wait(place)
        self.done = True

    async def wait(self, place):
        while place.get("state") != "admitted":
            await asyncio.sleep(place.get("poll_after_seconds", 1) * random.uniform(1, 1.05))
            sent, answered, status, body = await self.get("/.seawall/room/room")
            try:
                place = json.loads(body)
            except ValueError:
                self.unclear.append((status, body[:80]))
                continue
            self.note(place, sent, answered)

    def note(self, place, sent, answered):
        if place.get("state") == "admitted":
            self.admitted_answered = self.admitted_answered or answered
            return
        if self.admitted_answered is None:
            self.queued_sent = sent
        position = place.get("position")
        if position is None:
            return
        if self.drawn_sent is None:
            self.drawn_sent, self.drawn_answered = sent, answered
        if self.position is not None and position > self.position and self.admitted_answered is None:
            self.rises.append((self.position, position))
        self.position = position if self.position is None else min(self.position, position)


def inversions(visitors):
    """Pairs' first members: those who provably came earlier and were let in later than another."""
    let_in = sorted((v.admitted_answered, v.drawn_sent) for v in visitors if v.admitted_answered and v.drawn_sent)
    moments = [at for at, _ in let_in]
    latest_drawn, latest = [], 0.0
    for _, drawn in let_in:
        latest = max(latest, drawn)
        latest_drawn.append(latest)
    found = []
    for v in visitors:
        if v.drawn_answered is None or v.queued_sent is None:
            continue
        before = bisect.bisect_left(moments, v.queued_sent)
        if before and latest_drawn[before - 1] > v.drawn_answered:
            found.append(v.number)
    return found


async def start(args, policy, port):
    process = await asyncio.create_subprocess_exec(*args.command, str(policy), cwd=policy.parent)
    for _ in range(400):
        if process.returncode is not None:
            sys.exit(f"seawall ended with {process.returncode}")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            return process
        await asyncio.sleep(0.05)
    sys.exit(f"seawall does not listen on {port}")


async def storm(args, process, policy, port, origin):
    connections = Connections(port, args.sockets)
    visitors = [Visitor(n, connections) for n in range(args.visitors)]
    began, tasks, killed = time.monotonic(), [], False

    async def arrive():
        for visitor in visitors:
            tasks.append(asyncio.create_task(visitor.visit()))
            await asyncio.sleep(args.ramp / args.visitors)

    arriving = asyncio.create_task(arrive())
    said = 0
    while (done := sum(v.done for v in visitors)) < args.visitors and time.monotonic() - began < args.deadline:
        await asyncio.sleep(0.5)
        for task in tasks:
            if task.done() and task.exception():
                raise task.exception()
        if not killed and not args.no_kill and done >= args.visitors // 2:
            print(f"{time.monotonic() - began:5.0f} s  kill -9, and a restart", flush=True)
            process.kill()
            await process.wait()
            connections.free.clear()
            process, killed = await start(args, policy, port), True
        if time.monotonic() - said > 10:
            said = time.monotonic()
            print(f"{said - began:5.0f} s  {done} done, most inside {origin.most_inside()}", flush=True)
    arriving.cancel()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, arriving, return_exceptions=True)
    return visitors, process, killed


def judge(args, visitors, origin, killed):
    most, late = origin.most_inside(), inversions(visitors)
    rises = [(v.number, *r) for v in visitors for r in v.rises]
    unclear = [u for v in visitors for u in v.unclear]
    back = sum(v.sent_back for v in visitors)
    undone = sum(not v.done for v in visitors)
    queued = sum(v.drawn_sent is not None for v in visitors)
    outcomes = [
        (f"never more than {args.capacity} inside: {most} (requests at once: {origin.peak})",
         most <= args.capacity and origin.peak <= args.capacity),
        (f"order kept: {len(late)} of {queued} who queued were provably overtaken {late[:5]}", not late),
        (f"no position rose: {len(rises)} did {rises[:3]}", not rises),
        (f"no place lost: {undone} never got in, {back} were sent back", not undone and not back),
        (f"every answer was the page or a place: {len(unclear)} were not {unclear[:2]}", not unclear),
        ("there was a kill -9 in the middle", killed or args.no_kill),
    ]
    for text, held in outcomes:
        print(f"{'ok  ' if held else 'FAIL'}  {text}")
    return all(held for _, held in outcomes)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seawall", default="target/release/seawall", help="the binary")
    parser.add_argument("--edge", default="", help="another edge than `seawall run`: a command that takes the policy")
    parser.add_argument("--capacity", type=int, default=50)
    parser.add_argument("--visitors", type=int, default=5000)
    parser.add_argument("--ramp", type=float, default=20, help="seconds over which they come")
    parser.add_argument("--sockets", type=int, default=400)
    parser.add_argument("--deadline", type=float, default=900, help="seconds for the whole storm")
    parser.add_argument("--no-kill", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.command = args.edge.split() or [str(pathlib.Path(args.seawall).resolve()), "run"]
    random.seed(args.seed)
    origin, edge_port = Origin(), free_port()
    server = await asyncio.start_server(origin.serve, HOST, 0, backlog=1024)
    origin_port = server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        policy = pathlib.Path(directory) / "room.toml"
        policy.write_text(
            POLICY.format(edge=edge_port, admin=free_port(), origin=origin_port, capacity=args.capacity))
        process = await start(args, policy, edge_port)
        try:
            visitors, process, killed = await storm(args, process, policy, edge_port, origin)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), 10)
            if process.returncode is None:
                process.kill()
    server.close()
    sys.exit(0 if judge(args, visitors, origin, killed) else 1)


if __name__ == "__main__":
    asyncio.run(main())
