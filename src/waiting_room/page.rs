//! The page that a waiting visitor sees, and the same as JSON.
//!
//! Taken apart once for each room and state; an answer is then a few copies with numbers between.
//! One request, nothing from a third party; without scripts it refreshes by itself.

use std::time::Duration;

use super::Place;

/// The query of a poll from a page on which everyone is held.
pub const HELD: &str = "held";
/// Where a room's polls go, before its name.
pub const POLL_PATH: &str = "/.seawall/room/";
const TEMPLATE: &str = include_str!("page.html");

/// What the visitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In line.
    Queued,
    /// In line, or a guest already, while everyone is held.
    Paused,
    /// The line takes no more.
    Full,
    /// It is their turn.
    Admitted,
}

/// One visitor's page.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    pub state: State,
    /// None: full, admitted, or held while inside.
    pub place: Option<Place>,
    /// When to ask again.
    pub poll_after: Duration,
    /// Whether the page may go to its own URL by itself when the turn comes: it answered a GET.
    pub reload: bool,
}

/// A room's pages.
#[derive(Clone, Debug)]
pub struct Page {
    /// By [`State`].
    html: [Vec<Part>; 4],
    /// By [`State`]: the object's beginning, without its end.
    json: [Vec<u8>; 4],
}

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Fixed(Box<str>),
    Title,
    Position,
    PositionRaw,
    Wait,
    WaitRaw,
    Poll,
    Reload,
    NumHidden,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Queued, Self::Paused, Self::Full, Self::Admitted];

    /// As JSON names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Paused => "paused",
            Self::Full => "full",
            Self::Admitted => "admitted",
        }
    }

    const fn heading(self) -> &'static str {
        match self {
            Self::Queued => "You are in line",
            Self::Paused => "The line is paused",
            Self::Full => "The line is full right now",
            Self::Admitted => "It is your turn",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Queued => {
                "Many people are here at once. Everyone comes in by turn, and you will be taken in as soon as it is yours."
            }
            Self::Paused => "Nobody is being let in for a moment. You need to do nothing: your place is kept.",
            Self::Full => "So many people are waiting that no more places can be given. We will try again for you.",
            Self::Admitted => "Welcome, come in.",
        }
    }

    const fn link(self) -> &'static str {
        match self {
            Self::Admitted => "Continue",
            _ => "Check now",
        }
    }
}

impl Page {
    /// The pages of the room `name`.
    pub fn new(name: &str) -> Self {
        let url = poll_url(name);
        // A held page asks as one: only some of the room's routes may be held.
        let held = format!("{url}?{HELD}");
        let url = |state| if state == State::Paused { held.as_str() } else { url.as_str() };
        Self {
            html: State::ALL.map(|state| parse(state, url(state))),
            json: State::ALL.map(|state| {
                let url = url(state);
                let fields = [("room", name), ("state", state.name()), ("message", state.message()), ("url", url)];
                let mut out = String::new();
                for (key, value) in fields {
                    out.push(if out.is_empty() { '{' } else { ',' });
                    out.push_str(&format!("\"{key}\":{}", script_string(value)));
                }
                out.into_bytes()
            }),
        }
    }

    /// Appends the page to `out`.
    pub fn html(&self, shown: &Shown, out: &mut Vec<u8>) {
        let place = shown.place;
        for part in self.html.get(shown.state as usize).into_iter().flatten() {
            match part {
                Part::Fixed(text) => out.extend_from_slice(text.as_bytes()),
                Part::Title => {
                    if let Some(place) = place {
                        out.push(b'(');
                        put_grouped(place.position, out);
                        out.extend_from_slice(b") ");
                    }
                    out.extend_from_slice(shown.state.heading().as_bytes());
                }
                Part::Position => put_grouped(place.map_or(0, |p| p.position), out),
                Part::PositionRaw => put(place.map_or(0, |p| p.position), out),
                Part::Wait if shown.state == State::Paused => out.extend_from_slice(b"paused"),
                Part::Wait => put_wait(place.and_then(|p| p.wait), out),
                Part::WaitRaw => match place.and_then(|p| p.wait) {
                    Some(wait) => put_range(wait, out),
                    None => out.extend_from_slice(b"null"),
                },
                Part::Poll => put(seconds_up(shown.poll_after), out),
                Part::Reload => out.extend_from_slice(if shown.reload { b"true" } else { b"false" }),
                Part::NumHidden if place.is_none() => out.extend_from_slice(b" hidden"),
                Part::NumHidden => {}
            }
        }
    }

    /// Appends the same as a JSON object; what is not known is left out.
    pub fn json(&self, shown: &Shown, out: &mut Vec<u8>) {
        out.extend_from_slice(self.json.get(shown.state as usize).map_or(b"{", Vec::as_slice));
        if let Some(place) = shown.place {
            out.extend_from_slice(b",\"position\":");
            put(place.position, out);
            if let Some(wait) = place.wait {
                out.extend_from_slice(b",\"wait_seconds\":");
                put_range(wait, out);
            }
        }
        if shown.state != State::Admitted {
            out.extend_from_slice(b",\"poll_after_seconds\":");
            put(seconds_up(shown.poll_after), out);
        }
        out.extend_from_slice(b"}");
    }
}

/// Where this room's polls go.
pub fn poll_url(name: &str) -> String {
    let mut url = String::from(POLL_PATH);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

fn parse(state: State, url: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut pieces = TEMPLATE.split("{{");
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        let part = match name {
            "title" => Some(Part::Title),
            "position" => Some(Part::Position),
            "position_raw" => Some(Part::PositionRaw),
            "wait" => Some(Part::Wait),
            "wait_raw" => Some(Part::WaitRaw),
            "poll" => Some(Part::Poll),
            "reload" => Some(Part::Reload),
            "num_hidden" => Some(Part::NumHidden),
            _ => None,
        };
        match part {
            Some(part) => {
                parts.push(Part::Fixed(std::mem::take(&mut text).into_boxed_str()));
                parts.push(part);
            }
            None => text.push_str(&fixed(name, state, url)),
        }
        text.push_str(rest);
    }
    parts.push(Part::Fixed(text.into_boxed_str()));
    parts
}

/// What a placeholder stands for when it is the same for everyone.
fn fixed(name: &str, state: State, url: &str) -> String {
    match name {
        "heading" => markup(state.heading()),
        "message" => markup(state.message()),
        "link" => markup(state.link()),
        "url_js" => script_string(url),
        "state_js" => script_string(state.name()),
        "words_js" => {
            let words = State::ALL.map(|s| {
                let [name, heading, message] = [s.name(), s.heading(), s.message()].map(script_string);
                format!("{name}:[{heading},{message}]")
            });
            format!("{{{}}}", words.join(","))
        }
        _ => String::new(),
    }
}

/// `text` between tags or in quotes.
fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// `text` as a JSON string that may also stand in a script: nothing in it ends the element.
fn script_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    for c in serde_json::Value::from(text).to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn put(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// With a comma before every third digit.
fn put_grouped(number: u64, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(number).as_bytes();
    for (at, digit) in digits.iter().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(b',');
        }
        out.push(*digit);
    }
}

fn put_range((low, high): (Duration, Duration), out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"low\":");
    put(low.as_secs(), out);
    out.extend_from_slice(b",\"high\":");
    put(seconds_up(high), out);
    out.push(b'}');
}

/// In words, the same as the script's: minutes below an hour and a half, then hours in tenths.
fn put_wait(wait: Option<(Duration, Duration)>, out: &mut Vec<u8>) {
    let Some((low, high)) = wait else { return out.extend_from_slice(b"not known yet") };
    let (low, high) = (low.as_secs(), seconds_up(high));
    if high < 90 {
        return out.extend_from_slice(b"about a minute");
    }
    if high < 5400 {
        put((low / 60).max(1), out);
        out.extend_from_slice("–".as_bytes());
        put(high.div_ceil(60), out);
        return out.extend_from_slice(b" minutes");
    }
    put_tenths(low / 360, out);
    out.extend_from_slice("–".as_bytes());
    put_tenths(high.div_ceil(360), out);
    out.extend_from_slice(b" hours");
}

fn put_tenths(tenths: u64, out: &mut Vec<u8>) {
    put(tenths / 10, out);
    if !tenths.is_multiple_of(10) {
        out.push(b'.');
        put(tenths % 10, out);
    }
}

fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(state: State) -> Shown {
        let place = Place {
            position: 12_345,
            wait: Some((Duration::from_secs(600), Duration::from_millis(900_500))),
            poll_after: Duration::from_millis(12_500),
        };
        let place = matches!(state, State::Queued | State::Paused).then_some(place);
        Shown { state, place, poll_after: Duration::from_millis(12_500), reload: true }
    }

    fn html(name: &str, state: State) -> String {
        let mut out = Vec::new();
        Page::new(name).html(&shown(state), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json(name: &str, state: State) -> serde_json::Value {
        let mut out = Vec::new();
        Page::new(name).json(&shown(state), &mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn every_state_has_a_whole_page_that_is_small_and_alone() {
        for state in State::ALL {
            let page = html("launch", state);
            assert!(page.len() < 14 * 1024, "{} bytes", page.len());
            assert!(!page.contains("{{") && page.trim_end().ends_with("</html>"), "{state:?}");
            assert!(!page.contains("http://") && !page.contains("https://"));
            assert!(page.contains(state.heading()) && page.contains("content=\"13\""));
        }
    }

    #[test]
    fn position_and_estimate_are_there_without_scripts() {
        let page = html("launch", State::Queued);
        assert!(page.contains("<title>(12,345) You are in line</title>"));
        assert!(page.contains("<b id=\"pos\">12,345</b>") && page.contains("10–16 minutes"));
        assert!(html("launch", State::Full).contains("id=\"num\" hidden"));
    }

    #[test]
    fn json_says_what_is_known_and_no_more() {
        let queued = json("launch", State::Queued);
        assert_eq!(queued["room"], "launch");
        assert_eq!(queued["state"], "queued");
        assert_eq!(queued["position"], 12_345);
        assert_eq!(queued["wait_seconds"], serde_json::json!({"low": 600, "high": 901}));
        assert_eq!(queued["poll_after_seconds"], 13);
        assert_eq!(queued["url"], "/.seawall/room/launch");
        let admitted = json("launch", State::Admitted);
        assert!(admitted.get("position").is_none() && admitted.get("poll_after_seconds").is_none());
    }

    #[test]
    fn a_name_cannot_break_out() {
        let name = "</script><b>\"'&\u{2028}";
        let page = html(name, State::Queued);
        assert!(!page.contains("<b>\"") && page.matches("</script>").count() == 1);
        assert_eq!(json(name, State::Queued)["room"], name);
        assert_eq!(markup("<&>\"'"), "&lt;&amp;&gt;&quot;&#39;");
    }

    /// `SEAWALL_PAGES=DIR cargo test pages_to_look_at` writes each state's page there.
    #[test]
    fn pages_to_look_at() {
        let Some(dir) = std::env::var_os("SEAWALL_PAGES") else { return };
        for state in State::ALL {
            let path = std::path::Path::new(&dir).join(format!("{}.html", state.name()));
            std::fs::write(path, html("launch", state)).unwrap();
        }
    }
}
