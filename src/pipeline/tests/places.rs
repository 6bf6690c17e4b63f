//! Places at an origin, over a reload.

use super::super::origin::Admitted;
use super::*;
use crate::admission::Ask as AskPlace;
use crate::policy::Class;

const SHARED: &str = r#"
[edge]
listen = ["127.0.0.1:0"]
[origin.shop]
servers = ["127.0.0.1:9"]
concurrency = { mode = "fixed", limit = 10 }
[[route]]
name = "search"
path = "/search"
max_in_flight = "10%"
[[route]]
name = "rest"
"#;

#[test]
fn a_reload_lets_no_route_over_its_share() {
    let shop = Shop::open_with(SHARED);
    let origin = shop.site.origins()[0].clone();
    let ask = || AskPlace { class: Class::Normal, kind: 0, client: 1, cohort: 0, waits: true };
    let mut held: Vec<_> = (0..5).map(|_| origin.admit(ask(), shop.now.mono)).collect();
    assert!(matches!(held.remove(0), Admitted::Now(_)), "and given back at once, to the next");
    assert_eq!((origin.figures().in_flight, origin.figures().queued), (1, 3));
    let policy = file::parse(SHARED, std::path::Path::new(".")).policy.unwrap();
    let telemetry = shop.site.telemetry.clone();
    let clock = shop.site.clock;
    let parts = Parts {
        clock,
        telemetry,
        snapshot: None,
        rooms: Vec::new(),
        passes: Vec::new(),
        keys: Arc::new(Keys::from_bytes(1, &[7; 32])),
        seed: 7,
    };
    let _reloaded = Site::bind(policy, Some(&shop.site), parts);
    assert_eq!((origin.figures().in_flight, origin.figures().queued), (1, 3));
}
