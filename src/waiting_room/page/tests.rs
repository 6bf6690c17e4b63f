//! The built-in page and the JSON, in every state and language.

use std::io::Read as _;

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn shown(state: State, language: Language) -> Shown<'static> {
    let place = Place {
        position: Some(12_345),
        wait: Some((600 * SECOND, Duration::from_millis(900_500))),
        poll_after: Duration::from_millis(12_500),
    };
    let has_place = matches!(state, State::Queued | State::Paused);
    Shown {
        state,
        place: has_place.then_some(place),
        poll_after: Duration::from_millis(12_500),
        reload: true,
        opens_in: (state == State::Before).then_some(93_784 * SECOND),
        stock: None,
        reference: has_place.then_some(Reference { lane: 0, number: 118_999 }),
        message: None,
        language,
        query: None,
    }
}

fn page(name: &str) -> Page {
    Page::new(name, None).unwrap()
}

fn html(shown: &Shown<'_>) -> String {
    let mut out = Vec::new();
    page("launch").html(shown, &mut out);
    String::from_utf8(out).unwrap()
}

fn json(shown: &Shown<'_>) -> serde_json::Value {
    let mut out = Vec::new();
    page("launch").json(shown, &mut out);
    serde_json::from_slice(&out).unwrap()
}

fn every() -> impl Iterator<Item = Shown<'static>> {
    Language::ALL.into_iter().flat_map(|language| State::ALL.map(|state| shown(state, language)))
}

fn english(state: State) -> Shown<'static> {
    shown(state, Language::English)
}

/// What the script reads.
fn data(html: &str) -> serde_json::Value {
    let (_, rest) = html.split_once("<script id=\"seawall\" type=\"application/json\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn every_state_has_a_whole_page_in_every_language_that_is_small_and_alone() {
    for shown in every() {
        let page = html(&shown);
        assert!(page.len() < 24 * 1024, "{} bytes", page.len());
        assert!(!page.contains("{{") && page.ends_with("</html>\n"), "{shown:?}");
        let elsewhere = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://") && !elsewhere.contains("//"));
        let words = shown.language.words();
        assert!(page.contains(&format!("<html lang=\"{}\" dir=\"{}\">", words.tag, words.direction())));
        assert_eq!(data(&page)["now"], json(&shown));
    }
}

#[test]
fn a_compressed_page_is_the_same_page_and_fits_the_first_flight() {
    for shown in every() {
        let mut packed = vec![b'!'];
        assert!(page("launch").gzip(&shown, &mut packed));
        assert!(packed.len() < 14 * 1024, "{shown:?}: {} bytes", packed.len());
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&packed[1..]).read_to_string(&mut plain).unwrap();
        assert_eq!(plain, html(&shown));
    }
}

#[test]
fn its_policy_names_the_script_and_the_style_of_every_page() {
    let hash = |text: &str| format!("'sha256-{}'", BASE64.encode(&Sha256::digest(text.as_bytes())));
    for shown in every() {
        let page = html(&shown);
        let script = page.rsplit_once("<script>").unwrap().1.split_once("</script>").unwrap().0;
        let style = page.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let csp = self::page("launch").csp().unwrap();
        assert!(csp.contains(&format!("script-src {};", hash(script))), "{csp}");
        assert!(csp.contains(&format!("style-src {};", hash(style))), "{csp}");
        assert!(!page.contains(" style=") && !page.contains(" onclick="));
    }
}

#[test]
fn position_and_estimate_are_there_without_scripts() {
    let page = html(&english(State::Queued));
    assert!(page.contains("<title>(12,345) You are in line</title>"));
    assert!(page.contains("data-seawall=\"position\">12,345</p>") && page.contains("10–16 minutes"));
    assert!(page.contains("<bdi class=\"ref\" dir=\"ltr\" data-seawall=\"reference\">A-3M6Q-0</bdi>"));
    assert!(html(&english(State::Full)).contains("data-seawall-show=\"position\" hidden"));
    let before = html(&english(State::Before));
    for part in ["\"days\">1</b>", "\"hours\">02</b>", "\"minutes\">03</b>", "\"seconds\">04</b>"] {
        assert!(before.contains(part), "{part}");
    }
}

#[test]
fn what_is_said_follows_what_is_known() {
    let heading = |shown: &Shown<'_>| {
        let page = html(shown);
        page.split_once("data-seawall=\"heading\">").unwrap().1.split_once('<').unwrap().0.to_owned()
    };
    let reference = Some(Reference { lane: 0, number: 7 });
    assert_eq!(heading(&Shown { reference, ..english(State::Before) }), "You are here in time");
    assert_eq!(heading(&english(State::Before)), "Not open yet");
    assert_eq!(heading(&Shown { place: None, reference: None, ..english(State::Queued) }), "One moment, please");
    assert_eq!(heading(&Shown { place: None, ..english(State::Queued) }), "Your place is being drawn");
    assert_eq!(heading(&english(State::Admitted)), "It is your turn");
    assert!(html(&Shown { reload: false, ..english(State::Admitted) }).contains("Please go back"));
}

#[test]
fn without_scripts_it_refreshes_until_it_is_stopped() {
    let refreshing = html(&Shown { query: Some("id=5"), ..english(State::Queued) });
    assert!(refreshing.contains("<noscript><meta http-equiv=\"refresh\" content=\"13\"></noscript>"));
    assert!(refreshing.contains("href=\"?id=5&amp;seawall_refresh=stop\">Stop refreshing</a>"));
    let stopped = html(&Shown { query: Some("id=5&seawall_refresh=stop"), ..english(State::Queued) });
    assert!(
        !stopped.contains("http-equiv=\"refresh\"") && stopped.contains("href=\"?id=5\">Refresh by itself again</a>")
    );
    assert!(!html(&english(State::Admitted)).contains("<noscript>"));
    // The first page is fetched again soon, for a number; who has one is spared a page every 2 s.
    let stub = Shown { place: None, reference: None, poll_after: SECOND, ..english(State::Queued) };
    assert!(html(&stub).contains("content=\"1\">"));
    assert!(html(&Shown { poll_after: 2 * SECOND, ..english(State::Queued) }).contains("content=\"10\">"));
}

#[test]
fn json_says_what_is_known_and_no_more() {
    let queued = serde_json::json!({
        "room": "launch", "state": "queued", "language": "en", "url": "/.seawall/room/launch",
        "message": "Many people are here at once. Everyone comes in by turn, and this page lets you in when it is yours.",
        "position": 12_345, "wait_seconds": {"low": 600, "high": 901}, "poll_after_seconds": 13, "reference": "A-3M6Q-0",
    });
    assert_eq!(json(&english(State::Queued)), queued);
    let admitted = json(&english(State::Admitted));
    assert!(admitted.get("position").is_none() && admitted.get("poll_after_seconds").is_none());
    let before = json(&english(State::Before));
    assert_eq!((&before["state"], &before["opens_in_seconds"]), (&"before".into(), &93_784.into()));
    let paused = json(&english(State::Paused));
    assert_eq!(paused["url"], "/.seawall/room/launch?held");
    let sold_out = json(&Shown { stock: Some(0), ..english(State::SoldOut) });
    assert_eq!((&sold_out["state"], &sold_out["stock"]), (&"sold_out".into(), &0.into()));
}

#[test]
fn the_operator_is_heard_in_the_visitors_language() {
    let texts = [("", "Back at <noon>"), ("de", "Um zwölf geht es weiter")];
    let message = Message::new(texts.map(|(tag, text)| (tag.to_owned(), text.to_owned())).into()).unwrap();
    let told = |language| Shown { message: Some(&message), ..shown(State::Paused, language) };
    let answer = json(&told(Language::German));
    assert_eq!((&answer["message"], &answer["notice"]), (&"Um zwölf geht es weiter".into(), &true.into()));
    let page = html(&told(Language::Korean));
    assert!(page.contains("data-seawall-show=\"notice\">Back at &lt;noon&gt;</p>"));
    assert_eq!(data(&page)["now"]["message"], "Back at <noon>");
}

#[test]
fn a_name_cannot_break_out() {
    let name = "</script><b>\"'&\u{2028}";
    let mut out = Vec::new();
    page(name).html(&english(State::Queued), &mut out);
    let page = String::from_utf8(out).unwrap();
    assert!(!page.contains("<b>\"") && page.matches("</script>").count() == 2);
    assert_eq!(data(&page)["now"]["room"], name);
}
