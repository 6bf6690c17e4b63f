//! Answers that differ by what is asked: RFC 9111 §4.1.

use super::*;

#[test]
fn answers_are_told_apart_by_the_fields_that_vary_names() {
    let place = Origin::start(|request, to| {
        let language = request.field("accept-language").unwrap_or("none").to_owned();
        ok(to, "Vary: Accept-Language\r\nCache-Control: max-age=60\r\n", language)
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for round in 0..3 {
            for language in ["de", "en", "fr"] {
                let answer = door.get("/", &[("accept-language", language)]);
                assert_eq!(answer.text(), language);
                let expected = match (round, language) {
                    (0, "de") => "Seawall; fwd=uri-miss; stored",
                    (0, _) => "Seawall; fwd=vary-miss; stored",
                    _ => "Seawall; hit",
                };
                assert!(status_of(&answer).starts_with(expected), "{answer:?}");
            }
            assert_eq!(door.get("/", &[]).text(), "none");
        }
    }
    assert_eq!(place.count(), 8);
}

#[test]
fn those_who_ask_together_get_each_their_own_variant() {
    let gate = Gate::default();
    let hold = gate.clone();
    let place = Origin::start(move |request, to| {
        hold.pass();
        let language = request.field("accept-language").unwrap_or("none").to_owned();
        ok(to, "Vary: Accept-Language\r\nCache-Control: max-age=60\r\n", language)
    });
    let edge = edge(&place);
    let mut readers: Vec<_> = (0..40).map(|i| (["de", "en"][i % 2], edge.connect())).collect();
    for (language, reader) in &mut readers {
        reader.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Language: {language}\r\n\r\n"));
    }
    eventually("the fill is at the origin", || place.count() == 1);
    gate.open();
    for (language, reader) in &mut readers {
        assert_eq!(reader.answer().text(), *language);
    }
    assert_eq!(place.count(), 2, "one for each language");
}

#[test]
fn what_varies_by_everything_is_never_given_again() {
    let place = Origin::start(|_, to| ok(to, "Vary: *\r\nCache-Control: max-age=60\r\n", "page"));
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for _ in 0..2 {
            assert!(!status_of(&door.get("/", &[])).contains("hit"));
        }
    }
    assert_eq!(place.count(), 4);
}

#[test]
fn a_coding_is_given_to_those_who_accept_it_even_where_vary_is_forgotten() {
    let place = Origin::start(|request, to| {
        let gzip = request.field("accept-encoding").is_some_and(|value| value.contains("gzip"));
        let fields = if gzip { "Content-Encoding: gzip\r\n" } else { "" };
        ok(to, &format!("Cache-Control: max-age=60\r\n{fields}"), if gzip { "zipped" } else { "plain" })
    });
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for _ in 0..2 {
            assert_eq!(door.get("/", &[("accept-encoding", "gzip, br")]).text(), "zipped");
            assert_eq!(door.get("/", &[]).text(), "plain");
        }
    }
    assert_eq!(place.count(), 4);
}

#[test]
fn cookies_that_choose_a_variant_are_sent_alone_and_keep_answers_apart() {
    let place =
        Origin::start(|request, to| ok(to, "Cache-Control: max-age=60\r\n", request.field("cookie").unwrap_or("none")));
    let edge = edge(&place);
    for mut door in doors(&edge) {
        for _ in 0..2 {
            for currency in ["EUR", "USD"] {
                let cookies = format!("_ga=1; currency={currency}");
                assert_eq!(door.get("/lenient/", &[("cookie", &cookies)]).text(), format!("currency={currency}"));
            }
            assert_eq!(door.get("/lenient/", &[]).text(), "none");
        }
    }
    assert_eq!(place.count(), 6);
}
