#!/usr/bin/env python3
"""The cache against the conformance suite of cache-tests.fyi (npm: http-cache-tests, BSD-3-Clause).

Fetches the suite into target/cache-tests, starts its server and Seawall before it, and prints how many of its
required and optional behaviours pass, and what does not. Why not is told in docs/rfc9111.md. Needs node and npm:

    sudo apt-get install --no-install-recommends nodejs npm
    python3 loadtest/conformance.py
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from ports import free_ports

SUITE = "http-cache-tests@0.4.5"
POLICY = """
[edge]
listen = ["127.0.0.1:{edge}"]
[admin]
listen = "127.0.0.1:{admin}"
[origin.suite]
servers = ["127.0.0.1:{suite}"]
[origin.suite.concurrency]
mode = "fixed"                  # it asks a hundred things at once, from the first moment on
limit = 200
[cache.page]
ttl = "heuristic"
request_directives = "always"   # the suite asks one by one: nobody is attacked by it
stale_if_error = "0s"
negative_ttl = "0s"
compress = false
[[route]]
cache = "page"
[log]
access = false
"""
# Prints, for each behaviour, its kind and its result, by the suite's own judgement.
SUMMARY = """
import fs from 'fs'
import tests from './tests/index.mjs'
import { determineTestResult } from './lib/display.mjs'
const results = JSON.parse(fs.readFileSync(process.argv[2]))
const rows = tests.flatMap(suite => suite.tests).filter(test => !test.browser_only).map(test =>
  [test.kind || 'required', determineTestResult(tests, test.id, results, false)[2], test.id, (results[test.id] || [])[1]])
console.log(JSON.stringify(rows))
"""


def fetched():
    """The suite, fetched once."""
    home = pathlib.Path("target/cache-tests")
    if not (home / "node_modules").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        packed = subprocess.run(["npm", "pack", SUITE, "--silent"], cwd=home, check=True, capture_output=True, text=True)
        subprocess.run(["tar", "xzf", packed.stdout.split()[-1], "--strip-components=1"], cwd=home, check=True)
        subprocess.run(["npm", "install", "--omit=dev", "--silent", "--no-audit", "--no-fund"], cwd=home, check=True)
    return home


@contextlib.contextmanager
def running(command, port, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
                break
            time.sleep(0.05)
        else:
            sys.exit(f"{command[0]} does not answer")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seawall", default="target/release/seawall", help="the binary")
    args = parser.parse_args()
    if missing := [program for program in ("node", "npm", "tar") if not shutil.which(program)]:
        sys.exit(f"missing: {', '.join(missing)}; sudo apt-get install --no-install-recommends nodejs npm tar")
    home, seawall = fetched(), str(pathlib.Path(args.seawall).resolve())
    ports = free_ports("edge", "admin", "suite")
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        (directory / "seawall.toml").write_text(POLICY.format(**ports))
        said = {"npm_config_protocol": "http", "npm_config_port": str(ports["suite"]), "npm_config_id": "",
                "npm_package_config_id": "", "npm_config_pidfile": str(directory / "pid"),
                "npm_config_base": f"http://127.0.0.1:{ports['edge']}"}
        environment = {**os.environ, **said}
        with running(["node", "server/server.mjs"], ports["suite"], cwd=home, env=environment), \
                running([seawall, "run"], ports["edge"], cwd=directory):
            ran = subprocess.run(["node", "--no-warnings", "cli.mjs"], cwd=home, env=environment, timeout=600,
                                 check=True, capture_output=True, text=True)
        (directory / "results.json").write_text(ran.stdout)
        (home / "summary.mjs").write_text(SUMMARY)
        told = subprocess.run(["node", "--no-warnings", "summary.mjs", str(directory / "results.json")], cwd=home,
                              check=True, capture_output=True, text=True)
    rows = json.loads(told.stdout)
    for kind, name in (("required", "required"), ("optimal", "optional")):
        of_kind = [row for row in rows if row[0] == kind]
        print(f"{name}: {sum(row[1] == '✅' for row in of_kind)} of {len(of_kind)}")
        for _, result, test, why in of_kind:
            if result != "✅":
                print(f"    {test}: {str(why)[:100]}")


if __name__ == "__main__":
    main()
