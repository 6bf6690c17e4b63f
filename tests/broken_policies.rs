//! What a person gets wrong the night before, and what they are told: where, what, and what to
//! write instead.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

#[path = "broken_policies/files.rs"]
mod files;
#[path = "broken_policies/rooms.rs"]
mod rooms;

use std::path::Path;

use seawall::policy::diagnose::{Findings, Severity, Source};
use seawall::policy::file;

const HEAD: &str = "[edge]\nlisten = [\"127.0.0.1:8080\"]\n";
const SHOP: &str = "[origin.shop]\nservers = [\"127.0.0.1:9000\"]\nconcurrency = { mode = \"fixed\", limit = 4 }\n";

/// Line and column (from 1), what the message, and what the label and the hint say together.
type Expected<'a> = (usize, usize, &'a str, &'a str);

fn findings(text: &str) -> Findings {
    let loaded = file::parse(text, Path::new("/nowhere"));
    let findings = Findings {
        source: Source { name: "seawall.toml".to_owned(), text: text.to_owned() },
        diagnostics: loaded.diagnostics,
    };
    assert_eq!(loaded.policy.is_none(), findings.has_errors(), "{findings}");
    findings
}

/// Exactly these findings of this severity, and no others.
#[track_caller]
fn expect(text: &str, severity: Severity, expected: &[Expected<'_>]) {
    let findings = findings(text);
    let rendered = findings.render(false);
    assert_eq!(findings.diagnostics.len(), expected.len(), "{rendered}");
    for (found, (line, column, message, hint)) in findings.diagnostics.iter().zip(expected) {
        assert_eq!(found.severity, severity, "{rendered}");
        assert_eq!(findings.source.position(found.span.start), (*line, *column), "{rendered}");
        assert!(found.message.contains(message), "no `{message}` in\n{rendered}");
        let told = format!("{} {}", found.label, found.help.as_deref().unwrap_or_default());
        assert!(told.contains(hint), "no `{hint}` in\n{rendered}");
    }
}

/// An error in what follows `HEAD` and `SHOP`; lines count from 1 after them.
#[track_caller]
fn broken(rest: &str, expected: Expected<'_>) {
    let (line, column, message, hint) = expected;
    expect(&format!("{HEAD}{SHOP}{rest}"), Severity::Error, &[(line + 5, column, message, hint)]);
}

#[track_caller]
fn broken_edge(line: &str, column: usize, message: &str, hint: &str) {
    expect(&format!("{HEAD}{line}\n{SHOP}"), Severity::Error, &[(3, column, message, hint)]);
}

#[track_caller]
fn broken_origin(lines: &str, at: (usize, usize), message: &str, hint: &str) {
    expect(&format!("{HEAD}[origin.shop]\n{lines}"), Severity::Error, &[(at.0 + 3, at.1, message, hint)]);
}

#[track_caller]
fn warned(rest: &str, expected: Expected<'_>) {
    let (line, column, message, hint) = expected;
    expect(&format!("{HEAD}{SHOP}{rest}"), Severity::Warning, &[(line + 5, column, message, hint)]);
}

#[test]
fn an_empty_file() {
    let edge = (1, 1, "there is no [edge]", "listen = [\"0.0.0.0:8080\"]");
    expect("", Severity::Error, &[edge, (1, 1, "there is no origin", "[origin.shop]\nservers")]);
}

#[test]
fn no_origin() {
    expect(HEAD, Severity::Error, &[(1, 1, "there is no origin", "[origin.shop]\nservers")]);
}

#[test]
fn not_toml() {
    expect("[edge]\nlisten = yes\n", Severity::Error, &[(2, 10, "string values must be quoted", "write \"yes\"")]);
    expect("[edge\n", Severity::Error, &[(1, 6, "unclosed table", "`]`")]);
    let twice = "[edge]\nthreads = 1\nthreads = 2\n";
    expect(twice, Severity::Error, &[(3, 1, "duplicate key", "write it once")]);
}

#[test]
fn a_port_alone() {
    for bad in ["\"8080\"", "\":8080\"", "8080"] {
        let text = format!("[edge]\nlisten = {bad}\n{SHOP}");
        expect(&text, Severity::Error, &[(2, 10, "`edge.listen`", "write \"0.0.0.0:8080\"")]);
    }
}

#[test]
fn an_address_twice() {
    let text = format!("[edge]\nlisten = [\"0.0.0.0:80\", \"127.0.0.1:80\"]\n{SHOP}");
    expect(&text, Severity::Error, &[(2, 25, "listened on twice", "again here")]);
}

#[test]
fn a_listener_whose_tls_is_not_there() {
    let text = format!("[edge]\nlisten = {{ address = \"0.0.0.0:443\", tls = \"pubic\" }}\n{SHOP}");
    expect(&text, Severity::Error, &[(2, 43, "there is no [tls.pubic]", "add [tls.pubic]")]);
}

#[test]
fn a_misspelt_key() {
    broken_edge("max_conections = 5", 1, "unknown key `max_conections` in `edge`", "did you mean `max_connections`?");
    broken_edge("frobnicate = 5", 1, "unknown key `frobnicate`", "known here: body_min_rate, body_timeout");
}

#[test]
fn a_misspelt_section() {
    broken(
        "[waiting_rooms.launch]\ncapacity = 5\n",
        (1, 2, "unknown key `waiting_rooms` in the policy", "`waiting_room`"),
    );
}

#[test]
fn a_duration_without_its_unit() {
    broken_edge("header_timeout = 10", 18, "`edge.header_timeout`", "\"10s\"");
    broken_edge("header_timeout = \"10 seconds\"", 18, "`edge.header_timeout`", "write \"10s\"");
    broken_edge("header_timeout = \"0s\"", 18, "`edge.header_timeout`", "longer than zero");
}

#[test]
fn sizes_out_of_bounds_or_in_other_units() {
    broken_edge("max_body_size = \"10MB\"", 17, "`edge.max_body_size`", "write \"10MiB\"");
    broken_edge("max_header_size = \"2MiB\"", 19, "`edge.max_header_size`", "between 1KiB and 1MiB");
    broken_edge("body_min_rate = \"1KiB\"", 17, "`edge.body_min_rate`", "write \"1KiB/s\"");
    broken_edge("max_connections = 0", 19, "`edge.max_connections`", "from 1 to");
    broken_edge("threads = \"four\"", 11, "`edge.threads`", "found a string");
}

#[test]
fn trusted_proxies_that_are_no_networks() {
    broken_edge("trusted_proxies = [\"10.1.2.3/8\"]", 20, "`edge.trusted_proxies`", "\"10.0.0.0/8\"");
    broken_edge(
        "trusted_proxies = [\"file:cdn.txt\"]",
        20,
        "/nowhere/cdn.txt cannot be read: no such file",
        "relative to the policy",
    );
}

#[test]
fn a_limit_is_found_or_given_not_both() {
    let lines = "servers = [\"a:1\"]\nconcurrency = { limit = 40 }\n";
    broken_origin(lines, (2, 25), "`origin.shop.concurrency.limit`", "add mode = \"fixed\"");
    let lines = "servers = [\"a:1\"]\nconcurrency = { mode = \"fixed\", limit = 4, initial = 2 }\n";
    broken_origin(lines, (2, 54), "`origin.shop.concurrency.initial`", "write limit = 40, or mode = \"adaptive\"");
    let lines = "servers = [\"a:1\"]\nconcurrency = { min = 10, max = 5 }\n";
    broken_origin(lines, (2, 23), "`origin.shop.concurrency.min`", "make min smaller");
    let lines = "servers = [\"a:1\"]\nconcurrency = { mode = \"auto\" }\n";
    broken_origin(lines, (2, 24), "`origin.shop.concurrency.mode`", "");
}

#[test]
fn concurrency_values() {
    let with = |rest: &str| format!("servers = [\"a:1\"]\n[origin.shop.concurrency]\nmode = \"fixed\"\n{rest}\n");
    broken_origin(&with("limit = 0"), (4, 9), "`origin.shop.concurrency.limit`", "from 1 to");
    broken_origin(
        &with(
            "limit = 4
queue = \"3\"",
        ),
        (5, 9),
        "`origin.shop.concurrency.queue`",
        "write 3 or \"3x\"",
    );
    broken_origin(
        &with(
            "limit = 4
patience = { normal = \"1s\", bulk = 1 }",
        ),
        (5, 36),
        "patience.bulk`",
        "\"1s\"",
    );
}

#[test]
fn servers_that_cannot_be_used() {
    let with = |servers: &str| format!("servers = {servers}\nconcurrency = {{ mode = \"fixed\", limit = 4 }}\n");
    broken_origin(&with("[]"), (1, 11), "`origin.shop.servers`", "at least one server");
    broken_origin(&with("[\"a:1\", \"b\"]"), (1, 19), "`origin.shop.servers`", "\"b:80\"");
    broken_origin(&with(&format!("[{}]", "\"a:1\",".repeat(257))), (1, 11), "`origin.shop.servers`", "at most 256");
    broken_origin(&with("\"a:1\"\nretries = 6"), (2, 11), "`origin.shop.retries`", "from 0 to 5");
    broken_origin(&with("\"a:1\"\nretries = \"1\""), (2, 11), "`origin.shop.retries`", "found a string");
    broken_origin(&with("\"shop.internal\""), (1, 11), "`origin.shop.servers`", "\"shop.internal:80\"");
    broken_origin(
        &with("\"https://shop/base\""),
        (1, 11),
        "`origin.shop.servers`",
        "leave the path out: \"https://shop\"",
    );
    broken_origin(&with("\"a:0\""), (1, 11), "`origin.shop.servers`", "from 1 to 65535");
}

#[test]
fn a_server_named_twice() {
    let lines = "servers = [\"a:1\", \"http://a:1\"]\nconcurrency = { mode = \"fixed\", limit = 4 }\n";
    let text = format!("{HEAD}[origin.shop]\n{lines}");
    expect(&text, Severity::Warning, &[(4, 19, "names http://a:1 twice", "leave it out")]);
}

#[test]
fn an_admin_listener_that_others_reach() {
    broken("[admin]\nlisten = \"0.0.0.0:9180\"\n", (2, 10, "needs tokens", "\"127.0.0.1:9180\""));
    broken("[admin]\nlisten = \"0.0.0.0:9180\"\n", (2, 10, "needs tokens", "tokens.ops = {"));
    broken("[admin.tokens.cms]\nfile = \"cms.token\"\n", (1, 1, "`admin.tokens.cms.may` is missing", "may ="));
    broken("[admin.tokens.cms]\nmay = [\"purge\"]\n", (1, 1, "`admin.tokens.cms.file` is missing", "file ="));
    broken("[admin.tokens.cms]\nfile = \"x\"\nmay = [\"purges\"]\n", (3, 8, "cannot be used", "\"purge\""));
    broken("[admin.tokens.cms]\nfile = \"x\"\nmay = []\n", (3, 7, "cannot be used", "[\"all\"]"));
    broken("[admin]\nlisten = \"127.0.0.1:8080\"\n", (2, 10, "already one of edge.listen", "a port of its own"));
}

#[test]
fn a_rate_limit_that_cannot_count() {
    let limit = |lines: &str| format!("[rate_limit.a]\n{lines}\n[[route]]\nrate_limit = \"a\"\n");
    broken(&limit("key = \"client_ip\"\nquota = \"20\""), (3, 9, "`rate_limit.a.quota`", "\"20/s\""));
    broken(&limit("key = \"client_ip\""), (1, 1, "`rate_limit.a.quota` is missing", "quota = \"20/s\""));
    broken(&limit("key = \"clientip\"\nquota = \"20/s\""), (2, 7, "`rate_limit.a.key`", "did you mean \"client_ip\"?"));
    let key = |key: &str| limit(&format!("key = {key}\nquota = \"20/s\""));
    broken(&key("\"header\""), (2, 7, "`rate_limit.a.key`", "\"header:NAME\""));
    broken(&key("[\"path\", \"header:a b\"]"), (2, 16, "`rate_limit.a.key`", "a name after the colon"));
    broken(&key("[\"path\", \"path\"]"), (2, 16, "`rate_limit.a.key`", "named twice"));
    broken(&key("[]"), (2, 7, "`rate_limit.a.key`", "expected from 1 to 8 of"));
    let scope = "key = \"client_ip\"\nquota = \"20/s\"\nscope = \"cluster\"";
    broken(&limit(scope), (4, 9, "scope \"cluster\" is known", "write scope = \"node\""));
}

#[test]
fn a_group_that_nothing_asks_for() {
    let staff = "[clients.staff]\nnetworks = \"::1\"\n";
    warned(&format!("{staff}[[route]]\n"), (1, 1, "nothing asks for [clients.staff]", "clients = [\"staff\"]"));
    let plan =
        "key = \"path\"\nquota = \"1/s\"\nplan = \"clients\"\nplans.staff = \"9/s\"\n[[route]]\nrate_limit = \"a\"\n";
    for asks in [format!("[rate_limit.a]\n{plan}"), "[priority]\nfrom = \"staff\"\n[[route]]\n".to_owned()] {
        expect(&format!("{HEAD}{SHOP}{staff}{asks}"), Severity::Warning, &[]);
    }
}

#[test]
fn priorities_of_nobody_and_nothing() {
    let priority = |line: &str| format!("[priority]\n{line}\n");
    broken(&priority("header = \"a b\""), (2, 10, "`priority.header`", "\"Seawall-Priority\", or false"));
    broken(&priority("from = [\"staff\"]"), (2, 9, "there is no [clients.staff]", "add [clients.staff]"));
    broken(&priority("bots = \"normal\""), (2, 8, "`priority.bots`", "\"bulk\", or \"route\""));
}

#[test]
fn plans_that_nobody_can_be_of() {
    let limit = |lines: &str| {
        format!("[rate_limit.a]\nkey = \"client_ip\"\nquota = \"9/s\"\n{lines}\n[[route]]\nrate_limit = \"a\"\n")
    };
    broken(&limit("plan = \"header:X-Plan\""), (4, 8, "chooses among plans, and there are none", "plans.gold"));
    broken(&limit("plans.gold = \"9/s\""), (4, 1, "nothing says which", "plan = \"header:X-Plan\""));
    broken(&limit("plan = \"cookie:p\"\nplans.b = \"9/s\""), (4, 8, "`rate_limit.a.plan`", "would choose its plan"));
    broken(&limit("plan = \"clients\"\nplans.b = \"9/s\""), (5, 7, "there is no [clients.b]", "as the group"));
    broken(&limit("plan = \"header:p\"\nplans.b = \"9\""), (5, 11, "`rate_limit.a.plans.b`", "\"9/s\""));
    broken(
        &limit("plan = \"header:p\"\nplans.b = { burst = 2 }"),
        (5, 11, "`rate_limit.a.plans.b.quota` is missing", "100/s"),
    );
}

#[test]
fn a_cost_that_can_never_be_had() {
    let limit = |burst: &str, cost: u32| {
        format!(
            "[rate_limit.a]\nkey = \"path\"\nquota = \"9/s\"\n{burst}\n[[route]]\nrate_limit = \"a\"\ncost = {cost}\n"
        )
    };
    broken(&limit("", 10), (7, 8, "`route.cost`", "more than rate_limit.a gives at once (9)"));
    let plans = "plan = \"header:p\"\nplans.b = \"3/s\"";
    broken(&limit(plans, 5), (8, 8, "`route.cost`", "make the burst at least 5"));
    broken("[[route]]\ncost = 2\n", (2, 8, "`route.cost` has no rate limit", "add: rate_limit"));
    broken(&limit("", 0), (7, 8, "`route.cost`", "from 1 to"));
}

#[test]
fn a_group_of_clients_that_nobody_can_be_of() {
    let staff = |lines: &str| format!("[clients.staff]\n{lines}\n[[route]]\nclients = \"staff\"\n");
    broken(&staff(""), (1, 1, "nobody can be one of `clients.staff`", "networks = ["));
    broken(&staff("networks = \"203.0.113.7/24\""), (2, 12, "`clients.staff.networks`", "\"203.0.113.0/24\""));
    broken(&staff("networks = \"file:vpn.txt\""), (2, 12, "vpn.txt cannot be read: no such file", "relative to"));
    broken(&staff("networks = \"::1\"\npass = \"x\""), (3, 1, "unknown key `pass`", "did you mean `passes`?"));
    broken(
        "[clients.staff]\npasses = \"s.keys\"\n[[route]]\nclients = [\"stuff\"]\n",
        (4, 12, "there is no [clients.stuff]", "did you mean \"staff\"?"),
    );
    broken("[[route]]\nclients = []\n", (2, 11, "`route.clients`", "leave it out to match any"));
}

#[test]
fn a_cache_that_overrides_with_nothing() {
    broken(
        "[cache.a]\noverride = true\n[[route]]\ncache = \"a\"\n",
        (2, 12, "`cache.a.override`", "add: ttl = \"1s\""),
    );
}

#[test]
fn a_cache_whose_variants_or_wishes_make_no_sense() {
    let cache = |line: &str| format!("[cache.a]\n{line}\n[[route]]\ncache = \"a\"\n");
    broken(&cache("ttl = \"heuristics\""), (2, 7, "`cache.a.ttl`", "\"heuristic\""));
    broken(&cache("ttl = \"heuristic\"\noverride = true"), (3, 12, "`cache.a.override`", "add: ttl = \"1s\""));
    broken(&cache("vary_cookies = [\"lang*\"]"), (2, 17, "`cache.a.vary_cookies`", "a cookie's whole name"));
    broken(
        &cache("vary_cookies = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\", \"7\", \"8\", \"9\"]"),
        (2, 16, "`cache.a.vary_cookies`", "at most 8"),
    );
    broken(&cache("request_directives = \"on\""), (2, 22, "`cache.a.request_directives`", "\"normal\", \"always\""));
}

#[test]
fn a_level_without_the_means() {
    broken(
        "[[route]]\nat.static = \"wait\"\n",
        (2, 13, "`route.at.static` cannot be \"wait\"", "waiting_room = \"NAME\""),
    );
    broken("[[route]]\nat.static = \"snapshot\"\n", (2, 13, "cannot be \"snapshot\"", "[snapshot]"));
    broken("[[route]]\nat.elevated = \"stale\"\n", (2, 15, "cannot be \"stale\"", "cache = \"NAME\""));
    broken("[[route]]\nat.elevated = \"refused\"\n", (2, 15, "`route.at.elevated`", "did you mean \"refuse\"?"));
}

#[test]
fn a_ladder_whose_steps_make_no_sense() {
    broken(
        "[level.elevated]\nleave = { pressure = 0.7 }\n",
        (2, 9, "`level.elevated.leave`", "must be below enter.pressure: entered at 0.7, left below 0.7"),
    );
    broken(
        "[level.elevated]\nenter = { pressure = 0.3 }\n",
        (2, 9, "`level.elevated.enter`", "leave = { pressure = 0.18 }"),
    );
    broken(
        "[level.elevated]\nenter = { pressure = 1.2 }\n",
        (1, 1, "`degraded` is entered at 1, before `elevated` at 1.2", "the wrong way round"),
    );
    broken("[level.elevated]\nenter = { pressure = 70 }\n", (2, 22, "`level.elevated.enter.pressure`", "0.05 to 1.5"));
    broken("[level.elevated]\nenter = { for = 1 }\n", (2, 17, "`level.elevated.enter.for`", "\"1s\""));
    broken("[level.elevated]\nenter = { unreachable = \"1s\" }\n", (2, 11, "unknown key `unreachable`", "pressure"));
    broken(
        "[level.static]\nenter = { unreachable = \"5s\", for = \"1s\" }\n",
        (2, 37, "`level.static.enter.for`", "add: pressure"),
    );
    broken("[level]\ndry_run = \"yes\"\n", (2, 11, "`level.dry_run`", "true or false"));
}

#[test]
fn a_schedule_that_nobody_could_keep() {
    let window = |lines: &str| format!("[[level.schedule]]\nat_least = \"elevated\"\n{lines}\n");
    const UNTIL: &str = "until = 2026-11-27T11:00:00+01:00";
    let from = |moment: &str| window(&format!("from = {moment}\n{UNTIL}"));
    broken(&from("2026-11-27T09:55:00"), (3, 8, "`level.schedule.from`", "2026-11-27T09:55:00+01:00 for one hour"));
    broken(&from("2026-11-27"), (3, 8, "`level.schedule.from`", "2026-11-27T09:55:00+01:00"));
    broken(&from("\"2026-11-27T09:55:00Z\""), (3, 8, "`level.schedule.from`", "without quotes"));
    broken(&from("\"tomorrow\""), (3, 8, "`level.schedule.from`", "found a string"));
    broken(&from("2026-11-27T11:00:00+01:00"), (4, 9, "`level.schedule.until`", "ends before it begins"));
    broken(&window(UNTIL), (1, 1, "`level.schedule.from` is missing", "from = 2026-11-27"));
    let whole = format!("from = 2026-11-27T09:55:00+01:00\n{UNTIL}\n");
    broken(&window(&format!("{whole}origin = \"shopp\"")), (5, 10, "there is no [origin.shopp]", "\"shop\""));
    broken(
        &window(&whole).replace("elevated", "elevate"),
        (2, 12, "`level.schedule.at_least`", "did you mean \"elevated\"?"),
    );
    broken(&window(&whole).replace("elevated", "normal"), (2, 12, "`level.schedule.at_least`", "\"static\""));
    broken(
        &window(&whole).replace("[[level.schedule]]", "[level.schedule]"),
        (1, 1, "a list of tables", "[[level.sch"),
    );
}

#[test]
fn a_window_that_is_over_is_warned_of_when_it_is() {
    let text = format!(
        "{HEAD}{SHOP}[[level.schedule]]\nat_least = \"elevated\"\nfrom = 1970-01-01T00:00:01Z\n\
         until = 1970-01-01T00:00:10Z\n"
    );
    let loaded = file::parse(&text, Path::new("/nowhere"));
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert!(file::over(&loaded.ends, 9_999).is_empty());
    let warned = file::over(&loaded.ends, 10_000);
    assert_eq!((warned.len(), warned[0].severity), (1, Severity::Warning));
    assert!(warned[0].message.contains("is over"));
}

#[test]
fn actions_that_a_dry_run_never_brings() {
    let routes = "[[route]]\nname = \"pages\"\nat.elevated = \"refuse\"\n";
    let nothing = "nothing brings the levels at which `pages` would act";
    warned(&format!("[level]\ndry_run = true\n{routes}"), (2, 11, nothing, "seawall level pin"));
    let window =
        "[[level.schedule]]\nat_least = \"elevated\"\nfrom = 2026-11-27T09:55:00Z\nuntil = 2026-11-27T11:00:00Z\n";
    let fine = findings(&format!("{HEAD}{SHOP}[level]\ndry_run = true\n{window}{routes}"));
    assert!(fine.diagnostics.is_empty(), "{fine}");
}

#[test]
fn a_name_that_is_not_there() {
    let room = "[waiting_room.launch]\ncapacity = 5\n[[route]]\nwaiting_room = \"launch\"\n[[route]]\npath = \"/x\"\n";
    let text = "[waiting_room.launch]\ncapacity = 5\n[[route]]\npath = \"/x\"\nwaiting_room = \"lunch\"\n[[route]]\nwaiting_room = \"launch\"\n";
    broken(text, (5, 16, "there is no [waiting_room.lunch]", "did you mean \"launch\"?"));
    warned(room, (5, 1, "route `route-2` can never match: `route-1` comes first", "narrower route first"));
}

#[test]
fn matchers_that_never_match() {
    let route = |line: &str| format!("[[route]]\n{line}\n[[route]]\n");
    broken(&route("path = \"cart\""), (2, 8, "`route.path`", "\"/cart\""));
    broken(&route("path = \"/a?b=1\""), (2, 8, "`route.path`", "query = "));
    broken(&route("methods = [\"GET\", \"post\"]"), (2, 19, "`route.methods`", "\"POST\""));
    broken(&route("host = \"shop.example:443\""), (2, 8, "`route.host`", "\"shop.example\""));
    broken(&route("headers = { \"X App\" = \"*\" }"), (2, 23, "`route.headers.X App`", "field name"));
    broken(&route("priority = \"crtical\""), (2, 12, "`route.priority`", "did you mean \"critical\"?"));
    broken(&route("max_in_flight = 20"), (2, 17, "`route.max_in_flight`", "write \"20%\""));
}

#[test]
fn single_brackets_for_routes_and_double_for_sections() {
    broken("[route]\npath = \"/\"\n", (1, 1, "routes are a list", "write [[route]]"));
    broken("[[cache.a]]\n", (1, 1, "`cache.a` is a table", "write [cache.a]"));
}

#[test]
fn two_routes_of_one_name() {
    broken(
        "[[route]]\nname = \"a\"\npath = \"/a\"\n[[route]]\nname = \"a\"\n",
        (4, 1, "two routes are named `a`", "of its own"),
    );
}

#[test]
fn routes_that_leave_something_over() {
    warned("[[route]]\npath = \"/a\"\n", (1, 1, "go straight to origin `shop`", "no matchers"));
    let two = format!("{HEAD}{SHOP}{}[[route]]\npath = \"/a\"\norigin = \"shop\"\n", SHOP.replace("shop", "blog"));
    expect(&two, Severity::Error, &[(9, 1, "have nowhere to go", "no matchers")]);
    let silent = format!("{HEAD}{SHOP}{}[[route]]\n", SHOP.replace("shop", "blog"));
    expect(&silent, Severity::Error, &[(9, 1, "does not say which origin", "one of: shop, blog")]);
}

#[test]
fn what_protects_nothing_is_told() {
    let tls = "[tls.public]\ncertificates = [{ cert = \"a.pem\", key = \"a.key\" }]\n";
    warned(tls, (1, 1, "no listener uses [tls.public]", "tls = \"public\""));
    warned(
        "[rate_limit.a]\nkey = \"client_ip\"\nquota = \"1/s\"\n",
        (1, 1, "no route uses [rate_limit.a]", "rate_limit = \"a\""),
    );
    warned("[cache.a]\n", (1, 1, "no route uses [cache.a]", "cache = \"a\""));
}

#[test]
fn all_mistakes_at_once() {
    let text = "\
[edge]
listen = [\"8080\"]
header_timout = \"10s\"

[origin.shop]
servers = [\"127.0.0.1:9000\"]
retries = 9

[rate_limit.per_visitor]
key = \"client_ip\"
quota = \"20\"

[[route]]
name = \"pages\"
rate_limit = [\"per_visiter\"]
cache = \"page\"
";
    expect(
        text,
        Severity::Error,
        &[
            (2, 11, "`edge.listen`", "write \"0.0.0.0:8080\""),
            (3, 1, "unknown key `header_timout`", "did you mean `header_timeout`?"),
            (7, 11, "`origin.shop.retries`", "from 0 to 5"),
            (11, 9, "`rate_limit.per_visitor.quota`", "\"20/s\""),
            (15, 15, "there is no [rate_limit.per_visiter]", "did you mean \"per_visitor\"?"),
            (16, 9, "there is no [cache.page]", "add [cache.page]"),
        ],
    );
}

#[test]
fn it_reads_as_rustc_does() {
    let text = format!("{HEAD}max_conections = 5\n{SHOP}");
    let expected = "\
error: unknown key `max_conections` in `edge`
 --> seawall.toml:3:1
  |
3 | max_conections = 5
  | ^^^^^^^^^^^^^^ did you mean `max_connections`?
";
    assert_eq!(findings(&text).render(false).trim_end(), expected.trim_end());
    assert!(findings(&text).render(true).contains("\u{1b}["));
}

#[test]
fn a_program_can_read_it() {
    let found = findings(&format!("{HEAD}header_timeout = \"10\"\n{SHOP}")).to_json();
    let expected = serde_json::json!([{
        "severity": "error",
        "message": "`edge.header_timeout` has a value that cannot be used",
        "file": "seawall.toml",
        "line": 3, "column": 18, "end_line": 3, "end_column": 22,
        "label": "expected a duration such as \"250ms\", \"10s\", \"5m\" or \"1h\"",
        "help": "say the unit: \"10s\" or \"10ms\"",
        "related": [],
    }]);
    assert_eq!(found, expected);
}

#[test]
fn no_text_breaks_the_rendering() {
    for text in
        ["é = 1", "[edge]\nlisten = \"ü", "\u{feff}[edge]\n", "[edge]\r\nlisten = 1\r\n", "\0", "a.b.c.d = [[[[{}]]]]"]
    {
        let findings = findings(text);
        assert!(findings.has_errors());
        assert!(!findings.render(true).is_empty() && !findings.to_json().is_null(), "{text}");
    }
}
