use std::num::NonZeroU64;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Mono;
use crate::policy::{Commands, OnStoreFailure, Order, Outside, PlacesPerClient, Quota};

const OPENS: u64 = 50_000;

fn policy(commands: Commands) -> WaitingRoom {
    WaitingRoom {
        name: "launch".to_owned(),
        capacity: NonZeroU32::new(100).unwrap(),
        admit: Admit::AsPlacesComeFree,
        order: Order::Fifo,
        opens_unix_ms: Some(OPENS),
        gather: Duration::ZERO,
        closes_unix_ms: None,
        outside: Outside::Pass,
        session_idle: Duration::from_secs(600),
        session_max: Duration::from_secs(3600),
        session_return: Duration::ZERO,
        claim: Duration::from_secs(180),
        place_hold: Duration::from_secs(3600),
        max_queue: NonZeroU64::new(1000).unwrap(),
        places_per_client: PlacesPerClient { ipv4: NonZeroU32::MIN, ipv6_64: NonZeroU32::MIN },
        bypass: Vec::new(),
        cookie_domain: None,
        lanes: Vec::new(),
        page: None,
        commands,
        on_store_failure: OnStoreFailure::Hold,
        dry_run: false,
    }
}

fn at(unix_ms: u64) -> Now {
    Now { mono: Mono::default(), unix_ms }
}

fn ops(until: Option<u64>, now: u64) -> By {
    By::operator("ops", "a drill", until, at(now))
}

fn minute(count: u32) -> Admit {
    Admit::Quota(Quota { count: NonZeroU32::new(count).unwrap(), period: Duration::from_secs(60) })
}

fn said(language: &str, text: &str) -> Change {
    Change::Message { language: language.to_owned(), text: Some(text.to_owned()) }
}

fn any_change() -> impl Strategy<Value = Change> {
    let capacity = |n: u32| NonZeroU32::new(n).unwrap();
    prop_oneof![
        prop::option::of(1u32..1000).prop_map(|n| Change::Admit(n.map(minute))),
        prop::option::of(1u32..1000).prop_map(move |n| Change::Capacity(n.map(capacity))),
        prop::option::of(0u64..10).prop_map(Change::Stock),
        Just(Change::Pause),
        Just(Change::Resume),
        Just(Change::Close),
        Just(Change::Open),
        ("de|en|ar", "[a-z]{1,20}").prop_map(|(language, text)| said(&language, &text)),
        Just(Change::NoMessage),
    ]
}

/// When, what, whose, and until when.
fn any_orders() -> impl Strategy<Value = Vec<(u64, Change, bool, Option<u64>)>> {
    let one = (0u64..100_000, any_change(), any::<bool>(), prop::option::of(0u64..200_000));
    prop::collection::vec(one, 0..12)
}

fn given(orders: Vec<(u64, Change, bool, Option<u64>)>) -> Orders {
    let mut all = Orders::default();
    for (when, change, from_origin, until) in orders {
        if from_origin {
            all.hear(&change, &By::origin("stock=1", at(when)));
        } else {
            all.change(&change, &ops(until, when)).unwrap();
        }
    }
    all
}

proptest! {
    #[test]
    fn what_has_lapsed_counts_no_more_than_what_was_taken_away(orders in any_orders(), now in 0u64..200_000) {
        let (policy, now) = (policy(Commands::ALL), at(now));
        let before = given(orders);
        let mut after = before.clone();
        after.expire(&policy, now);
        prop_assert_eq!(before.effective(&policy, now), after.effective(&policy, now));
        prop_assert_eq!(before.stock(&policy, now), after.stock(&policy, now));
        prop_assert_eq!(before.message(&policy, now), after.message(&policy, now));
        for what in What::ALL {
            prop_assert_eq!(before.stands(what, &policy, now), after.stands(what, &policy, now));
            prop_assert_eq!(after.by(what).is_some(), after.stands(what, &policy, now));
        }
        prop_assert!(after.next_expiry(&policy).is_none_or(|next| next > now.unix_ms));
    }

    #[test]
    fn nothing_lapses_before_the_next_expiry_and_something_does_then(orders in any_orders(), now in 0u64..200_000) {
        let policy = policy(Commands::ALL);
        let mut all = given(orders);
        all.expire(&policy, at(now));
        let Some(next) = all.next_expiry(&policy) else {
            prop_assert!(all.expire(&policy, at(u64::MAX)).is_empty());
            return Ok(());
        };
        prop_assert!(all.clone().expire(&policy, at(next - 1)).is_empty());
        prop_assert!(!all.expire(&policy, at(next)).is_empty());
    }

    #[test]
    fn only_pace_and_capacity_differ_from_the_policy(orders in any_orders(), now in 0u64..200_000) {
        let policy = policy(Commands::ALL);
        let effective = given(orders).effective(&policy, at(now));
        prop_assert_eq!(WaitingRoom { admit: policy.admit, capacity: policy.capacity, ..effective }, policy);
    }

    #[test]
    fn the_disk_gives_back_what_it_was_given(orders in any_orders()) {
        let all = given(orders);
        let text = serde_json::to_vec(&all).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Orders>(&text).unwrap(), all);
    }

    #[test]
    fn names_and_reasons_are_bounded_and_on_one_line(who in ".{0,300}", why in ".{0,2000}") {
        let by = By::operator(&format!("{who}\n"), &format!("\u{1b}{why}"), None, at(0));
        prop_assert!(by.who.chars().count() <= WHO_MAX && by.why.chars().count() <= WHY_MAX);
        prop_assert!(!by.who.contains(char::is_control) && !by.why.contains(char::is_control));
    }
}

#[test]
fn an_order_stands_over_the_policy_until_it_expires_or_is_taken_back() {
    let policy = policy(Commands::ALL);
    let mut all = Orders::default();
    all.change(&Change::Admit(Some(minute(240))), &ops(Some(2_000), 1_000)).unwrap();
    all.change(&Change::Capacity(NonZeroU32::new(7)), &ops(None, 1_000)).unwrap();
    let effective = all.effective(&policy, at(1_999));
    assert_eq!((effective.admit, effective.capacity.get()), (minute(240), 7));
    assert_eq!(all.effective(&policy, at(2_000)).admit, Admit::AsPlacesComeFree);
    let lapsed = all.expire(&policy, at(2_000));
    let [lapsed] = lapsed.as_slice() else { panic!("{lapsed:?}") };
    assert_eq!((lapsed.what, lapsed.cause, &lapsed.value), (What::Admit, Lapse::Expired, &"240/min".into()));
    all.change(&Change::Capacity(None), &ops(None, 3_000)).unwrap();
    assert_eq!(all, Orders::default());
}

#[test]
fn what_the_origin_said_before_the_opening_ends_with_it() {
    let policy = policy(Commands::ALL);
    let mut all = Orders::default();
    assert!(all.hear(&Change::Stock(Some(0)), &By::origin("stock=0", at(OPENS - 1))));
    assert_eq!((all.stock(&policy, at(OPENS - 1)), all.stock(&policy, at(OPENS))), (Some(0), None));
    assert_eq!(all.expire(&policy, at(OPENS)).first().map(|l| l.cause), Some(Lapse::Opened));
    assert!(all.hear(&Change::Close, &By::origin("close", at(OPENS))));
    assert!(all.stands(What::Close, &policy, at(u64::MAX)));
}

#[test]
fn the_origin_is_believed_as_far_as_the_policy_says() {
    let mut all = Orders::default();
    all.hear(&Change::Stock(Some(3)), &By::origin("stock=3", at(OPENS)));
    all.hear(&Change::Close, &By::origin("close", at(OPENS)));
    let deaf = policy(Commands { stock: false, ..Commands::ALL });
    assert_eq!((all.stock(&deaf, at(OPENS)), all.stands(What::Close, &deaf, at(OPENS))), (None, true));
    assert_eq!(all.expire(&deaf, at(OPENS)).first().map(|l| l.cause), Some(Lapse::NotAllowed));
}

#[test]
fn an_operator_is_heard_before_the_origin() {
    let policy = policy(Commands::ALL);
    let mut all = Orders::default();
    all.change(&Change::Stock(Some(50)), &ops(None, OPENS)).unwrap();
    assert!(!all.hear(&Change::Stock(Some(0)), &By::origin("stock=0", at(OPENS))));
    assert_eq!(all.stock(&policy, at(OPENS)), Some(50));
    all.change(&Change::Open, &ops(None, OPENS)).unwrap();
    assert_eq!(all.stock(&policy, at(OPENS)), Some(50), "an operator's word is taken back by `set` alone");
}

#[test]
fn a_word_of_the_origin_that_changes_nothing_is_no_change() {
    let mut all = Orders::default();
    let by = By::origin("stock=3", at(OPENS));
    assert!(all.hear(&Change::Stock(Some(3)), &by));
    assert!(!all.hear(&Change::Stock(Some(3)), &by));
    assert!(all.hear(&Change::Stock(Some(2)), &by));
    assert!(all.hear(&Change::Close, &by) && !all.hear(&Change::Close, &by));
    all.change(&Change::Open, &ops(None, OPENS)).unwrap();
    assert_eq!(all, Orders::default());
}

#[test]
fn a_message_is_kept_by_language_and_ends_as_the_last_word_says() {
    let policy = policy(Commands::ALL);
    let mut all = Orders::default();
    all.change(&said("", "Back at noon"), &ops(None, 0)).unwrap();
    all.change(&said("de", "Um zwölf weiter"), &ops(Some(9_000), 0)).unwrap();
    assert_eq!(all.in_force(&policy, at(1)).count(), 1);
    assert_eq!(all.value(What::Message), serde_json::json!({ "": "Back at noon", "de": "Um zwölf weiter" }));
    assert_eq!(all.message(&policy, at(9_000)), None);
    for language in ["", "de"] {
        let nothing = Change::Message { language: language.to_owned(), text: None };
        all.change(&nothing, &ops(None, 1)).unwrap();
    }
    assert_eq!(all, Orders::default(), "a message in no language is none");
}

#[test]
fn a_message_that_is_too_long_changes_nothing() {
    let mut all = Orders::default();
    all.change(&said("", "Back at noon"), &ops(None, 0)).unwrap();
    let before = all.clone();
    assert!(all.change(&said("de", &"x".repeat(10_000)), &ops(None, 1)).is_err());
    assert_eq!(all, before);
}
