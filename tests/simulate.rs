//! `seawall simulate` as a user runs it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

use std::process::{Command, Output};

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_seawall")).arg("simulate").args(args).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

const DAY: [&str; 5] = ["config/shop-drop.toml", "--visitors", "2000", "--over", "1m"];

#[test]
fn the_same_seed_prints_the_same_day() {
    let with = |seed| text(&simulate(&[&DAY[..], &["--seed", seed]].concat()));
    assert_eq!(with("1"), with("1"));
    assert_ne!(with("1"), with("2"));
}

#[test]
fn it_says_in_words_what_the_day_comes_to() {
    let said = text(&simulate(&DAY));
    assert!(said.starts_with("config/shop-drop.toml: 2,000 visitors over 60 s (flash)"), "{said}");
    assert!(said.contains("of 2,000 visitors got all they came for"), "{said}");
    assert!(said.contains("The tail waits"), "{said}");
}

#[test]
fn every_policy_to_start_from_has_a_day_and_everyone_is_accounted_for() {
    for file in std::fs::read_dir("config").unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let json = text(&simulate(&[path.to_str().unwrap(), "--visitors", "500", "--over", "30s", "--json"]));
        let total = &serde_json::from_str::<serde_json::Value>(&json).unwrap()["total"];
        let of = |key: &str| total[key].as_u64().unwrap();
        assert_eq!(of("arrived"), 500, "{path:?}");
        let gone = of("through") + of("left_queue") + of("left_refused");
        assert_eq!(gone + of("still_there"), 500, "{path:?}: {total}");
    }
}

#[test]
fn the_page_needs_no_network() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("day.html");
    text(&simulate(&[&DAY[..], &["--html", page.to_str().unwrap()]].concat()));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && !page.contains("<script") && !page.contains("http://"));
}

#[test]
fn what_cannot_be_says_what_to_do() {
    for (args, code, says) in [
        (&["none.toml"][..], 1, "none.toml: no such file"),
        (&["config/tickets.toml", "--over", "10"], 2, "\"10s\""),
        (&["config/tickets.toml", "--shape", "wave"], 2, "flash"),
        (&["config/tickets.toml", "--journey", "cart"], 2, "POST /cart/* 30%"),
        (&["config/tickets.toml", "--dead-from", "1m"], 2, "--dead-for"),
        (&["config/tickets.toml", "--slow", "payment=5s"], 2, "there is no route `payment`; the policy has"),
        (
            &["config/tickets.toml", "--visitors", "10", "--html", "/none/day.html"],
            1,
            "/none/day.html can't be written",
        ),
    ] {
        let output = simulate(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(says), "{args:?}: {said}");
    }
}
