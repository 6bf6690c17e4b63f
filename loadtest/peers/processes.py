"""Processes that are started, waited for and ended; the origin and its control."""
import contextlib
import json
import pathlib
import resource
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from ports import free_port

HOST = "127.0.0.1"


class Broken(Exception):
    """A run without a figure: what was started did not live."""


def raise_file_limit():
    """For every process started from here: a storm takes thousands of sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextlib.contextmanager
def running(command, port, directory):
    """A server, from the moment it listens."""
    command = [str(part) for part in command]
    said = pathlib.Path(directory) / f"{pathlib.Path(command[0]).name}.stderr"
    with said.open("w") as stderr:  # a file: a pipe that nobody reads would fill up and block it
        process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        wait_until_open(process, port, said)
        yield process
        if process.poll() is not None:
            raise Broken(f"{command[0]} ended with {process.returncode}:\n{said.read_text()[-2000:]}")
    finally:
        end(process)


def wait_until_open(process, port, said):
    for _ in range(200):
        if process.poll() is not None:
            raise Broken(f"{process.args[0]} ended with {process.returncode}:\n{said.read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), 0.5):
            return
        time.sleep(0.05)
    raise Broken(f"{process.args[0]}: nothing listens on {port}")


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Origin:
    """The modelled origin, and the port by which it is changed while it is stormed."""

    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.port, self.control = free_port(), free_port()

    def running(self, options):
        listen = ["--listen", f"{HOST}:{self.port}", "--control", f"{HOST}:{self.control}"]
        return running([self.program, *listen, *options], self.port, self.directory)

    def change(self, **what):
        """See `Change` in loadtest/origin/main.rs."""
        request = urllib.request.Request(
            f"http://{HOST}:{self.control}/control", json.dumps(what).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def stats(self):
        return fetch(self.control, "/stats")


def fetch(port, path):
    with urllib.request.urlopen(f"http://{HOST}:{port}{path}", timeout=5) as answer:
        return json.load(answer)
