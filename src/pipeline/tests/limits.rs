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
