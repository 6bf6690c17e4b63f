use super::*;
use crate::policy::file;
use crate::simulation::origin::Change;

const ROOM: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[origin.shop]
servers = ["127.0.0.1:9"]
concurrency = { mode = "fixed", limit = 4, queue = 16, patience = "1s" }
[rate_limit.few]
key = "client_ip"
quota = "10/s"
[waiting_room.launch]
capacity = 100
session = { idle = "20s", max = "5m" }
claim = "20s"
[cache.page]
ttl = "2s"
stale_while_revalidate = "10s"
[[route]]
name = "pages"
path = "/p/**"
rate_limit = "few"
cache = "page"
[[route]]
name = "checkout"
path = "/checkout/**"
waiting_room = "launch"
at.static = "wait"
[[route]]
name = "all"
rate_limit = "few"
"#;

fn plan(arrivals: Arrivals, visitors: u32, over: u64) -> Plan {
    let policy = file::parse(ROOM, std::path::Path::new(".")).policy.unwrap();
    Plan {
        journey: Journey::of(&policy),
        policy,
        snapshot: None,
        origin: Shape::shop().collapsing(0.5),
        begins_unix_ms: BEGINS_UNIX_MS,
        waves: vec![Wave {
            lane: None,
            visitors,
            arrivals,
            begins: Duration::ZERO,
            over: Duration::from_secs(over),
            opens: Duration::ZERO,
        }],
        arrivals,
        after: Duration::from_secs(1200),
        patience: Patience { median: Duration::from_secs(300) },
        think: Duration::from_secs(4),
        greedy: 400.0,
        seed: 1,
    }
}

fn day(plan: Plan) -> Report {
    run(plan, |_, _| ())
}

#[test]
fn everyone_who_came_is_accounted_for() {
    for arrivals in [Arrivals::Flash, Arrivals::RetryStorm, Arrivals::Greedy, Arrivals::Step] {
        let report = day(plan(arrivals, 5_000, 60));
        let total = report.total();
        assert_eq!(total.arrived, 5_000, "{arrivals:?}");
        let gone = total.through + total.left_queue + total.left_refused;
        assert_eq!(gone + report.still_there, 5_000, "{arrivals:?}: {total:?}");
        assert_eq!(report.still_there, 0, "{arrivals:?}: the day is long enough for all");
    }
}

#[test]
fn the_same_seed_gives_the_same_day() {
    let of = |seed| day(Plan { seed, ..plan(Arrivals::RetryStorm, 2_000, 30) });
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
}

#[test]
fn a_quiet_day_refuses_nobody() {
    let total = day(plan(Arrivals::Steady, 1_000, 100)).total();
    assert_eq!((total.refused(), total.left_queue), (0, 0), "{total:?}");
    assert_eq!(total.through, 1_000);
    assert!(total.hits() > 300, "popular pages are fetched once for all: {total:?}");
    assert!(total.latencies.quantile(0.5).unwrap() < Duration::from_millis(40));
}

#[test]
fn a_flood_never_reaches_the_origin_and_its_capacity_is_used() {
    let report = day(plan(Arrivals::Flash, 20_000, 60));
    let total = report.total();
    assert!(total.in_flight <= 4, "{}", total.in_flight);
    let used = report.used(Span::turned_away).unwrap();
    assert!(used > 0.9, "{used}");
    assert!(report.spans.iter().all(|span| span.inside <= 100));
}

#[test]
fn one_greedy_client_takes_nothing_from_the_others() {
    let total = day(plan(Arrivals::Greedy, 1_000, 100)).total();
    assert_eq!(total.through, 1_000, "{total:?}");
    assert!(total.greedy > 39_000 && total.greedy_served < total.greedy / 10, "{total:?}");
}

#[test]
fn a_dead_origin_sends_the_level_to_static_and_comes_back() {
    let mut plan = plan(Arrivals::Steady, 3_000, 300);
    plan.origin =
        Shape::shop().then(Duration::from_secs(60), Change::Dies).then(Duration::from_secs(90), Change::Returns);
    let report = day(plan);
    let level = |s: u64| report.spans[s as usize].level;
    assert_eq!((level(30), level(80)), (Level::Normal, Level::Static));
    assert_eq!(level(200), Level::Normal);
    assert!(report.spans[200].answered > 0);
}

#[test]
fn nobody_who_waits_is_taken_for_absent() {
    let mut plan = plan(Arrivals::Step, 20_000, 20);
    // Everyone wants the one page behind the room, and nobody gives up.
    plan.journey.steps = vec!["/checkout/*".parse().unwrap()];
    plan.patience = Patience { median: Duration::from_secs(100_000) };
    let report = day(plan);
    for pair in report.spans[30..500].windows(2) {
        let (before, after) = (pair[0].waiting, pair[1].waiting);
        assert!(before.abs_diff(after) < 100, "{before} waited, and a second later {after}");
    }
    assert!(report.spans[500].waiting > 10_000);
}

/// 20 inside, a lane that opens a minute earlier, and both gather.
const RELEASE: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[origin.shop]
servers = ["127.0.0.1:9"]
[waiting_room.release]
capacity = 20
opens = 2026-11-27T10:00:00+01:00
gather = "2m"
closes = 2026-11-27T10:20:00+01:00
outside = "closed"
session = { idle = "30s", max = "5m" }
claim = "30s"
lanes.fans = { weight = 4, invitations = "fans.keys", uses = 1, opens = 2026-11-27T09:59:00+01:00 }
[[route]]
name = "thanks"
path = "/thanks"
waiting_room = "release"
ends_session = "0s"
[[route]]
name = "all"
waiting_room = "release"
"#;

#[test]
fn a_release_lets_nobody_in_before_its_opening_and_the_invited_first() {
    let policy = file::parse(RELEASE, std::path::Path::new(".")).policy.unwrap();
    let crowd = Crowd {
        visitors: 1_000,
        arrivals: Arrivals::Flash,
        over: Duration::from_secs(120),
        gathered: 0.6,
        invited: vec![("fans".to_owned(), 100)],
        from_unix_ms: None,
    };
    let (begins_unix_ms, waves) = crowd.waves(&policy, 0).unwrap();
    let mut plan = plan(Arrivals::Flash, 1, 1);
    plan.journey.steps = ["/seats/*", "/thanks"].map(|step| step.parse().unwrap()).to_vec();
    plan.patience = Patience { median: Duration::from_secs(100_000) };
    let report = day(Plan { policy, begins_unix_ms, waves, after: Duration::from_secs(3_600), ..plan });
    assert!(report.spans[..60].iter().all(|span| span.inside == 0), "the lane opens after a minute");
    assert!(report.spans[62..119].iter().any(|span| span.inside > 15));
    assert!(report.spans.iter().all(|span| span.inside <= 20));
    let total = report.total();
    assert_eq!(total.through + total.left_shut, 1_000, "{total:?}");
    assert!(total.through > 900, "all who came before it closed: {total:?}");
    let [everyone, fans] = &report.waits[..] else { panic!("two lines") };
    assert_eq!((everyone.line.as_str(), fans.line.as_str(), fans.count()), ("everyone", "fans", 100));
    assert!(fans.quantile(0.9).unwrap() * 2 < everyone.quantile(0.5).unwrap());
}
