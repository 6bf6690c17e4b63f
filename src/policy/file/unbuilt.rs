//! The keys that the design knows and this version does not do: named in an error rather than
//! accepted and ignored. A line goes when its key is built.

/// `*` stands for any name. With each: what to write until then.
const KEYS: &[(&str, &str)] = &[
    ("state.history", "leave it out; nothing is kept for reports yet"),
    ("rate_limit.*.on_store_failure", "leave it out; limits are counted on this node, which needs no store"),
    ("log.sample", "leave it out; every request is logged"),
    ("telemetry", "leave it out; the admin listener serves /metrics"),
];

/// What to write instead of this key, if it is one of them.
pub(super) fn find(path: &str) -> Option<&'static str> {
    KEYS.iter().find(|(known, _)| same(known, path)).map(|(_, instead)| *instead)
}

/// The keys of this kind that may stand directly in the table at `path`: for "did you mean".
pub(super) fn keys_in(path: &str) -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(move |(known, _)| match known.rsplit_once('.') {
        Some((table, key)) => same(table, path).then_some(key),
        None => path.is_empty().then_some(*known),
    })
}

fn same(known: &str, path: &str) -> bool {
    let mut path = path.split('.');
    known.split('.').all(|part| path.next().is_some_and(|p| part == "*" || part == p)) && path.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::policy::file::parse;

    /// Every key of the design's policy, with the value shown there, and whether it works.
    const DESIGN: &[(&str, bool)] = &[
        ("edge.listen = ['0.0.0.0:8080']", true),
        ("edge.listen = [{ address = '0.0.0.0:443', tls = 'public' }]", true),
        ("edge.threads = 0", true),
        ("edge.trusted_proxies = []", true),
        ("edge.max_connections = 50000", true),
        ("edge.max_connections_per_client = 256", true),
        ("edge.header_timeout = '10s'", true),
        ("edge.body_timeout = '30s'", true),
        ("edge.body_min_rate = '1KiB/s'", true),
        ("edge.idle_timeout = '75s'", true),
        ("edge.max_header_size = '16KiB'", true),
        ("edge.max_body_size = '10MiB'", true),
        ("edge.buffer_body = '64KiB'", true),
        ("tls.public.certificates = [{ cert = 'shop.pem', key = 'shop.key' }]", true),
        ("admin.listen = '127.0.0.1:9180'", true),
        ("admin.tokens.ops = { file = 'ops.token', may = ['all'] }", true),
        ("keys.file = 'seawall.keys'", true),
        ("state.dir = 'state'", true),
        ("state.store = 'memory'", true),
        ("state.store = 'redis://localhost'", false),
        ("state.history = '30d'", false),
        ("clients.staff.networks = ['203.0.113.0/24', 'file:vpn.txt']", true),
        ("clients.staff.passes = 'staff.keys'", true),
        ("priority.header = 'Seawall-Priority'", true),
        ("priority.cookie = 'rank'", true),
        ("priority.from = ['trusted_proxies']", true),
        ("priority.bots = 'bulk'", true),
        ("priority.prefetch = 'route'", true),
        ("origin.shop.servers = ['127.0.0.1:9000']", true),
        ("origin.shop.servers = ['127.0.0.1:9000', '127.0.0.1:9001']", true),
        ("origin.shop.connect_timeout = '1s'", true),
        ("origin.shop.response_timeout = '10s'", true),
        ("origin.shop.idle_timeout = '60s'", true),
        ("origin.shop.retries = 1", true),
        ("origin.shop.health = { path = '/healthz', every = '2s' }", true),
        ("origin.shop.host_header = 'pass'", true),
        ("origin.shop.concurrency.mode = 'adaptive'", true),
        ("origin.shop.concurrency = { mode = 'fixed', limit = 40 }", true),
        ("origin.shop.concurrency.initial = 20", true),
        ("origin.shop.concurrency.min = 2", true),
        ("origin.shop.concurrency.max = 1000", true),
        ("origin.shop.concurrency.queue = '3x'", true),
        ("origin.shop.concurrency.patience = { normal = '1s' }", true),
        ("origin.shop.concurrency.patience.critical = '2s'", true),
        ("origin.shop.concurrency.patience.bulk = '200ms'", true),
        ("origin.shop.concurrency.max_streams = 1000", true),
        ("rate_limit.a.key = 'client_ip'", true),
        ("rate_limit.a.key = 'visitor'", true),
        ("rate_limit.a.key = 'header:X-App'", true),
        ("rate_limit.a.key = 'cookie:id'", true),
        ("rate_limit.a.key = 'query:id'", true),
        ("rate_limit.a.key = 'path'", true),
        ("rate_limit.a.key = 'host'", true),
        ("rate_limit.a.key = ['client_net', 'path']", true),
        ("rate_limit.a.quota = '20/s'", true),
        ("rate_limit.a.burst = 40", true),
        ("rate_limit.a.max_keys = 1000000", true),
        ("rate_limit.a = { plan = 'header:X-Plan', plans = { gold = '100/s' } }", true),
        ("rate_limit.a.scope = 'node'", true),
        ("rate_limit.a.scope = 'cluster'", false),
        ("rate_limit.a.on_store_failure = 'local'", false),
        ("rate_limit.a.dry_run = false", true),
        ("waiting_room.a.capacity = 4000", true),
        ("waiting_room.a.admit = '120/min'", true),
        ("waiting_room.a.admit = 'auto'", true),
        ("waiting_room.a.order = 'fifo'", true),
        ("waiting_room.a.order = 'lottery'", true),
        ("waiting_room.a.opens = 2026-11-27T10:00:00+01:00", true),
        ("waiting_room.a.gather = '30m'", true),
        ("waiting_room.a.closes = 2026-11-27T18:00:00+01:00", true),
        ("waiting_room.a.outside = 'pass'", true),
        ("waiting_room.a.session = { idle = '10m', max = '1h' }", true),
        ("waiting_room.a.session.return = '15m'", true),
        ("waiting_room.a.claim = '3m'", true),
        ("waiting_room.a.place_hold = '3h'", true),
        ("waiting_room.a.places_per_client = { ipv4 = 256, ipv6_64 = 16 }", true),
        ("waiting_room.a.max_queue = 10000000", true),
        ("waiting_room.a.bypass = ['staff', 'monitors']", true),
        ("waiting_room.a.cookie_domain = ''", true),
        ("waiting_room.a.lanes.fans = { weight = 4, invitations = 'fans.keys', uses = 1 }", true),
        ("waiting_room.a.page = 'pages/launch.html'", true),
        ("waiting_room.a.commands = ['revoke', 'stock', 'close']", true),
        ("waiting_room.a.on_store_failure = 'hold'", true),
        ("waiting_room.a.dry_run = false", true),
        ("cache.page.ttl = '1s'", true),
        ("cache.page.ttl = 'origin'", true),
        ("cache.page.override = false", true),
        ("cache.page.stale_while_revalidate = '30s'", true),
        ("cache.page.stale_if_error = '24h'", true),
        ("cache.page.ignore_cookies = ['_ga*', '_fbp', 'utm*']", true),
        ("cache.page.ttl = 'heuristic'", true),
        ("cache.page.vary_cookies = []", true),
        ("cache.page.request_directives = 'normal'", true),
        ("cache.page.strip_set_cookie = false", true),
        ("cache.page.ignore_query = ['utm_*', 'fbclid', 'gclid']", true),
        ("cache.page.compress = true", true),
        ("cache.page.negative_ttl = '1s'", true),
        ("cache.page.max_object = '8MiB'", true),
        ("cache.page.read_your_writes = false", true),
        ("cache_store.memory = '512MiB'", true),
        ("files.assets.root = 'public'", true),
        ("files.assets.precompressed = ['zst', 'br', 'gz']", true),
        ("files.assets.immutable = ['*.????????.*']", true),
        ("files.assets.deny = ['*.php', '*.sql', '.*']", true),
        ("snapshot.dir = 'snapshot'", true),
        ("snapshot.seeds = ['/', '/sitemap.xml']", true),
        ("snapshot.max_pages = 5000", true),
        ("snapshot.rate = '5/s'", true),
        ("snapshot.every = '6h'", true),
        ("level.header = 'Seawall-Level'", true),
        ("level.elevated.enter = { pressure = 0.7, for = '1s' }", true),
        ("level.elevated.leave = { pressure = 0.4, for = '15s' }", true),
        ("level.degraded.enter = { pressure = 1.0, for = '3s' }", true),
        ("level.degraded.leave = { pressure = 0.6, for = '30s' }", true),
        ("level.static.enter = { unreachable = '5s' }", true),
        ("level.static.enter = { pressure = 1.0 }", true),
        ("level.static.leave = { probes = 20, for = '30s' }", true),
        ("level.dry_run = true", true),
        (
            "level.schedule = [{ at_least = 'elevated', from = 2026-11-27T09:55:00+01:00, until = 2026-11-27T11:00:00+01:00 }]",
            true,
        ),
        ("route = [{ name = 'a' }]", true),
        ("route = [{ host = 'shop.example' }]", true),
        ("route = [{ path = ['/cart/**', '/checkout/**'] }]", true),
        ("route = [{ methods = ['POST'] }]", true),
        ("route = [{ query = { wc-api = '*' } }]", true),
        ("route = [{ headers = { X-App = '*' } }]", true),
        ("route = [{ cookies = { beta = '1' } }]", true),
        ("route = [{ clients = ['staff'] }]", true),
        ("route = [{ origin = 'shop' }]", true),
        ("route = [{ priority = 'critical' }]", true),
        ("route = [{ rate_limit = ['a'] }]", true),
        ("route = [{ cost = 5 }]", true),
        ("route = [{ waiting_room = 'a' }]", true),
        ("route = [{ cache = false }]", true),
        ("route = [{ files = 'assets' }]", true),
        ("route = [{ response_timeout = '60s' }]", true),
        ("route = [{ max_body_size = '500MiB' }]", true),
        ("route = [{ max_in_flight = '20%' }]", true),
        ("route = [{ ends_session = '1m' }]", true),
        ("route = [{ answers = 'json' }]", true),
        ("route = [{ at.normal = 'pass', at.elevated = 'pass', at.degraded = 'refuse', at.static = 'pass' }]", true),
        ("log.format = 'json'", true),
        ("log.format = 'text'", true),
        ("log.format = 'combined'", false),
        ("log.access = 'access.log'", true),
        ("log.access = false", true),
        ("log.sample = { pass = '100%', refused = '1%' }", false),
        ("telemetry.otlp = ''", false),
    ];

    #[test]
    fn every_key_of_the_design_works_or_says_that_it_is_not_built() {
        for (line, built) in DESIGN {
            let found = parse(line, Path::new("")).diagnostics;
            let said = |what: &str| found.iter().filter(|d| d.message.contains(what)).count();
            assert_eq!(said("unknown key"), 0, "{line}: {found:#?}");
            assert_eq!(said("cannot be used"), 0, "{line}: {found:#?}");
            let said = found.iter().filter(|d| d.label == "not built yet").count();
            assert_eq!(said, usize::from(!built), "{line}: {found:#?}");
            assert!(found.iter().filter(|d| d.label == "not built yet").all(|d| d.help.is_some()), "{line}");
        }
    }
}
