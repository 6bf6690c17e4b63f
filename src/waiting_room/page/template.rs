//! The operator's own page: `waiting_room.NAME.page`, a minijinja template.
//!
//! Everything that is put into it is escaped, what is not known prints as nothing and counts as
//! false, and a name that does not exist is an error when the policy is loaded: there the template
//! is rendered in every state. What it costs to render, and what it may write, is bounded; a page
//! that fails for one visitor is the built-in one for them.

use std::io::{self, Write};
use std::time::Duration;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context, escape_formatter};

use super::super::Place;
use super::super::reference::Reference;
use super::language::Language;
use super::layout;
use super::numbers::{Wait, put_wait, seconds_up};
use super::query::put_link;
use super::view::{Hole, View};
use super::{Page, Shown, State, poll_url};

/// Bytes of a template, and of what it writes.
const SIZE_MAX: usize = 256 << 10;
/// Steps of one rendering, as minijinja counts them; a page of some size takes a few thousand.
const STEPS_MAX: u64 = 50_000;
const NAME: &str = "page";

/// An operator's page.
#[derive(Debug)]
pub(super) struct Template {
    templates: Environment<'static>,
    room: String,
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct TemplateError {
    /// From 1; none where the whole is meant.
    pub line: Option<usize>,
    pub why: String,
}

impl Template {
    /// The template `source`, rendered once in every state to see that it can be.
    pub fn new(page: &Page, room: &str, source: &str) -> Result<Self, TemplateError> {
        if source.len() > SIZE_MAX {
            return Err(whole(format!("more than {} KiB", SIZE_MAX >> 10)));
        }
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_auto_escape_callback(|_| AutoEscape::Html);
        templates.set_formatter(|out, state, value| match value.is_none() {
            true => Ok(()),
            false => escape_formatter(out, state, value),
        });
        templates.set_fuel(Some(STEPS_MAX));
        templates.add_template_owned(NAME, source.to_owned()).map_err(|error| refused(&error, source))?;
        let template = Self { templates, room: room.to_owned() };
        for shown in samples() {
            let mut out = Vec::new();
            template.render(&View::new(page, &shown), &mut out).map_err(|error| refused(&error, source))?;
            if shown.state == State::Queued && !asks_again(&String::from_utf8_lossy(&out), &poll_url(room)) {
                let why = "nothing on the page asks for the visitor's place: put {{ script }} before </body>, \
                           and {{ refresh }} into <head> for those without scripts";
                return Err(whole(why.to_owned()));
            }
        }
        Ok(template)
    }

    /// Appends the page; or nothing, and says so.
    pub fn put(&self, view: &View<'_>, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let rendered = self.render(view, out);
        if rendered.is_err() {
            out.truncate(start);
        }
        rendered.is_ok()
    }

    fn render(&self, view: &View<'_>, out: &mut Vec<u8>) -> Result<(), minijinja::Error> {
        let template = self.templates.get_template(NAME)?;
        let values = self.values(view);
        template.render_captured_to(values, Bounded { out, left: SIZE_MAX }).map(drop)
    }

    fn values(&self, view: &View<'_>) -> Value {
        let (shown, words) = (view.shown, view.words);
        let text = |hole| text(|out| view.put(hole, out));
        let known = |hole| Some(text(hole)).filter(|text| !text.is_empty());
        let wait = view.place().and_then(|place| place.wait);
        let refreshing = view.refresh_seconds().is_some();
        let labels = context! {
            position => words.place, wait => words.wait, stock => words.stock, reference => words.reference,
            opens => words.opens, keep => words.keep, progress => words.progress,
            offline => words.offline, cookies => words.cookies,
        };
        let seawall = context! {
            room => self.room.as_str(), state => shown.state.name(), lang => words.tag,
            dir => words.direction(),
            title => self::text(|out| view.put_title(out)), heading => view.said.0, text => view.said.1,
            notice => view.notice(), link => view.link(),
            position => view.position(), position_text => known(Hole::Position),
            wait_low_seconds => wait.map(|(low, _)| low.as_secs()),
            wait_high_seconds => wait.map(|(_, high)| seconds_up(high)), wait_text => known(Hole::Wait),
            opens_in_seconds => view.opens_in_seconds(),
            stock => shown.stock, stock_text => known(Hole::Stock), reference => known(Hole::Reference),
            poll => poll_url(&self.room), poll_after_seconds => seconds_up(shown.poll_after),
            reload => shown.reload, labels,
            refreshing, refresh_link => self::text(|out| put_link(shown.query, !refreshing, out)).replace("&amp;", "&"),
            script => safe(|out| layout::scripts(view, out)),
            refresh => safe(|out| view.put_refresh(out)), noscript => safe(|out| view.put_noscript(out)),
        };
        context! { ..seawall, ..of_cloudflare(view) }
    }
}

/// The names that Cloudflare's waiting room has, where they mean something here; none where not.
fn of_cloudflare(view: &View<'_>) -> Value {
    let state = view.shown.state;
    let wait = view.place().and_then(|place| place.wait).filter(|_| view.wait().is_some());
    let minutes = wait.map(|(_, high)| seconds_up(high).div_ceil(60));
    let gathering = state == State::Before && view.shown.reference.is_some();
    let opens = view.shown.opens_in.filter(|_| state == State::Before);
    let none = None::<u64>;
    context! {
        waitTimeKnown => minutes.is_some(), waitTime => minutes,
        waitTimeHours => minutes.map(|m| m / 60), waitTimeHourMinutes => minutes.map(|m| m % 60),
        waitTimeFormatted => text(|out| view.put_wait(out)),
        waitTime25Percentile => none, waitTime50Percentile => none, waitTime75Percentile => none,
        queueIsFull => state == State::Full,
        queueAll => matches!(state, State::Before | State::Paused | State::SoldOut | State::Closed),
        lastUpdated => none, refreshIntervalSeconds => seconds_up(view.shown.poll_after),
        queueingMethod => "fifo", isFIFOQueue => !gathering, isRandomQueue => gathering,
        isPassthroughQueue => false, isRejectQueue => false,
        isEventActive => gathering, isEventPrequeueing => gathering, shuffleAtEventStart => gathering,
        timeUntilEventStart => opens.map(|opens| seconds_up(opens).div_ceil(60)),
        timeUntilEventStartFormatted =>
            opens.map(|opens| text(|out| put_wait(Wait::of((opens, opens)), view.words, out))),
        timeUntilEventEnd => none, timeUntilEventEndFormatted => none,
    }
}

fn text(put: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    put(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Markup of Seawall's own.
fn safe(put: impl FnOnce(&mut Vec<u8>)) -> Value {
    Value::from_safe_string(text(put))
}

/// Every state, with all that can be known and with nothing.
fn samples() -> impl Iterator<Item = Shown<'static>> {
    let second = Duration::from_secs(1);
    State::ALL.into_iter().flat_map(move |state| {
        let bare = Shown {
            state,
            place: None,
            poll_after: second,
            reload: true,
            opens_in: None,
            stock: None,
            reference: None,
            message: None,
            language: Language::DEFAULT,
            query: None,
        };
        let place = Place { position: Some(1234), wait: Some((600 * second, 900 * second)), poll_after: second };
        let reference = Some(Reference { lane: 0, number: 1234 });
        let full = Shown { place: Some(place), opens_in: Some(600 * second), stock: Some(5), reference, ..bare };
        [bare, full]
    })
}

/// Whether a page asks for its place, by Seawall's script, by its own, or by refreshing.
fn asks_again(html: &str, poll: &str) -> bool {
    html.contains("<script id=\"seawall\"")
        || html.contains(poll)
        || html.to_ascii_lowercase().contains("http-equiv=\"refresh\"")
}

fn whole(why: String) -> TemplateError {
    TemplateError { line: None, why }
}

fn refused(error: &minijinja::Error, source: &str) -> TemplateError {
    let mut why = error.kind().to_string();
    if let Some(detail) = error.detail() {
        why = format!("{why}: {detail}");
    }
    if ["{{#", "{{^", "{{/"].iter().any(|tag| source.contains(tag)) {
        why.push_str("; mustache's {{#name}} … {{/name}} is {% if name %} … {% endif %} here");
    }
    TemplateError { line: error.line(), why }
}

/// Takes so much, and fails at more.
struct Bounded<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len());
        self.left = left.ok_or_else(|| io::Error::other("the page is too large"))?;
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(source: &str) -> Result<Page, TemplateError> {
        Page::new("launch", Some(source))
    }

    fn shown(state: State, all: bool) -> Shown<'static> {
        samples().filter(|shown| shown.state == state).nth(usize::from(all)).unwrap()
    }

    fn rendered(source: &str, shown: &Shown<'_>) -> String {
        text(|out| page(source).unwrap().html(shown, out))
    }

    #[test]
    fn a_template_is_given_what_is_known() {
        let source = "{{ refresh }}<p>{{ position_text }}|{{ wait_text }}|{{ reference }}|{{ state }}</p>{{ script }}";
        let html = rendered(source, &shown(State::Queued, true));
        assert!(html.contains("<p>1,234|10–15 minutes|A-016J-6|queued</p>"), "{html}");
        assert!(html.contains("<script id=\"seawall\" type=\"application/json\">{\"reload\":true"));
        assert!(rendered(source, &shown(State::Full, false)).contains("<p>|||full</p>"));
    }

    #[test]
    fn a_page_made_for_cloudflare_needs_only_other_ifs() {
        let source = "{{ script }}{% if waitTimeKnown %}{{ waitTime }} min, {{ waitTimeFormatted }}\
                      {% elif queueIsFull %}full{% else %}soon{% endif %}";
        assert!(rendered(source, &shown(State::Queued, true)).ends_with("15 min, 10–15 minutes"));
        assert!(rendered(source, &shown(State::Full, true)).ends_with("full"));
        assert!(rendered(source, &shown(State::Queued, false)).ends_with("soon"));
    }

    #[test]
    fn a_broken_template_is_refused_with_its_line() {
        let error = page("{{ script }}\n<p>{{ positon }}</p>").unwrap_err();
        assert_eq!(error.line, Some(2));
        assert!(error.to_string().starts_with("line 2: undefined value"), "{error}");
        let error = page("{{ script }}\n\n{{#waitTimeKnown}}{{waitTime}}{{/waitTimeKnown}}").unwrap_err();
        assert!(error.line == Some(3) && error.why.contains("{% if name %}"), "{error}");
        let error = page("{{ script }}{% for i in range(99999) %}{{ i }}{% endfor %}").unwrap_err();
        assert!(error.why.contains("fuel"), "{error}");
        assert!(page(&"x".repeat(SIZE_MAX + 1)).unwrap_err().why.contains("256 KiB"));
    }

    #[test]
    fn a_page_that_never_asks_again_is_refused() {
        assert!(page("<p>{{ position }}</p>").unwrap_err().why.contains("{{ script }}"));
        assert!(page("<meta http-equiv=\"Refresh\" content=\"{{ refreshIntervalSeconds }}\">").is_ok());
        assert!(page("<script>fetch('/.seawall/room/launch')</script>").is_ok());
    }

    #[test]
    fn what_fails_for_one_visitor_is_the_built_in_page_for_them() {
        let source = "{{ script }}{% if position == 7 %}{{ position.x.y }}{% endif %}own";
        let mut shown = shown(State::Queued, true);
        assert!(rendered(source, &shown).ends_with("own"));
        shown.place = shown.place.map(|place| Place { position: Some(7), ..place });
        let html = rendered(source, &shown);
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"), "{html}");
    }

    #[test]
    fn what_is_put_in_is_escaped() {
        let page = Page::new("<b>&", Some("{{ script }}<i>{{ room }}</i>")).unwrap();
        let html = text(|out| page.html(&shown(State::Queued, true), out));
        assert!(html.ends_with("<i>&lt;b&gt;&amp;</i>") && !html.contains("<b>"), "{html}");
    }
}
