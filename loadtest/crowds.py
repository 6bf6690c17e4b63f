"""Starts Seawall and the crowd of loadtest/crowd, and hands over what it saw: for room.py and release.py."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

HOST = "127.0.0.1"
TICKS = os.sysconf("SC_CLK_TCK")


def arguments(parser):
    """What both scripts take."""
    parser.add_argument("--seawall", default="target/release/seawall", help="the binary")
    parser.add_argument("--crowd", default="target/release/examples/crowd", help="the generator")
    parser.add_argument("--json", metavar="FILE", help="write all figures there")
    parser.add_argument("--seed", type=int, default=1)


class Seawall:
    """`seawall run` on a policy; killed and started again it is the same one."""

    def __init__(self, binary, policy, port):
        self.command, self.policy, self.port = [str(pathlib.Path(binary).resolve()), "run"], policy, port
        self.process, self.successors, self.cpu_before, self.memory = None, [], 0.0, 0

    def start(self):
        self.process = subprocess.Popen([*self.command, str(self.policy)], cwd=self.policy.parent)
        for _ in range(400):
            if self.process.poll() is not None:
                sys.exit(f"seawall ended with {self.process.returncode}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return self
            time.sleep(0.05)
        sys.exit(f"seawall does not listen on {self.port}")

    def kill(self):
        self.cpu_before = self.cpu()
        self.process.kill()
        self.process.wait()

    def pid(self):
        return self.successors[-1] if self.successors else self.process.pid

    def hand_over(self):
        """QUIT: a new process of the same binary goes on, and the old one ends when its connections have."""
        old = self.pid()
        children = pathlib.Path(f"/proc/{old}/task/{old}/children")
        before = self.cpu()
        os.kill(old, signal.SIGQUIT)
        for _ in range(400):
            if started := children.read_text().split():
                # What the old one still does is not counted.
                self.successors.append(int(started[0]))
                self.cpu_before = before
                return
            time.sleep(0.02)
        sys.exit("seawall started no new process")

    def cpu(self):
        """Seconds of CPU, over all its lives."""
        fields = pathlib.Path(f"/proc/{self.pid()}/stat").read_text().rsplit(")", 1)[1].split()
        status = pathlib.Path(f"/proc/{self.pid()}/status").read_text()
        self.memory = max(self.memory, int(status.split("VmRSS:")[1].split()[0]) // 1024)
        return self.cpu_before + (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        for pid in self.successors:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()


def run(args, seawall, plan, each=lambda progress: None):
    """Lets the crowd come; `each` hears of it once a second. The figures, with the edge's CPU among them."""
    began = time.monotonic()
    crowd = subprocess.Popen([args.crowd], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    crowd.stdin.write(json.dumps(plan))
    crowd.stdin.close()
    figures, said, cpu, at = None, 0.0, seawall.cpu(), 0
    for line in crowd.stdout:
        message = json.loads(line)
        if "figures" in message:
            figures = message["figures"]
            break
        progress = message["progress"]
        now = time.monotonic()
        if now - said >= 10:
            used, asked = seawall.cpu() - cpu, progress["requests"] - at
            cpu, at = cpu + used, progress["requests"]
            print(f"{now - began:5.0f} s  {progress['came']} came, {progress['inside']} inside, {progress['came_in']} came in, "
                  f"{progress['gone']} gone; {asked / max(now - said, 1) if said else 0:.0f} requests/s", flush=True)
            said = now
        each(progress)
    if crowd.wait() != 0 or figures is None:
        sys.exit(f"the crowd ended with {crowd.returncode}")
    figures["cpu_seconds"], figures["memory_mib"] = seawall.cpu(), seawall.memory
    return figures


def verdict(outcomes):
    """Says what held; the exit code."""
    for text, held in outcomes:
        print(f"{'ok  ' if held else 'FAIL'}  {text}")
    return 0 if all(held for _, held in outcomes) else 1
