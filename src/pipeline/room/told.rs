//! What a visitor is told: the page or JSON, the cookie, and when to come back.

use std::time::Duration;

use bytes::Bytes;

use super::{Inside, Room, TICKET_FIELD};
use crate::cache::key::Encodings;
use crate::clock::Now;
use crate::pipeline::answer::{Answer, Content, Fields, Format};
use crate::pipeline::passage::whole_seconds;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::{Scheme, View};
use crate::policy;
use crate::waiting_room::page::{Language, Shown, State};
use crate::waiting_room::ticket::Text;
use crate::waiting_room::{Place, Presented, Reference, Session, Visit, Waits};

/// When one asks again who has no place to ask about.
const HELD_POLL: Duration = Duration::from_secs(20);
/// When a visitor with too many requests under way asks again.
const CROWDED_RETRY: Duration = Duration::from_secs(1);

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const NO_STORE: &str = "no-store";

/// How an answer of the room's is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Asks<'a> {
    pub scheme: Scheme,
    /// Without its port.
    pub host: &'a str,
    pub format: Format,
    /// It is a GET: the page may go to its own URL when the turn comes.
    pub get: bool,
    pub language: Language,
    /// Of its own URL, as it came: a page without scripts is stopped from refreshing by it.
    pub query: Option<&'a str>,
    pub gzip: bool,
    /// The visitor carries the ticket in a field of its own.
    pub app: bool,
}

impl<'a> Asks<'a> {
    pub fn of(view: &View<'a>, format: Format) -> Self {
        Self {
            scheme: view.scheme,
            host: view.host_name(),
            format,
            get: view.method == "GET",
            language: Language::of(view.fields_named("accept-language")),
            query: view.query,
            gzip: Encodings::of(view.fields).accepts_gzip(),
            app: format == Format::Json || view.field(TICKET_FIELD).is_some(),
        }
    }
}

/// What a visitor gets.
#[derive(Debug)]
pub enum Entrance {
    /// The room is not in force.
    Pass,
    /// In, with what to carry from now on if the session is new.
    Inside(Inside, Option<Text>),
    /// The room's answer.
    Outside(Answer),
}

/// One answer, before it is written.
struct Telling {
    reason: Reason,
    state: State,
    place: Option<Place>,
    retry_after: Duration,
    opens_in: Option<Duration>,
    carries: Option<Text>,
    reference: Option<Reference>,
}

impl Telling {
    const fn new(reason: Reason, state: State, retry_after: Duration) -> Self {
        Self { reason, state, place: None, retry_after, opens_in: None, carries: None, reference: None }
    }

    const fn waits(waits: Waits, retry_after: Duration) -> Self {
        let (reason, state, opens_in) = match waits {
            Waits::InLine => (Reason::Queued, State::Queued, None),
            Waits::Before { opens_in } => (Reason::RoomNotOpen, State::Before, Some(opens_in)),
            Waits::Paused => (Reason::RoomHeld, State::Paused, None),
            Waits::SoldOut => (Reason::RoomSoldOut, State::SoldOut, None),
            Waits::Closed => (Reason::RoomClosed, State::Closed, None),
        };
        Self { opens_in, ..Self::new(reason, state, retry_after) }
    }
}

impl Room {
    /// The answer to a request that does not come in.
    pub(super) fn refusal(&self, visit: Visit, asks: &Asks<'_>) -> Answer {
        let telling = self.telling(visit);
        let mut body = Vec::new();
        let (content_type, compressed) = self.write(&telling, asks, asks.format, &mut body);
        let content = Content::Made {
            status: telling.reason.status(),
            content_type,
            cache_control: NO_STORE,
            body: Bytes::from(body),
        };
        let answer = Answer { reason: telling.reason, content, fields: Fields::new() };
        // A search engine that comes by chance must not take the queue for the page.
        let mut answer =
            answer.with("retry-after", whole_seconds(telling.retry_after).to_string()).with("x-robots-tag", "noindex");
        if content_type == HTML {
            answer = answer.with("vary", "accept, accept-encoding, accept-language");
            if let Some(csp) = self.rules.load().page.csp() {
                answer = answer.with("content-security-policy", csp);
            }
        }
        if compressed {
            answer = answer.with("content-encoding", "gzip");
        }
        self.bear(answer, telling.carries, asks)
    }

    /// `/.seawall/room/NAME`: the visitor's place, always in JSON, and always 200: the question is
    /// answered. One who is admitted by it gets the session's cookie.
    pub fn poll(&self, presented: Presented, asks: &Asks<'_>, held: bool, now: Now) -> Answer {
        let visit = self.place(presented, held, now);
        let telling = self.telling(visit);
        let mut body = Vec::with_capacity(320);
        self.write(&telling, asks, Format::Json, &mut body);
        let content =
            Content::Made { status: 200, content_type: JSON, cache_control: NO_STORE, body: Bytes::from(body) };
        let answer = Answer { reason: Reason::Own, content, fields: Fields::new() };
        self.bear(answer, telling.carries, asks)
    }

    fn telling(&self, visit: Visit) -> Telling {
        match visit {
            Visit::Pass => Telling::new(Reason::Own, State::Admitted, Duration::ZERO),
            Visit::Inside { session, fresh } => Telling {
                carries: fresh.then(|| self.session_text(&session)),
                ..Telling::new(Reason::Own, State::Admitted, Duration::ZERO)
            },
            Visit::Stub { stub, waits, poll_after } => {
                Telling { carries: Some(stub.encode(&self.keys, self.id)), ..Telling::waits(waits, poll_after) }
            }
            Visit::Queued { ticket, place, waits } => Telling {
                carries: Some(ticket.encode(&self.keys, self.id)),
                reference: Some(Reference { lane: ticket.lane, number: ticket.number }),
                place: Some(place),
                ..Telling::waits(waits, place.poll_after)
            },
            Visit::Shut { waits, retry_after } => Telling::waits(waits, retry_after),
            Visit::Held => Telling::new(Reason::RoomHeld, State::Paused, HELD_POLL),
            Visit::Crowded => Telling::new(Reason::Crowded, State::Queued, CROWDED_RETRY),
            Visit::Full { retry_after, .. } => Telling::new(Reason::RoomFull, State::Full, retry_after),
        }
    }

    /// Writes the body; says of what type it is, and whether it is compressed.
    fn write(&self, telling: &Telling, asks: &Asks<'_>, format: Format, body: &mut Vec<u8>) -> (&'static str, bool) {
        let rules = self.rules.load();
        let shown = Shown {
            state: telling.state,
            place: telling.place,
            poll_after: telling.retry_after,
            reload: asks.get,
            query: asks.query,
            opens_in: telling.opens_in,
            stock: self.face.signs().stock,
            reference: telling.reference,
            message: rules.message.as_ref(),
            language: asks.language,
        };
        match format {
            Format::Html if asks.gzip && rules.page.gzip(&shown, body) => (HTML, true),
            Format::Html => {
                rules.page.html(&shown, body);
                (HTML, false)
            }
            Format::Json => {
                rules.page.json(&shown, body);
                (JSON, false)
            }
        }
    }

    /// Gives the visitor what to carry from now on.
    fn bear(&self, mut answer: Answer, text: Option<Text>, asks: &Asks<'_>) -> Answer {
        let Some(text) = text else { return answer };
        answer = answer.with("set-cookie", self.cookie(text.as_str(), asks));
        if !asks.app {
            return answer;
        }
        // Readable by an app of another origin, which has no use for cookies here, and by that alone: a
        // request with cookies is never readable under `*` (Fetch §3.2.5).
        answer
            .with(TICKET_FIELD, text.as_str())
            .with("access-control-allow-origin", "*")
            .with("access-control-expose-headers", "Retry-After, Seawall-Ticket")
    }

    /// What one who comes in carries, as fields of the origin's answer.
    pub fn bearer_fields(&self, text: &Text, asks: &Asks<'_>) -> (String, Option<String>) {
        (self.cookie(text.as_str(), asks), asks.app.then(|| text.as_str().to_owned()))
    }

    pub(super) fn session_text(&self, session: &Session) -> Text {
        session.encode(&self.keys, self.id)
    }

    /// Over TLS `SameSite=None`: a payment page that sends its visitor back by a cross-site POST must
    /// not cost the session, and who is let in gains nothing by it but the place that they have. Without
    /// TLS browsers take no such cookie. `__Host-` where TLS and the policy allow (RFC 6265bis §4.1.3.2).
    fn cookie(&self, value: &str, asks: &Asks<'_>) -> String {
        let rules = self.rules.load();
        // A browser refuses a cookie for a domain that the host is not of (RFC 6265bis §5.6).
        let domain = rules.policy.cookie_domain.as_deref().filter(|domain| is_of(asks.host, domain));
        let (prefix, suffix) = match (asks.scheme, domain) {
            (Scheme::Https, None) => ("__Host-", "SameSite=None; Secure"),
            (Scheme::Https, Some(_)) => ("", "SameSite=None; Secure"),
            (Scheme::Http, _) => ("", "SameSite=Lax"),
        };
        let domain = domain.map(|domain| format!("; Domain={domain}")).unwrap_or_default();
        let (name, seconds) = (&self.name, cookie_seconds(&rules.policy));
        format!("{prefix}seawall_{name}={value}; Path=/{domain}; Max-Age={seconds}; HttpOnly; {suffix}")
    }

    /// `/.seawall/room/NAME/frontier.json`: how far the lines have come, the same for everyone, so that
    /// a cache in front can carry the crowd.
    pub fn frontier(&self) -> Answer {
        let signs = self.face.signs();
        let lines: Vec<_> = signs
            .lines
            .iter()
            .zip(0u8..)
            .map(|(line, lane)| {
                serde_json::json!({
                    "lane": lane,
                    "phase": line.phase.name(),
                    "served": line.board.frontier(),
                    "next": line.board.next(),
                    "waiting": line.board.waiting(),
                })
            })
            .collect();
        let state = match () {
            () if signs.closed => "closed",
            () if signs.stock == Some(0) => "sold_out",
            () if signs.paused => "paused",
            () => signs.lines.first().map_or("open", |line| line.phase.name()),
        };
        let body = serde_json::json!({
            "room": self.name,
            "state": state,
            "stock": signs.stock,
            "waiting": signs.waiting(),
            "admitted_per_second": signs.speed.per_second(),
            "lines": lines,
        });
        let content = Content::Made {
            status: 200,
            content_type: JSON,
            cache_control: "public, max-age=1",
            body: Bytes::from(body.to_string()),
        };
        Answer { reason: Reason::Own, content, fields: Fields::new() }.with("access-control-allow-origin", "*")
    }
}

/// Whether a host is a domain's own, or below it.
fn is_of(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// How long a browser keeps the cookie: longer than any place or session. What it is worth is decided
/// here, not there.
fn cookie_seconds(policy: &policy::WaitingRoom) -> u64 {
    let longest = policy.place_hold.max(policy.session_max);
    // Browsers keep no cookie longer (RFC 6265bis §5.5).
    (longest.as_secs() + 3600).min(400 * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookies_domain_is_said_only_to_hosts_that_are_of_it() {
        for (host, of) in
            [("shop.example", true), ("www.shop.example", true), ("myshop.example", false), ("example", false)]
        {
            assert_eq!(is_of(host, "shop.example"), of, "{host}");
        }
    }
}
