//! The built-in page, taken apart once for each language.

use std::sync::{LazyLock, OnceLock};

use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::gzip::deflate;
use super::language::Language;
use super::view::{Hole, Part, View};
use super::words::{Said, Words};

const PAGE: &str = include_str!("page.html");
/// What varies, for the script; then the script.
const SCRIPTS: &str = concat!(
    r#"<script id="seawall" type="application/json">{"reload":{{reload}},"now":{{now}},"words":{{words}}}</script>"#,
    "\n<script>{{code}}</script>"
);

/// Without the indentation and comments of the sources.
static STYLE: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("page.css"), ""));
static CODE: LazyLock<String> = LazyLock::new(|| squeezed(include_str!("page.js"), "\n"));

static CSP: LazyLock<String> = LazyLock::new(|| {
    let hash = |text: &str| BASE64.encode(&Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
        hash(&STYLE),
        hash(&CODE)
    )
});

/// A page, or a part of one, between whose pieces the visitor's own are put.
#[derive(Debug)]
pub(super) struct Layout {
    pub pieces: Vec<Piece>,
}

#[derive(Debug)]
pub(super) enum Piece {
    Fixed {
        text: Box<str>,
        /// The same, as [`deflate`] gives it; none where that is no shorter.
        deflated: Option<Box<[u8]>>,
    },
    Hole(Hole),
}

impl Layout {
    fn new(source: &str, words: &Words) -> Self {
        let mut layout = Self { pieces: Vec::new() };
        let mut text = String::new();
        layout.parse(source, words, &mut text);
        layout.fix(&mut text);
        layout
    }

    /// Appends the page of one visitor.
    pub fn put(&self, view: &View<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Fixed { text, .. } => out.extend_from_slice(text.as_bytes()),
                Piece::Hole(hole) => view.put(*hole, out),
            }
        }
    }

    fn parse(&mut self, source: &str, words: &Words, text: &mut String) {
        let mut pieces = source.split("{{");
        text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
            match (name, hole(name)) {
                (_, Some(hole)) => {
                    self.fix(text);
                    self.pieces.push(Piece::Hole(hole));
                }
                ("script", None) => self.parse(SCRIPTS, words, text),
                (_, None) => text.push_str(&fixed(name, words)),
            }
            text.push_str(rest);
        }
    }

    /// What has come so far is the same for everyone.
    fn fix(&mut self, text: &mut String) {
        let text = std::mem::take(text).into_boxed_str();
        if !text.is_empty() {
            let deflated = deflate(text.as_bytes());
            self.pieces.push(Piece::Fixed { text, deflated });
        }
    }
}

/// The page in a language.
pub(super) fn of(language: Language) -> &'static Layout {
    static LAYOUTS: [OnceLock<Layout>; Language::ALL.len()] = [const { OnceLock::new() }; Language::ALL.len()];
    static ENGLISH: LazyLock<Layout> = LazyLock::new(|| Layout::new(PAGE, Language::DEFAULT.words()));
    match LAYOUTS.get(language as usize) {
        Some(layout) => layout.get_or_init(|| Layout::new(PAGE, language.words())),
        // Language::ALL has them all (tested there).
        None => &ENGLISH,
    }
}

/// What an operator's own page needs to ask for its place: data and script, as in the built-in one.
pub(super) fn scripts(view: &View<'_>, out: &mut Vec<u8>) {
    static LAYOUTS: OnceLock<Vec<Layout>> = OnceLock::new();
    let all = LAYOUTS.get_or_init(|| Language::ALL.iter().map(|l| Layout::new(SCRIPTS, l.words())).collect());
    if let Some(layout) = all.get(view.shown.language as usize) {
        layout.put(view, out);
    }
}

/// What the page may do: run its own script and style, and ask Seawall.
pub(super) fn csp() -> &'static str {
    &CSP
}

fn squeezed(source: &str, between: &str) -> String {
    let lines = source.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join(between)
}

fn hole(name: &str) -> Option<Hole> {
    Some(match name {
        "title" => Hole::Title,
        "refresh" => Hole::Refresh,
        "state" => Hole::State,
        "heading" => Hole::Heading,
        "text" => Hole::Text,
        "notice" => Hole::Notice,
        "position" => Hole::Position,
        "wait" => Hole::Wait,
        "stock" => Hole::Stock,
        "reference" => Hole::Reference,
        "days" => Hole::Days,
        "hours" => Hole::Hours,
        "minutes" => Hole::Minutes,
        "seconds" => Hole::Seconds,
        "link" => Hole::Link,
        "noscript" => Hole::Noscript,
        "reload" => Hole::Reload,
        "now" => Hole::Now,
        "hide notice" => Hole::Hide(Part::Notice),
        "hide position" => Hole::Hide(Part::Position),
        "hide wait" => Hole::Hide(Part::Wait),
        "hide stock" => Hole::Hide(Part::Stock),
        "hide reference" => Hole::Hide(Part::Reference),
        "hide opens" => Hole::Hide(Part::Opens),
        "hide days" => Hole::Hide(Part::Days),
        "hide keep" => Hole::Hide(Part::Keep),
        _ => return None,
    })
}

/// What is the same for everyone who speaks the language.
fn fixed(name: &str, words: &Words) -> String {
    let [days, hours, minutes, seconds] = words.units;
    let text = match name {
        "style" => &STYLE,
        "code" => &CODE,
        "words" => return for_script(words),
        "lang" => words.tag,
        "dir" => words.direction(),
        "w place" => words.place,
        "w wait" => words.wait,
        "w stock" => words.stock,
        "w reference" => words.reference,
        "w opens" => words.opens,
        "w progress" => words.progress,
        "w keep" => words.keep,
        "w offline" => words.offline,
        "w cookies" => words.cookies,
        "w days" => days,
        "w hours" => hours,
        "w minutes" => minutes,
        "w seconds" => seconds,
        _ => "",
    };
    text.to_owned()
}

/// What the script needs, as JSON; no word needs an escape (tested in `words`).
fn for_script(words: &Words) -> String {
    let said = &words.said;
    let said = [
        ("before", said.before),
        ("draw", said.draw),
        ("stub", said.stub),
        ("drawing", said.drawing),
        ("queued", said.queued),
        ("paused", said.paused),
        ("sold_out", said.sold_out),
        ("full", said.full),
        ("closed", said.closed),
        ("admitted", said.admitted),
        ("resend", said.resend),
    ];
    let said = said.map(|(name, Said(heading, text))| format!("\"{name}\":[\"{heading}\",\"{text}\"]")).join(",");
    let numbers = words.numbers;
    let texts = [
        ("tag", words.tag),
        ("group", numbers.group),
        ("decimal", numbers.decimal),
        ("range", numbers.range),
        ("moment", words.moment),
        ("unknown", words.not_known),
        ("place", words.place),
        ("wait", words.wait),
        ("check", words.check),
        ("go", words.go),
        ("back", words.back),
    ];
    let texts = texts.map(|(name, text)| format!("\"{name}\":\"{text}\"")).join(",");
    let forms = [("minutes", words.minutes), ("hours", words.hours)];
    let forms = forms.map(|(name, f)| format!("\"{name}\":[\"{}\",\"{}\"]", f.few, f.other)).join(",");
    let (from, indian) = numbers.grouping.for_script();
    let plural = words.plural as u8;
    format!("{{{texts},{forms},\"from\":{from},\"indian\":{indian},\"plural\":{plural},\"said\":{{{said}}}}}")
}
