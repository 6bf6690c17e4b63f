"""The rows: what is done to each proxy, what it must reach, and how its figure reads.

A row's `run` gets a Bench, in which origin and proxy are running, and returns its figures: `value`,
by which the median of several rounds is chosen, `holds`, and `text`. The judgement is Seawall's
alone; peers' figures stand beside it. Good is 200 within 500 ms.
"""
import dataclasses
import subprocess
import threading
import typing

from . import storms
from .processes import Origin, fetch
from .storms import stream

CAPACITY = 200  # 4 workers × 20 ms
MIX = {"/page": 1}


@dataclasses.dataclass
class Bench:
    """One proxy in front of one origin, and the generators."""
    args: typing.Any
    port: int
    origin: Origin
    admin: int | None  # Seawall's

    def k6(self, rate, seconds, mix=MIX):
        return storms.k6(self.args.k6, self.port, rate, seconds, mix)

    def storm(self, streams, moments=(), **plan):
        return storms.storm(self.args.storm, self.port, streams, moments, **plan)


@dataclasses.dataclass
class Row:
    name: str
    title: str
    target: str
    run: typing.Callable
    origin: tuple = ()  # its options
    peers: bool = True


def figures(value, holds, text, **more):
    return {"value": value, "holds": bool(holds), "text": text} | more


def percent(share, digits=1):
    return f"{share * 100:.{digits}f} %"


def seconds_or_never(seconds):
    return "never" if seconds is None else f"{seconds:.1f} s"


# --- goodput ------------------------------------------------------------------------------------------

def goodput(factor, least):
    def run(bench):
        seconds = bench.args.seconds
        got = bench.k6(CAPACITY * factor, seconds)
        share = got["goodput"] / CAPACITY
        offered = CAPACITY * factor * seconds
        notes = [f"p99 {got['p99_ms'] or 0:.0f} ms"]
        notes += [f"{got['failed']} failed"] if got["failed"] else []
        # What could not be sent was no storm: said, so that a figure is not taken for more than it is.
        notes += [f"only {factor * (1 - got['unsent'] / offered):.1f} ×"] if got["unsent"] > offered / 100 else []
        return figures(share, share >= least, ", ".join([percent(share), *notes]), k6=got)
    return run


def hundredfold(capacity, good_ms):
    """By the lighter generator; the factor is that of the requests that were really answered."""
    def run(bench):
        seconds = bench.args.seconds * (3 if capacity < CAPACITY else 1)
        rate = capacity * 100
        got = bench.storm([stream("page", "/page", (seconds, rate))], good_ms=good_ms)["page"]
        share = goodput_of(got, seconds) / capacity
        # What comes so late that the storm's end moves out was not sent at this rate.
        lasted = max(seconds, len(got["series"]["came"]) / storms.STEPS)
        factor = (got["visitors"] - got["unsent"]) / lasted / capacity
        text = f"{percent(share)}, p99 {page_ms(got, 'p99'):.0f} ms, {factor:.0f} ×"
        return figures(share, share >= 0.95, text + failures(got), factor=factor, storm=got)
    return run


def goodput_of(got, seconds):
    """Good answers a second, without those that came when the storm was over."""
    return storms.total(got["series"]["good"], 0, seconds) / seconds


def page_ms(got, quantile):
    return (got["page_ms"] or {}).get(quantile, 0)


def failures(got):
    return f", {got['failed']} failed" if got["failed"] else ""


def critical(bench):
    """Checkouts are 30 % of the capacity, and come amid ten times as much as the origin can do."""
    seconds, share = bench.args.seconds * 3, 0.3 / 10
    calm = bench.k6(CAPACITY * 0.3, bench.args.seconds, {"/checkout": 1})
    got = bench.k6(CAPACITY * 10, seconds, {"/checkout": share, "/page": 1 - share})
    checkout = got["paths"]["/checkout"]
    served = checkout["good"] / max(1, checkout["asked"])
    before, under = calm["p99_ms"] or 0, checkout["p99_ms"] or 0
    text = f"{percent(served, 2)}, p99 {before:.0f} → {under:.0f} ms, all {percent(got['goodput'] / CAPACITY)}"
    return figures(served, served >= 0.999 and under <= before + 20, text, calm=calm, k6=got)


# --- change ---------------------------------------------------------------------------------------------

def step(bench):
    before, after = 5, bench.args.seconds
    got = bench.storm([stream("page", "/page", (before, CAPACITY / 2), (after, CAPACITY * 10))])["page"]
    good = got["series"]["good"]
    first = storms.total(good, before, before + 0.5) / (CAPACITY * 0.5)
    rest = storms.total(good, before + 0.5, before + after) / (CAPACITY * (after - 0.5))
    return figures(rest, rest >= 0.95, f"first 500 ms {percent(first)}, then {percent(rest)}", first=first, storm=got)


def halves(less, more):
    """Twice the whole capacity is offered; it halves, and comes back."""
    def run(bench):
        calm = part = max(5, bench.args.seconds)
        back, end = calm + part, calm + 2 * part
        moments = [(calm, lambda: bench.origin.change(**less)), (back, lambda: bench.origin.change(**more))]
        got = bench.storm([stream("page", "/page", (end, CAPACITY * 2))], moments)["page"]
        good, texts, holds, worst = got["series"]["good"], [], True, 1.0
        for begin, until, capacity in ((calm, back, CAPACITY / 2), (back, end, CAPACITY)):
            took = storms.time_until(good, begin, until, capacity * 0.95)
            share = storms.total(good, begin + 2, until) / (capacity * (until - begin - 2))
            holds = holds and took is not None and took <= 2 and share >= 0.95
            worst = min(worst, share)
            texts.append(f"{seconds_or_never(took)} {percent(share)}")
        return figures(worst, holds, " · ".join(texts), storm=got)
    return run


def dead(bench):
    """Nothing listens for 30 s while twice the capacity is offered. A dip is a second under 80 %."""
    calm, gone, after = 5, bench.args.dead, bench.args.dead
    moments = [(calm, lambda: bench.origin.change(dead=True)), (calm + gone, lambda: bench.origin.change(dead=False))]
    end = calm + gone + after
    got = bench.storm([stream("page", "/page", (end, CAPACITY * 2))], moments)["page"]
    good = got["series"]["good"]
    took = storms.time_until(good, calm + gone, end, CAPACITY * 0.95)
    if took is None:
        return figures(-1e9, False, "never", storm=got)
    least = storms.least(good, calm + gone + took, end) / CAPACITY
    dip = f", then down to {percent(least, 0)}" if least < 0.8 else ", no dip"
    return figures(-took, took <= 10 and least >= 0.8, f"{took:.1f} s{dip}", storm=got)


# --- who is refused ---------------------------------------------------------------------------------------

def false_refusals(bench):
    seconds = bench.args.seconds * 3
    got = bench.k6(CAPACITY * 0.9, seconds)
    asked = got["paths"]["/page"]["asked"]
    turned_away = (got["refused"] + got["failed"]) / max(1, asked)
    text = f"{percent(turned_away, 2)} of {asked}, p99 {got['p99_ms'] or 0:.0f} ms"
    return figures(-turned_away, turned_away <= 0.0005, text, k6=got)


def greedy(bench):
    """Each of 51 has an address of its own, in a network of its own."""
    seconds, share = bench.args.seconds, CAPACITY / 51
    streams = [stream(f"polite {n}", "/page", (seconds, share * 0.8), jitter=True, **{"from": f"127.0.{n}.1"})
               for n in range(1, 51)]
    streams.append(stream("greedy", "/page", (seconds, share * 100), **{"from": "127.0.99.1"}))
    got = bench.storm(streams)
    own = got.pop("greedy")
    came = sum(one["visitors"] for one in got.values())
    served = sum(one["good"] for one in got.values()) / came
    least = min(one["good"] / one["visitors"] for one in got.values())
    text = f"{percent(served)}, worst {percent(least, 0)}, greedy {goodput_of(own, seconds):.0f}/s"
    return figures(served, served >= 0.99, text, greedy=own, polite=got)


def retries(bench):
    """Visitors who ask three times more at once, and give up after a second each time."""
    seconds, timeout_ms = bench.args.seconds, 1000
    got = bench.storm([stream("page", "/page", (seconds, CAPACITY * 2), retries=3)], timeout_ms=timeout_ms)["page"]
    origin = bench.origin.stats()
    answered = got["good"] + got["slow"]
    times = origin["requests"] / max(1, answered)
    text = f"{times:.2f} ×, goodput {percent(goodput_of(got, seconds) / CAPACITY)}, {got['attempts']} attempts"
    return figures(-times, answered and times <= 1.05, text, origin=origin, storm=got)


def slow_dependency(load, path="/payment/card"):
    """A tenth of the requests waits 5 s for a payment provider, and holds no worker meanwhile."""
    def run(bench):
        seconds, rest = max(10, bench.args.seconds), CAPACITY * load
        streams = [stream("page", "/page", (seconds, rest), jitter=True),
                   stream("payment", path, (seconds, rest / 9), jitter=True)]
        with Levels(bench.admin) as levels:
            got = bench.storm(streams, timeout_ms=12_000)
        page, payment = got["page"], got["payment"]
        share = page["good"] / page["visitors"]
        paid = (payment["good"] + payment["slow"]) / payment["visitors"]
        text = f"{percent(share)}, paid {percent(paid, 0)}" + ("" if levels.seen <= {"normal"} else f", {levels}")
        return figures(share, share >= 0.98 and "static" not in levels.seen, text, levels=sorted(levels.seen), storm=got)
    return run


class Levels:
    """The levels that Seawall was seen at; of a peer none."""

    def __init__(self, admin):
        self.admin, self.seen, self.over = admin, set(), threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while self.admin and not self.over.wait(0.5):
            self.seen |= {origin["level"] for origin in fetch(self.admin, "/api/v1/status")["origins"]}

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def __str__(self):
        return "level " + ", ".join(sorted(self.seen - {"normal"}))


# --- rate limit keys ----------------------------------------------------------------------------------------

def keys(quota):
    """No sockets and no peers: loadtest/keys.rs judges by itself."""
    def run(args):
        done = subprocess.run([args.keys, "--quota", quota], capture_output=True, text=True)
        lines = done.stdout.splitlines() or [f"FAIL  {done.stderr[-200:]}"]
        text = "; ".join(line[6:] for line in lines if line.startswith("FAIL")) or lines[0][6:]
        return figures(0, done.returncode == 0, text, said=lines)
    return run


COLLAPSING = ("--collapse", "0.5")

ROWS = [
    *(Row(f"goodput-{x}", f"goodput at {x} ×, fixed", "≥ 98 %", goodput(x, 0.98)) for x in (2, 5, 10)),
    *(Row(f"goodput-{x}-collapsing", f"goodput at {x} ×, collapsing", "≥ 95 %", goodput(x, 0.95), COLLAPSING)
      for x in (2, 5, 10)),
    Row("goodput-100", "goodput at 100 × 20/s (4 × 200 ms, good ≤ 1 s)", "≥ 95 %", hundredfold(20, 1000),
        ("--service", "200ms")),
    Row("goodput-100-fast", "goodput at 100 × 200/s", "≥ 95 %", hundredfold(CAPACITY, 500)),
    Row("critical", "critical, 30 % of capacity, at 10 ×", "≥ 99.9 %, p99 ≤ + 20 ms", critical),
    Row("step", "step 0.5 → 10 ×", "≥ 95 % after 500 ms", step),
    Row("halves-workers", "half the workers, then all (2 × offered)", "≥ 95 % within 2 s, twice",
        halves({"workers": 2}, {"workers": 4})),
    Row("halves-speed", "half as fast, then as before (2 × offered)", "≥ 95 % within 2 s, twice",
        halves({"service_ms": 40}, {"service_ms": 20})),
    Row("dead", "origin dead 30 s (2 × offered)", "≥ 95 % within 10 s, no dip", dead),
    Row("false-refusals", "refused at 0.9 ×, lognormal", "≤ 0.05 %", false_refusals, ("--lognormal", "0.5")),
    Row("greedy", "one at 100 × its share, 50 polite", "polite ≥ 99 %", greedy),
    Row("retries", "3 retries at once: origin requests per answer", "≤ 1.05 ×", retries),
    *(Row(f"slow-dependency-{round(load * 100)}", f"payment takes 5 s, the rest at {load} ×",
          "rest ≥ 98 %, not static", slow_dependency(load)) for load in (0.5, 0.9)),
    Row("slow-hidden-90", "the same at 0.9 ×, on a path that no route names", "rest ≥ 98 %, not static",
        slow_dependency(0.9, "/shop/payment")),
    *(Row(f"keys-{name}", f"10 M random keys, {quota}", "≤ 64 MiB, honest ones right", keys(quota), peers=False)
      for name, quota in (("fast", "10/s"), ("slow", "5/min"))),
]
