#!/usr/bin/env python3
"""A real site as its snapshot: documentation of a Debian package, served by nginx, is taken; the origin is
killed; then every page is asked for at the edge and compared byte for byte, and every link on every page is
followed, on the live site and on the static one.

    sudo apt-get install --no-install-recommends nginx-light postgresql-doc
    python3 loadtest/static_site.py

Exit code 1 if a page is missing or differs, or a link is broken that the live site's is not.
"""
import argparse
import glob
import html.parser
import http.client
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

from ports import free_port

PAGES_MIN = 500
SITE = "http://site.invalid"


class Links(html.parser.HTMLParser):
    """The URLs that a browser would fetch or follow."""

    def __init__(self):
        super().__init__()
        self.found, self.base = set(), ""

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "base":
            self.base = attrs.get("href") or ""
        names = {"a": ["href"], "area": ["href"], "link": ["href"], "iframe": ["src"], "object": ["data"]}
        for name in names.get(tag, ["src", "poster"]):
            if attrs.get(name):
                self.found.add(attrs[name].strip())
        for candidate in (attrs.get("srcset") or "").split(", "):
            if candidate.split():
                self.found.add(candidate.split()[0])


def links_of(target, content_type, body):
    """Paths on the same site, without fragments."""
    if "html" in content_type:
        parser = Links()
        parser.feed(body.decode("utf-8", "replace"))
        found, base = parser.found, parser.base
    elif "css" in content_type:
        text = re.sub(r"/\*.*?\*/", "", body.decode("utf-8", "replace"), flags=re.S)
        found = {m[1] for m in re.finditer(r"url\(\s*['\"]?([^'\")]+)", text)}
        base = ""
    else:
        return set()
    page = urllib.parse.urljoin(SITE + target, base)
    links = set()
    for link in found:
        try:
            parts = urllib.parse.urlsplit(urllib.parse.urljoin(page, link))
        except ValueError:
            continue
        if f"{parts.scheme}://{parts.netloc}" == SITE:
            links.add(parts.path + (f"?{parts.query}" if parts.query else ""))
    return links


class Client:
    def __init__(self, port):
        self.port, self.connection = port, None

    def get(self, target):
        """Status, content type, body; redirects of the site are followed."""
        for _ in range(5):
            self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                self.connection.request("GET", urllib.parse.quote(target, safe="/%?=&;+,:@!$'()*~-._"))
                answer = self.connection.getresponse()
                body = answer.read()
            except (http.client.HTTPException, OSError):
                self.connection.close()
                self.connection = None
                continue
            if answer.status not in (301, 302, 303, 307, 308):
                return answer.status, answer.headers.get("content-type", ""), body
            target = urllib.parse.urlsplit(urllib.parse.urljoin(SITE + target, answer.headers["location"])).path
        return 0, "", b""


def walk(port):
    """Every page that links lead to from `/`: its body's hash is not needed, the body is; and the broken links."""
    client, seen, queue, pages, checked, broken = Client(port), {"/"}, ["/"], {}, 0, set()
    while queue:
        target = queue.pop()
        status, content_type, body = client.get(target)
        if status != 200:
            broken.add(target)
            continue
        pages[target] = (content_type, body)
        for link in links_of(target, content_type, body):
            checked += 1
            if link not in seen:
                seen.add(link)
                queue.append(link)
    return pages, checked, broken


def wait_for(port, process):
    for _ in range(300):
        if process.poll() is not None:
            sys.exit(f"{process.args[0]} ended at once: {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{process.args[0]} does not listen")


def nginx(directory, root):
    port = free_port()
    temporary = "".join(f"  {kind}_temp_path {directory}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (directory / "nginx.conf").write_text(
        f"daemon off;\nmaster_process off;\npid {directory}/nginx.pid;\nerror_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{\n  access_log off;\n{temporary}  include /etc/nginx/mime.types;\n"
        f"  server {{ listen 127.0.0.1:{port}; root {root}; index index.html; }}\n}}\n")
    process = subprocess.Popen(["nginx", "-p", directory, "-c", directory / "nginx.conf", "-e", "error.log"])
    wait_for(port, process)
    return process, port


def policy(directory, origin):
    port, admin = free_port(), free_port()
    (directory / "seawall.toml").write_text(
        f'[edge]\nlisten = ["127.0.0.1:{port}"]\n[admin]\nlisten = "127.0.0.1:{admin}"\n'
        f'[origin.site]\nservers = ["127.0.0.1:{origin}"]\n[log]\naccess = false\n'
        f'[snapshot]\nrate = "100000/s"\nmax_pages = 50000\n')
    return port, admin


def level_is_static(seawall, admin):
    status = subprocess.run([seawall, "status", "--json", "--admin", f"127.0.0.1:{admin}"],
                            capture_output=True, check=True)
    return all(origin["level"] == "static" for origin in json.loads(status.stdout)["origins"])


def main():
    found = sorted(glob.glob("/usr/share/doc/postgresql-doc-*/html"))
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seawall", default="target/release/seawall")
    arguments.add_argument("--root", type=pathlib.Path, default=found[-1] if found else None, help="the site's files")
    args = arguments.parse_args()
    if args.root is None:
        sys.exit("no site here: sudo apt-get install --no-install-recommends postgresql-doc")
    seawall = pathlib.Path(args.seawall).resolve()
    with tempfile.TemporaryDirectory() as directory:
        directory = pathlib.Path(directory)
        origin, origin_port = nginx(directory, args.root)
        edge = None
        try:
            live, checked, broken = walk(origin_port)
            port, admin = policy(directory, origin_port)
            began = time.monotonic()
            subprocess.run([seawall, "snapshot", directory / "seawall.toml"], check=True, cwd=directory)
            took = time.monotonic() - began
            edge = subprocess.Popen([seawall, "run", directory / "seawall.toml"], cwd=directory,
                                    stderr=subprocess.DEVNULL)
            wait_for(port, edge)
            origin.kill()
            origin.wait()
            while not level_is_static(seawall, admin):
                Client(port).get("/")
                time.sleep(0.2)
            static, static_checked, static_broken = walk(port)
        finally:
            for process in filter(None, (edge, origin)):
                process.kill()
                process.wait()
    return judge(live, checked, broken, static, static_checked, static_broken, took)


def judge(live, checked, broken, static, static_checked, static_broken, took):
    missing = sorted(set(live) - set(static))
    differ = sorted(target for target in set(live) & set(static) if live[target][1] != static[target][1])
    pages = sum("html" in content_type for content_type, _ in live.values())
    size = sum(len(body) for _, body in live.values())
    print(f"live     {len(live)} URLs, {pages} of them pages, {size} bytes; {checked} links, {len(broken)} broken")
    print(f"static   {len(static)} URLs; {static_checked} links, {len(static_broken)} broken; taken in {took:.1f} s")
    print(f"missing {len(missing)}, different {len(differ)}, newly broken {len(static_broken - broken)}")
    for target in missing[:10] + differ[:10] + sorted(static_broken - broken)[:10]:
        print(f"  {target}")
    if pages < PAGES_MIN:
        print(f"the site has fewer than {PAGES_MIN} pages")
    return 1 if missing or differ or static_broken - broken or pages < PAGES_MIN else 0


if __name__ == "__main__":
    sys.exit(main())
