#!/usr/bin/env python3
"""What a request costs the server: CPU time against nginx in one run, and memory per idle connection.

Server on core 0, generator (wrk) and origin (nginx with a 1 KiB file) on core 1, loopback,
keep-alive, 64 connections, access logs off, one worker on either side. nginx and Seawall are
measured in turns, so that what else the machine does meets both. CPU is user + system of the
server's whole process tree from /proc, divided by the requests answered; the figure of a row is
the median of its rounds. Needs Linux, two cores, wrk and nginx.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from ports import free_port

SERVER_CORE, LOAD_CORE = 0, 1
CONNECTIONS = 64
BODY = b"seawall " * 128  # 1 KiB
LARGE = BODY * 10
BODIES = {"/hit": BODY, "/pass": BODY, "/large": LARGE}
TICKS = os.sysconf("SC_CLK_TCK")
PER_SOURCE = 2_500  # idle connections from one 127.0.0.x address

POLICY = """
[edge]
listen = ["127.0.0.1:{port}"]
threads = 1
max_connections = 20000
max_connections_per_client = 20000
idle_timeout = "10m"
[admin]
listen = "127.0.0.1:{admin}"
[keys]
file = "seawall.keys"
[state]
dir = "state"
[origin.file]
servers = ["127.0.0.1:{origin}"]
[origin.file.concurrency]
mode = "fixed"
limit = 1024
[rate_limit.none]
key = "client_net"      # the whole of 127.0.0.0/24 at once
quota = "1/h"
burst = 1
[waiting_room.full]
capacity = 1
session = {{ idle = "1h", max = "2h" }}
claim = "1h"
place_hold = "2h"
[cache.page]
ttl = "60s"
[[route]]
path = "/refused"
rate_limit = "none"
[[route]]
path = "/room"
waiting_room = "full"
[[route]]
path = ["/hit", "/large"]
cache = "page"
[[route]]
path = "/pass"
cache = false
[log]
access = false
"""

NGINX = """
{user}
worker_processes 1;
worker_rlimit_nofile {files};
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    sendfile off;                   # costs nginx less for so small a file
    open_file_cache max=64;         # and so does this: nginx at its best
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {http}
}}
"""

NGINX_SERVER = """
    proxy_cache_path {directory}/cache keys_zone=page:10m;
    upstream file {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 1000000000; }}
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /refused {{ return 503; }}
        location = /hit {{ proxy_pass http://file; proxy_cache page; proxy_cache_valid 200 60s; }}
        location = /large {{ proxy_pass http://file; proxy_cache page; proxy_cache_valid 200 60s; }}
        location = /pass {{ proxy_pass http://file; }}
    }}
"""

NGINX_ORIGIN = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {directory}/www;
        location = /origin-counts {{ stub_status; }}
    }}
"""

# No function that wrk calls for each request: the script costs the generator nothing.
WRK_SCRIPT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nFIGURES {"requests":%d,"status":%d,"socket":%d,"p99_us":%d}\\n',
    summary.requests, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(99)))
end
"""


class Case:
    """One row: a request to Seawall and the one to nginx that it is compared with."""

    def __init__(self, name, path, status, against, budget, headers=None, ticket=False, origin=None):
        self.name, self.path, self.status, self.against, self.budget = name, path, status, against, budget
        self.headers, self.ticket, self.origin = headers or {}, ticket, origin


JSON = {"Accept": "application/json"}
HTML = {"Accept": "text/html"}
CASES = [
    Case("refusal: rate limit, 429", "/refused", 429, "/refused", 1.0, origin="none"),
    Case("room page, 503", "/room", 503, "/refused", 1.2, HTML, ticket=True, origin="none"),
    Case("room, JSON, 503", "/room", 503, "/refused", 1.2, JSON, ticket=True, origin="none"),
    Case("room poll, JSON, 200", "/.seawall/room/full", 200, "/refused", 1.2, JSON, ticket=True, origin="none"),
    Case("cache hit, 1 KiB", "/hit", 200, "/hit", 0.7, origin="none"),
    Case("cache hit, 10 KiB", "/large", 200, "/large", 0.9, origin="none"),
    Case("pass-through, 1 KiB", "/pass", 200, "/pass", 2.2, origin="each"),
]


def needs(programs):
    packages = {"wrk": "wrk", "nginx": "nginx-light", "strace": "strace"}
    missing = [p for p in programs if not shutil.which(p, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}; on Debian or Ubuntu:\n"
                 f"    sudo apt-get install --no-install-recommends {' '.join(packages[p] for p in missing)}")


def on_core(core):
    return lambda: os.sched_setaffinity(0, {core})


# --- the servers -----------------------------------------------------------------------------------

@contextlib.contextmanager
def running(command, port, core, cwd):
    said = pathlib.Path(cwd) / "stderr"  # a file: a pipe that nobody reads would fill up and block it
    with said.open("w") as stderr:
        process = subprocess.Popen(command, cwd=cwd, preexec_fn=on_core(core), stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        for _ in range(200):
            if process.poll() is not None:
                sys.exit(f"{command[0]} ended with {process.returncode}:\n{said.read_text()[-2000:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.5):
                break
            time.sleep(0.05)
        else:
            sys.exit(f"{command[0]}: nothing listens on {port}")
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def nginx(directory, http, core, **values):
    directory.mkdir()
    port = free_port()
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Workers stay the user who started this: the temporary directory is theirs.
    user = "user root;" if os.geteuid() == 0 else ""
    conf = directory / "nginx.conf"
    values |= {"directory": directory, "port": port}
    conf.write_text(NGINX.format(user=user, files=min(files, 65536), directory=directory, http=http.format(**values)))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    with running([program, "-e", "stderr", "-p", str(directory), "-c", str(conf)], port, core, directory) as pid:
        yield Server("nginx", pid, port)


@contextlib.contextmanager
def seawall(args, directory, origin):
    directory.mkdir()
    port = free_port()
    policy = directory / "policy.toml"
    policy.write_text(POLICY.format(port=port, admin=free_port(), origin=origin))
    with running([args.seawall, "run", str(policy)], port, SERVER_CORE, directory) as pid:
        yield Server("seawall", pid, port)


class Server:
    def __init__(self, name, pid, port):
        self.name, self.pid, self.port = name, pid, port
        self.ticket = None

    def tree(self):
        """The process and all below it."""
        children = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    children.setdefault(parent, []).append(int(entry.name))
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += children.get(pid, [])
        return found

    def cpu(self):
        """User + system seconds, all threads."""
        total = 0
        for pid in self.tree():
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def rss(self):
        """Resident bytes."""
        text = "".join(pathlib.Path(f"/proc/{pid}/status").read_text() for pid in self.tree())
        return sum(int(kib) for kib in re.findall(r"VmRSS:\s+(\d+) kB", text)) * 1024


# --- single requests, to see that each case is what it says ------------------------------------------

def head_of(port, path, headers):
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def answer_on(connection):
    """Status, fields and body of one answer with a Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise OSError("closed before an answer")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in rest:
        name, _, value = line.partition(":")
        fields.setdefault(name.lower(), []).append(value.strip())
    length = int(fields.get("content-length", ["0"])[0])
    while len(body) < length:
        more = connection.recv(65536)
        if not more:
            raise OSError("closed within an answer")
        body += more
    return int(first.split()[1]), fields, body


def ask(port, path, headers, times=1):
    """The last of `times` answers over one connection; fails if the connection was not kept."""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        for _ in range(times):
            connection.sendall(head_of(port, path, headers))
            answer = answer_on(connection)
    return answer


def take_ticket(server):
    """Fills the room with one visitor, then draws a place behind."""
    ask(server.port, "/room", HTML)
    status, fields, _ = ask(server.port, "/room", HTML)
    if status != 503 or "set-cookie" not in fields:
        sys.exit(f"the room gave {status} and no ticket to a second visitor")
    server.ticket = "; ".join(cookie.partition(";")[0] for cookie in fields["set-cookie"])


def request_of(case, server):
    """Path, status and fields: nginx gets the same fields, for it has to read them too."""
    headers = case.headers | ({"Cookie": server.ticket} if case.ticket else {})
    if server.name == "nginx":
        return case.against, (503 if case.against == "/refused" else 200), headers
    return case.path, case.status, headers


def verify(case, server):
    path, status, headers = request_of(case, server)
    got, fields, body = ask(server.port, path, headers, times=3)
    if got != status:
        sys.exit(f"{case.name}: {server.name} answers {got} to {path}, not {status}")
    if status == 200 and body != BODIES.get(path, body):
        sys.exit(f"{case.name}: {server.name} sends another body ({len(body)} bytes)")
    if case.ticket and server.name == "seawall" and case.headers == JSON and json.loads(body)["state"] != "queued":
        sys.exit(f"{case.name}: not queued: {body[:300]}")
    return len(body)


def origin_requests(port):
    _, _, body = ask(port, "/origin-counts", {})
    return int(body.split()[9])  # accepts, handled, requests


# --- the measurement ----------------------------------------------------------------------------------

def storm(case, server, seconds, script):
    path, _, headers = request_of(case, server)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script)]
    for name, value in headers.items():
        command += ["-H", f"{name}: {value}"]
    done = subprocess.run([*command, f"http://127.0.0.1:{server.port}{path}"], capture_output=True, text=True,
                          preexec_fn=on_core(LOAD_CORE), check=True)
    return json.loads(re.search(r"FIGURES (.*)", done.stdout)[1])


def measure(case, server, origin_port, seconds, script):
    _, status, _ = request_of(case, server)
    before_origin, before = origin_requests(origin_port), server.cpu()
    figures = storm(case, server, seconds, script)
    figures["cpu_us"] = (server.cpu() - before) * 1e6 / max(figures["requests"], 1)
    seen = origin_requests(origin_port) - before_origin
    expected = figures["requests"] if status >= 400 else 0
    faults = []
    if figures["requests"] == 0:
        faults.append("nothing answered")
    if figures["status"] != expected:
        faults.append(f"{figures['status']} answers of 4xx or 5xx where {expected} belong")
    if figures["socket"]:
        faults.append(f"{figures['socket']} socket errors")
    if case.origin == "none" and seen > 100:
        faults.append(f"the origin got {seen} requests")
    if case.origin == "each" and seen < figures["requests"]:
        faults.append(f"the origin got only {seen} requests")
    figures["faults"] = faults
    return figures


def syscalls(case, server, seconds, script):
    """System calls a request, by strace: counts only, its times mean nothing."""
    with tempfile.NamedTemporaryFile("r") as out:
        attach = [arg for pid in server.tree() for arg in ("-p", str(pid))]
        strace = subprocess.Popen(["strace", "-f", "-c", "-o", out.name, *attach], stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        figures = storm(case, server, seconds, script)
        strace.send_signal(signal.SIGINT)
        strace.wait()
        rows = [line.split() for line in out.read().splitlines()[2:]]
    counts = {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}
    return {name: round(n / figures["requests"], 3) for name, n in counts.items() if n / figures["requests"] >= 0.01}


def idle_memory(server, path, status, wanted):
    """Bytes of RSS a connection that has had one refusal and waits for its next request."""
    with contextlib.ExitStack() as held:
        for _ in range(4):
            ask(server.port, path, HTML)
        time.sleep(0.5)
        before = server.rss()
        connections = []
        for i in range(wanted):
            try:
                connection = held.enter_context(socket.socket())
                connection.settimeout(10)
                connection.bind((f"127.0.0.{2 + i // PER_SOURCE}", 0))
                connection.connect(("127.0.0.1", server.port))
                connection.sendall(head_of(server.port, path, HTML))
                got, _, _ = answer_on(connection)
            except OSError as error:
                print(f"{server.name}: stopped at {len(connections)} connections: {error}", file=sys.stderr)
                break
            if got != status:
                sys.exit(f"{server.name}: {got} on an idle connection's request, not {status}")
            connections.append(connection)
        time.sleep(2)
        used = server.rss() - before
        # Still there, and still served.
        for connection in (connections[0], connections[-1]):
            connection.sendall(head_of(server.port, path, HTML))
            answer_on(connection)
        return {"connections": len(connections), "bytes": used / len(connections)}


def run_memory(args, directory, origin_port):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    wanted = min(args.idle, hard - 256)
    figures = {}
    with nginx(directory / "nginx-idle", NGINX_SERVER, SERVER_CORE, origin=origin_port) as server:
        figures["nginx"] = idle_memory(server, "/refused", 503, wanted)
    with seawall(args, directory / "seawall-idle", origin_port) as server:
        ask(server.port, "/refused", HTML, times=2)
        figures["seawall"] = idle_memory(server, "/refused", 429, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return figures


def run_cpu(args, directory, origin, script):
    rows = []
    with nginx(directory / "nginx", NGINX_SERVER, SERVER_CORE, origin=origin.port) as theirs, \
            seawall(args, directory / "seawall", origin.port) as ours:
        ask(ours.port, "/refused", HTML, times=2)  # takes the burst
        take_ticket(ours)
        theirs.ticket = ours.ticket
        cases = [case for case in CASES if args.only in case.name]
        for case in cases:
            sizes = {server.name: verify(case, server) for server in (theirs, ours)}
            for server in (theirs, ours):
                storm(case, server, 1, script)  # warm
            rounds = {"nginx": [], "seawall": []}
            for _ in range(args.rounds):
                for server in (theirs, ours):
                    rounds[server.name].append(measure(case, server, origin.port, args.seconds, script))
            for server in (theirs, ours):
                verify(case, server)
            row = {"case": case.name, "budget": case.budget, "body_bytes": sizes}
            for name, figures in rounds.items():
                row[name] = {
                    "cpu_us": statistics.median(f["cpu_us"] for f in figures),
                    "rounds_us": [round(f["cpu_us"], 2) for f in figures],
                    "requests": sum(f["requests"] for f in figures),
                    "faults": sorted({fault for f in figures for fault in f["faults"]}),
                }
            row["ratio"] = row["seawall"]["cpu_us"] / row["nginx"]["cpu_us"]
            if args.syscalls:
                for server in (theirs, ours):
                    row[server.name]["syscalls"] = syscalls(case, server, 2, script)
            rows.append(row)
            show_row(row)
    return rows


def show_head():
    print(f"{'CPU a request, µs':26}{'nginx':>8}{'seawall':>9}{'ratio':>8}{'budget':>8}      answered (nginx / seawall), faults")


def show_row(row):
    theirs, ours = row["nginx"], row["seawall"]
    faults = [f"{name}: {fault}" for name in ("nginx", "seawall") for fault in row[name]["faults"]]
    verdict = "INVALID" if faults else "ok" if row["ratio"] <= row["budget"] else "OVER"
    print(f"{row['case']:26}{theirs['cpu_us']:8.2f}{ours['cpu_us']:9.2f}{row['ratio']:8.2f}{row['budget']:8.1f}"
          f"  {verdict:4}{theirs['requests']:>9} / {ours['requests']}  {'; '.join(faults)}")
    sizes = row["body_bytes"]
    print(f"{'':26}rounds: nginx {theirs['rounds_us']}  seawall {ours['rounds_us']};"
          f" body: {sizes['nginx']} / {sizes['seawall']} bytes")
    for name in ("nginx", "seawall"):
        if "syscalls" in row[name]:
            counts = ", ".join(f"{call} {n:g}" for call, n in row[name]["syscalls"].items())
            print(f"{'':26}system calls: {name}: {counts}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seawall", default="target/release/seawall", help="the binary")
    parser.add_argument("--seconds", type=int, default=4, help="of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only cases whose name holds this")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections for the memory figure; 0: none")
    parser.add_argument("--syscalls", action="store_true", help="system calls a request as well, by strace")
    parser.add_argument("--json", action="store_true", help="the figures as JSON on standard output")
    args = parser.parse_args()
    needs(["wrk", "nginx"] + (["strace"] if args.syscalls else []))
    if (os.cpu_count() or 1) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")
    args.seawall = str(pathlib.Path(args.seawall).resolve())
    if not os.access(args.seawall, os.X_OK):
        sys.exit(f"{args.seawall} is no program; `cargo build --release` first")
    report = sys.stdout
    if args.json:
        sys.stdout = sys.stderr
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # nginx's cache is read from memory
    with tempfile.TemporaryDirectory(dir=memory, prefix="seawall-cpu-") as directory:
        directory = pathlib.Path(directory)
        script = directory / "figures.lua"
        script.write_text(WRK_SCRIPT)
        www = directory / "origin" / "www"
        with contextlib.ExitStack() as stack:
            origin = stack.enter_context(nginx(directory / "origin", NGINX_ORIGIN, LOAD_CORE))
            www.mkdir()
            for name in ("hit", "pass", "room", "refused"):
                (www / name).write_bytes(BODY)
            (www / "large").write_bytes(LARGE)
            show_head()
            rows = run_cpu(args, directory, origin, script)
            idle = run_memory(args, directory, origin.port) if args.idle else {}
    for name, figures in idle.items():
        print(f"memory per idle connection, {name}: {figures['bytes']:.0f} bytes ({figures['connections']} connections)")
    if args.json:
        json.dump({"cpu": rows, "idle": idle}, report, indent=1)
        report.write("\n")
    is_bad = any(row["ratio"] > row["budget"] or row["nginx"]["faults"] or row["seawall"]["faults"] for row in rows)
    sys.exit(1 if is_bad else 0)


if __name__ == "__main__":
    main()
