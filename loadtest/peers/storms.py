"""The two generators, both open-loop: k6 with overload.js, and the storm of loadtest/storm."""
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import time

from .processes import HOST, Broken

OVERLOAD = pathlib.Path(__file__).resolve().parent.parent / "overload.js"
STEPS = 10  # of the storm's series, a second


def k6(program, port, rate, seconds, mix):
    """`mix`: path → share. Figures as overload.js gives them."""
    with tempfile.TemporaryDirectory() as directory:
        summary = pathlib.Path(directory) / "summary.json"
        # MIN_SHARE=0: the judgement is made here.
        environment = os.environ | {
            "BASE": f"http://{HOST}:{port}", "CAPACITY": str(rate), "FACTOR": "1", "SECONDS": str(seconds),
            "MIX": json.dumps(mix), "SUMMARY": str(summary), "MIN_SHARE": "0"}
        done = subprocess.run([program, "run", "--quiet", "--no-usage-report", str(OVERLOAD)],
                              env=environment, capture_output=True, text=True)
        if not summary.exists():
            raise Broken(f"k6 failed:\n{done.stderr[-2000:]}")
        return json.loads(summary.read_text())


def storm(program, port, streams, moments=(), **plan):
    """Figures of each stream, by name. `moments`: (second, what to do then)."""
    plan = {"target": f"{HOST}:{port}", "streams": streams} | plan
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        process.stdin.write(json.dumps(plan))
        process.stdin.close()
        first = process.stderr.readline()
        if first != "began\n":
            raise Broken(f"the storm failed:\n{first}{process.stderr.read()[-2000:]}")
        began, answer = time.monotonic(), []
        # Read meanwhile: a pipe that nobody reads would block it.
        reader = threading.Thread(target=lambda: answer.append(process.stdout.read()))
        reader.start()
        for second, act in moments:
            time.sleep(max(0.0, began + second - time.monotonic()))
            act()
        reader.join()
        if process.wait() != 0:
            raise Broken(f"the storm failed:\n{process.stderr.read()[-2000:]}")
        return json.loads(answer[0])["streams"]
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def stream(name, path, *phases, **more):
    """`phases`: (seconds, visitors a second)."""
    return {"name": name, "path": path, "phases": [{"seconds": s, "rate": r} for s, r in phases]} | more


def total(series, begin, end):
    """What was counted between two seconds."""
    return sum(series[round(begin * STEPS):round(end * STEPS)])


def time_until(series, begin, end, rate):
    """Seconds from `begin` to the first second in which so many were counted; none if never."""
    for step in range(round(begin * STEPS), round((end - 1) * STEPS) + 1):
        if sum(series[step:step + STEPS]) >= rate:
            return step / STEPS - begin
    return None


def least(series, begin, end):
    """The fewest counted in any second between the two."""
    windows = [sum(series[step:step + STEPS]) for step in range(round(begin * STEPS), round((end - 1) * STEPS) + 1)]
    return min(windows, default=0)
