//! Mistakes in `[waiting_room.NAME]` and in the routes to it.

use super::*;

/// A room with these lines, the third and on, and a route to it.
fn room(lines: &str) -> String {
    format!("[waiting_room.a]\ncapacity = 5\n{lines}\n[[route]]\nwaiting_room = \"a\"\n")
}

const OPENS: &str = "opens = 2027-11-26T10:00:00+01:00";

#[test]
fn a_room_that_cannot_hold() {
    let empty = room("").replace("capacity = 5", "");
    broken(&empty, (1, 1, "`waiting_room.a.capacity` is missing", "capacity = 500"));
    broken(&room("session = { idle = \"2h\" }"), (3, 20, "`waiting_room.a.session.idle`", "max is \"1h\""));
    broken(&room("session = { return = 15 }"), (3, 22, "`waiting_room.a.session.return`", "\"15s\""));
    broken(&room("admit = \"120/m\""), (3, 9, "`waiting_room.a.admit`", "\"120/min\""));
    broken(&room("admit = \"fast\""), (3, 9, "`waiting_room.a.admit`", "\"auto\": as many as the origin carries"));
    broken(&room("order = \"lotery\""), (3, 9, "`waiting_room.a.order`", "did you mean \"lottery\"?"));
    broken(&room("on_store_failure = \"hide\""), (3, 20, "on_store_failure`", "\"hold\", \"share\" or \"open\""));
    broken(&room("dry_run = \"yes\""), (3, 11, "`waiting_room.a.dry_run`", "true or false"));
}

#[test]
fn hours_that_no_room_could_keep() {
    broken(&room("opens = 2027-11-26T10:00:00"), (3, 9, "`waiting_room.a.opens`", "+01:00 for one hour"));
    broken(&room("gather = \"30m\""), (3, 10, "how long before `opens` places are given", "add: opens = 2027-"));
    broken(&room("outside = \"closed\""), (3, 11, "while the room is not open", "neither `opens` nor `closes`"));
    let with = |line: &str| room(&format!("{OPENS}\n{line}"));
    broken(&with("closes = 2027-11-26T09:00:00Z"), (4, 10, "`waiting_room.a.closes`", "a moment after `opens`"));
    broken(&with("gather = \"0s\""), (4, 10, "`waiting_room.a.gather`", "longer than zero"));
    broken(&with("outside = \"close\""), (4, 11, "`waiting_room.a.outside`", "did you mean \"closed\"?"));
}

#[test]
fn a_room_that_has_closed_for_good_is_warned_of() {
    let text = format!("{HEAD}{SHOP}{}", room("closes = 1970-01-01T00:00:10Z"));
    let loaded = file::parse(&text, Path::new("/nowhere"));
    assert!(loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert!(file::over(&loaded.ends, 9_999).is_empty());
    let warned = file::over(&loaded.ends, 10_000);
    assert_eq!((warned.len(), warned[0].severity), (1, Severity::Warning));
    assert!(warned[0].message.contains("waiting room's time is over"), "{warned:?}");
}

#[test]
fn places_for_no_client() {
    let places = |value: &str| room(&format!("places_per_client = {value}"));
    broken(&places("64"), (3, 21, "`waiting_room.a.places_per_client`", "write { ipv4 = 64, ipv6_64 = 16 }"));
    broken(&places("{ ipv4 = 0 }"), (3, 30, "`waiting_room.a.places_per_client.ipv4`", "from 1 to"));
    broken(&places("{ ipv6 = 4 }"), (3, 23, "unknown key `ipv6`", "did you mean `ipv6_64`?"));
}

#[test]
fn a_bypass_for_nobody() {
    broken(&room("bypass = [\"staff\"]"), (3, 11, "there is no [clients.staff]", "add [clients.staff]"));
    let staff = format!("[clients.staff]\nnetworks = \"::1\"\n{}", room("bypass = [\"staff\"]"));
    expect(&format!("{HEAD}{SHOP}{staff}"), Severity::Warning, &[]);
}

#[test]
fn what_the_origin_cannot_say() {
    broken(&room("commands = [\"revoke\", \"stok\"]"), (3, 23, "`waiting_room.a.commands`", "did you mean \"stock\"?"));
    broken(&room("commands = true"), (3, 12, "`waiting_room.a.commands`", "\"revoke\", \"stock\" or \"close\""));
}

#[test]
fn a_cookie_that_never_comes_back() {
    let domain = |domain: &str| room(&format!("cookie_domain = \"{domain}\""));
    broken(&domain(".shop.example"), (3, 17, "`waiting_room.a.cookie_domain`", "write \"shop.example\""));
    broken(&domain("192.0.2.1"), (3, 17, "`waiting_room.a.cookie_domain`", "for each host by itself"));
    let host = |host: &str| format!("{}host = \"{host}\"\n[[route]]\n", domain("shop.example"));
    for far in ["shop.test", "ashop.example", "*.test"] {
        let message = format!("the cookie of waiting room `a` never reaches {far}");
        broken(&host(far), (5, 16, &message, "its cookie_domain is shop.example"));
    }
    for near in ["shop.example", "www.Shop.example", "*.shop.example", "*.example"] {
        expect(&format!("{HEAD}{SHOP}{}", host(near)), Severity::Warning, &[]);
    }
}

#[test]
fn a_room_whose_cookie_is_that_of_a_pass() {
    let policy = "[clients.staff]\npasses = \"s.keys\"\n[waiting_room.pass_staff]\ncapacity = 5\n\
        [[route]]\nclients = \"staff\"\nwaiting_room = \"pass_staff\"\n";
    broken(policy, (3, 1, "the cookie of waiting room `pass_staff`", "does not begin with `pass_`"));
    let two = format!("{HEAD}{SHOP}{}[waiting_room.a]\n", room(""));
    expect(&two, Severity::Error, &[(11, 15, "this is not TOML: duplicate key", "write it once")]);
}

#[test]
fn a_room_whose_cookie_is_that_of_writes() {
    let policy = |read_your_writes: bool| {
        format!(
            "[cache.page]\nread_your_writes = {read_your_writes}\n[waiting_room.version]\ncapacity = 5\n\
             [[route]]\ncache = \"page\"\nwaiting_room = \"version\"\n"
        )
    };
    broken(&policy(true), (3, 1, "that of `read_your_writes`", "another name"));
    assert!(!findings(&format!("{HEAD}{SHOP}{}", policy(false))).has_errors());
}

#[test]
fn lanes_that_nobody_could_take() {
    let lane = |lane: &str| room(&format!("lanes.{lane}"));
    broken(&lane("fans = {}"), (3, 14, "`waiting_room.a.lanes.fans.invitations` is missing", "\"fans.keys\""));
    broken(&lane("fans = \"fans.keys\""), (3, 14, "`waiting_room.a.lanes.fans`", "expected a table"));
    let keys = |rest: &str| lane(&format!("fans = {{ invitations = \"fans.keys\", {rest} }}"));
    broken(&keys("weight = 0"), (3, 52, "`waiting_room.a.lanes.fans.weight`", "from 1 to 1000"));
    broken(&keys("uses = 0"), (3, 50, "`waiting_room.a.lanes.fans.uses`", "from 1 to"));
    broken(&keys("wieght = 2"), (3, 43, "unknown key `wieght`", "did you mean `weight`?"));
    broken(&lane("everyone = { invitations = \"e.keys\" }"), (3, 7, "no lane can be named `everyone`", "another name"));
    broken(&lane("\"a b\" = { invitations = \"e.keys\" }"), (3, 7, "`a b` is no name for a lane", "letters, digits"));
    let nine: Vec<_> = (1..=9).map(|n| format!("lanes.l{n} = {{ invitations = \"{n}.keys\" }}")).collect();
    broken(&room(&nine.join("\n")), (11, 7, "more than 8 lanes in `waiting_room.a.lanes`", "one too many"));
}

#[test]
fn a_lane_that_opens_too_soon_or_too_late() {
    let lane = |room_hours: &str, opens: &str| {
        room(&format!("{room_hours}\nlanes.fans = {{ invitations = \"fans.keys\", opens = {opens} }}"))
    };
    let message = "`waiting_room.a.lanes.fans.opens`";
    broken(&lane(OPENS, "2027-11-26T08:29:59.5Z"), (4, 51, message, "gather at least \"31m\""));
    broken(&lane(OPENS, "2027-11-26T09:00:01Z"), (4, 51, message, "leave it out"));
    broken(&lane("closes = 2027-11-26T09:00:00Z", "2027-11-26T09:00:00Z"), (4, 51, message, "before `closes`"));
    // One mistake is told once.
    broken(
        &lane(&format!("gather = 1\n{OPENS}"), "2027-11-26T08:00:00Z"),
        (3, 10, "`waiting_room.a.gather`", "\"1s\""),
    );
    for fine in ["2027-11-26T08:30:00Z", "2027-11-26T09:00:00Z"] {
        expect(&format!("{HEAD}{SHOP}{}", lane(OPENS, fine)), Severity::Warning, &[]);
    }
    expect(&format!("{HEAD}{SHOP}{}", lane("", "2027-11-26T08:00:00Z")), Severity::Warning, &[]);
}

#[test]
fn a_lane_whose_key_signs_something_else_too() {
    let lane = |file: &str| format!("lanes.fans = {{ invitations = \"{file}\" }}");
    let own = "such as \"fans.keys\"";
    broken(&room(&lane("seawall.keys")), (3, 30, "is the file of `keys.file`", own));
    broken(&room(&lane("./seawall.keys")), (3, 30, "is the file of `keys.file`", own));
    let two = format!("lanes.press = {{ invitations = \"a.keys\" }}\n{}", lane("a.keys"));
    broken(&room(&two), (4, 30, "`waiting_room.a.lanes.fans.invitations` is a file that has another use", own));
    let staff =
        format!("[clients.staff]\npasses = \"s.keys\"\n{}clients = \"staff\"\n[[route]]\n", room(&lane("s.keys")));
    broken(&staff, (5, 30, "is a file that has another use", own));
}

#[test]
fn a_session_that_a_route_cannot_end() {
    broken(
        "[[route]]\nends_session = \"1m\"\n",
        (2, 16, "`route.ends_session` has no session to end", "add: waiting_room"),
    );
    let ends = |value: &str| format!("{}ends_session = {value}\n", room(""));
    broken(&ends("60"), (6, 16, "`route.ends_session`", "\"60s\""));
    expect(&format!("{HEAD}{SHOP}{}", ends("\"0s\"")), Severity::Warning, &[]);
}
