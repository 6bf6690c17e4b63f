//! Rate limits on a request's way.

use std::time::Duration;

use super::*;
use crate::policy::Class;

const LIMITS: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[origin.shop]
servers = ["127.0.0.1:9"]
concurrency = { mode = "fixed", limit = 100 }
[clients.staff]
networks = "192.0.2.77"
[waiting_room.launch]
capacity = 2
[rate_limit.visitors]
key = "visitor"
quota = "1/h"
burst = 2
[rate_limit.logins]
key = ["client_net", "path"]
quota = "10/min"
plan = "clients"
plans.staff = "20/min"
[rate_limit.slow]
key = "host"
quota = "2/min"
[rate_limit.planned]
key = "client_ip"
quota = "1/min"
dry_run = true
[[route]]
name = "room"
path = "/room"
waiting_room = "launch"
rate_limit = "visitors"
[[route]]
name = "login"
path = "/login"
rate_limit = "logins"
cost = 5
[[route]]
name = "both"
path = "/both"
rate_limit = ["logins", "slow"]
[[route]]
name = "rest"
rate_limit = "planned"
"#;

fn from(client: u8, path: &str) -> Ask<'_> {
    Ask { client: [192, 0, 2, client], ..get(path) }
}

#[test]
fn a_visitor_is_counted_by_its_session_wherever_it_comes_from() {
    let mut shop = Shop::open_with(LIMITS);
    let (passage, outcome) = shop.ask(from(1, "/room"));
    assert!(matches!(outcome, Outcome::Origin));
    let cookie = passage.cookies[0].split(';').next().map(str::to_owned);
    // The first request came without a session, and was counted by its address.
    for client in [1, 2] {
        assert_eq!(shop.reason(Ask { cookie: cookie.clone(), ..from(client, "/room") }), None);
    }
    assert_eq!(shop.reason(Ask { cookie: cookie.clone(), ..from(3, "/room") }), Some(Reason::RateLimited));
    // A session that has ended is none.
    drop(passage);
    shop.pass(Duration::from_secs(3601));
    assert_ne!(shop.reason(Ask { cookie, ..from(4, "/room") }), Some(Reason::RateLimited));
}

#[test]
fn a_request_takes_its_routes_cost_and_a_plan_gives_more() {
    let mut shop = Shop::open_with(LIMITS);
    let allowed =
        |shop: &mut Shop, client| (0..9).take_while(|_| shop.reason(from(client, "/login")).is_none()).count();
    assert_eq!(allowed(&mut shop, 1), 2);
    assert_eq!(allowed(&mut shop, 2), 0, "of the same network");
    assert_eq!(allowed(&mut shop, 77), 4, "staff, who have a plan");
    assert_eq!(shop.reason(from(1, "/both")), None, "another path");
}

#[test]
fn of_two_limits_the_one_that_is_waited_for_longest_answers_and_the_other_has_not_counted() {
    let mut shop = Shop::open_with(LIMITS);
    for _ in 0..2 {
        assert_eq!(shop.reason(from(1, "/both")), None);
    }
    for _ in 0..20 {
        let Outcome::Answer(answer) = shop.ask(from(1, "/both")).1 else { panic!("not limited") };
        let field = answer.fields.iter().find(|(name, _)| *name == "ratelimit").map(|(_, value)| value.as_str());
        assert_eq!(field, Some("\"slow\";r=0;t=30"));
    }
    shop.pass(Duration::from_secs(60));
    assert_eq!(shop.reason(from(1, "/both")), None, "of the ten logins two were taken, not twenty-two");
}

#[test]
fn a_passage_knows_how_much_its_request_matters() {
    let mut shop = Shop::open_with(&(LIMITS.to_owned() + "[priority]\ncookie = \"rank\"\nfrom = \"staff\"\n"));
    let mut class =
        |client, rank: &str| shop.ask(Ask { cookie: Some(format!("rank={rank}")), ..from(client, "/") }).0.class;
    assert_eq!(
        [class(77, "critical"), class(1, "critical"), class(1, "bulk")],
        [Class::Critical, Class::Normal, Class::Bulk]
    );
}

#[test]
fn a_dry_run_is_noted_and_passes() {
    let mut shop = Shop::open_with(LIMITS);
    let noted = [0, 1].map(|_| {
        let (passage, outcome) = shop.ask(from(1, "/"));
        assert!(matches!(outcome, Outcome::Origin));
        passage.would_refuse.map(|id| shop.site.limit(id).dry_note().to_owned())
    });
    assert_eq!(noted, [None, Some("rate_limit.planned would refuse".to_owned())]);
}

const OPENS_LATER: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[origin.shop]
servers = ["127.0.0.1:9"]
concurrency = { mode = "fixed", limit = 100 }
[waiting_room.launch]
capacity = 2
HOURS
[rate_limit.few]
key = "client_ip"
quota = "1/h"
burst = 3
[[route]]
waiting_room = "launch"
rate_limit = "few"
at.static = "wait"
"#;

/// How many of ten requests get as far as the origin.
fn passed(shop: &mut Shop, cookie: Option<&String>) -> usize {
    let ask = |shop: &mut Shop| shop.reason(Ask { cookie: cookie.cloned(), ..from(1, "/") });
    (0..10).filter(|_| ask(shop).is_none()).count()
}

#[test]
fn a_room_that_answers_nobody_keeps_nobody_from_being_counted() {
    for hours in ["opens = 2099-01-01T00:00:00Z", "dry_run = true"] {
        let mut shop = Shop::open_with(&OPENS_LATER.replace("HOURS", hours));
        if hours.starts_with("dry") {
            // Full, so that whoever comes would wait.
            let inside: Vec<_> = (10..12).map(|client| shop.ask(from(client, "/")).0).collect();
            assert_eq!(passed(&mut shop, None), 3, "{hours}");
            drop(inside);
        } else {
            assert_eq!(passed(&mut shop, None), 3, "{hours}");
        }
    }
}

#[test]
fn one_who_came_in_by_a_ticket_and_goes_on_showing_it_is_counted() {
    let mut shop =
        Shop::open_with(&OPENS_LATER.replace("HOURS", "claim = \"1h\"\nsession = { idle = \"10s\", max = \"1h\" }"));
    let inside: Vec<_> = (10..12).map(|client| shop.ask(from(client, "/")).0).collect();
    let Outcome::Answer(queued) = shop.ask(from(1, "/")).1 else { panic!() };
    let stub = cookie_of(&queued);
    let Outcome::Answer(queued) = shop.ask(Ask { cookie: Some(stub), ..from(1, "/") }).1 else { panic!() };
    let ticket = cookie_of(&queued);
    drop(inside);
    // The drop reads the real clock, which is far behind the simulated one: idle since long ago.
    shop.pass(Duration::from_secs(12));
    assert_eq!(shop.reason(Ask { cookie: Some(ticket.clone()), ..from(1, "/") }), None);
    assert_eq!(passed(&mut shop, Some(&ticket)), 2);
}

#[test]
fn a_route_that_is_to_be_held_is_so_while_its_room_is_closed() {
    let mut shop = Shop::open_with(&OPENS_LATER.replace("HOURS", "opens = 2099-01-01T00:00:00Z"));
    shop.set(Level::Static);
    let (_, outcome) = shop.ask(from(1, "/"));
    let Outcome::Answer(answer) = outcome else { panic!("it went to an origin that is gone") };
    assert_eq!((answer.reason, answer.status()), (Reason::LevelRefused, 503));
}

#[test]
fn an_answer_that_sets_a_visitors_cookie_is_kept_by_no_cache_behind_us() {
    let mut shop = Shop::open_with(LIMITS);
    let (mut passage, _) = shop.ask(from(1, "/room"));
    let fields = passage.common_fields();
    let said: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    assert_eq!(said, ["x-request-id", "cache-control", "cdn-cache-control", "set-cookie", "seawall-ticket"]);
    assert!(fields.iter().filter(|(name, _)| name.ends_with("cache-control")).all(|(_, value)| value == "private"));
    let (mut passage, _) = shop.ask(from(1, "/rest"));
    assert_eq!(passage.common_fields().len(), 1);
}
