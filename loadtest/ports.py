"""Free ports for the servers of a load test.

They lie below the range that connections draw their own from: of those, tens of thousands linger after a storm
(TIME_WAIT), and a server can't listen on one of them.
"""
import contextlib
import pathlib
import random
import socket

HOST = "127.0.0.1"
LEAST = 10_240


def free_ports(*names):
    """A port for each: all are held until the last is drawn, so that no two are the same."""
    ephemeral = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    with contextlib.ExitStack() as held:
        return {name: _draw(held, max(ephemeral, LEAST + 1024)) for name in names}


def free_port():
    """One."""
    return free_ports("one")["one"]


def _draw(held, below):
    for _ in range(1000):
        listener = held.enter_context(socket.socket())
        with contextlib.suppress(OSError):
            listener.bind((HOST, random.randrange(LEAST, below)))
            return listener.getsockname()[1]
    raise OSError(f"no port is free below {below}")
