//! One request's passage: everything decided about it, and everything it holds.
//!
//! A decision is RAII. Whatever way a request ends (answered, broken off, a panic on the way), the
//! drop of its passage counts it and gives back its place at the origin and its place in the room.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use compact_str::ToCompactString;
use smallvec::SmallVec;

use super::answer::{Answer, Content, Fields, Format, RequestId};
use super::origin::{Origin, Permit};
use super::reason::Reason;
use super::room::Inside;
use super::site::Site;
use super::view::{Scheme, Version, View};
use crate::cache::directives::Directives;
use crate::cache::encoded::Job;
use crate::cache::entry::{Entry, State};
use crate::cache::key::kept_parameters;
use crate::cache::purge::{Names, Purges, Stamp, Tags, Verdict};
use crate::cache::request::Lookup;
use crate::cache::status::{CacheStatus, Forward};
use crate::clients::Members;
use crate::clock::{Mono, Now};
use crate::files::Asked;
use crate::policy::{self, Class, Level, Mode, RateLimitId, Route, RouteId, WaitingRoomId};
use crate::snapshot::address::Address;
use crate::snapshot::{File, Share};
use crate::telemetry::Record;

/// What the cache stage found, for those that go on.
#[derive(Debug, Default)]
pub struct CopyUse {
    pub lookup: Option<Lookup>,
    /// The key, where the answer may serve others too.
    pub key: Option<Box<[u8]>>,
    /// By what purges may mean it; where there is a key.
    pub names: Names,
    /// What its bearer has written: nothing that was asked for before it will do.
    pub newer_than: Option<Stamp>,
    /// What the request says in the fields by which answers under its key are known to differ.
    pub said: Vec<u8>,
    /// The copy that the origin is asked about, rather than for a new one.
    pub validates: Option<Arc<Entry>>,
    /// The key of the copies that the answer to a HEAD may say something of.
    pub renews: Option<Box<[u8]>>,
    /// Its wishes, as far as they are granted.
    pub wishes: Directives,
    /// It asks for parts.
    pub range: bool,
    /// A copy too old to be given first, good enough where the origin fails.
    pub fallback: Option<Arc<Entry>>,
    /// The file of the snapshot, good enough where the origin fails.
    pub file: Option<Arc<File>>,
    /// What of that file the client gets.
    pub share: Share,
    /// The error that the origin gave, for Cache-Status.
    pub failed: Option<u16>,
    /// A coding of the copy given, to be made for those who come next.
    pub encode: Option<Job>,
    /// Why the request goes to the origin, for Cache-Status.
    pub forwarded: Option<Forward>,
}

impl CopyUse {
    /// Says what purges may call the request, for those that go on.
    pub fn name(&mut self, view: &View<'_>, cache: &policy::Cache) {
        let pairs = kept_parameters(view.query, &cache.ignore_query);
        self.names = Names::of(view.host, view.raw_path, pairs);
    }

    /// Whether what was learned of the same URL by a request of that moment says something of this one:
    /// the URL was not purged since, and its bearer has written nothing since.
    pub fn holds(&self, asked: Stamp, purges: &Purges) -> bool {
        self.newer_than.is_none_or(|written| asked > written)
            && purges.look_up(asked, self.names.as_slice(), Tags::None) == Verdict::Standing
    }
}

/// What the log says of a request that lives longer than its head.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub method: String,
    pub host: String,
    pub target: String,
    pub user_agent: String,
    pub referer: String,
    pub version: Option<Version>,
}

/// A request on its way.
#[derive(Debug)]
pub struct Passage {
    pub site: Arc<Site>,
    pub id: RequestId,
    pub client: IpAddr,
    pub scheme: Scheme,
    pub began: Now,
    route: Option<RouteId>,
    pub level: Level,
    pub mode: Mode,
    /// How much it matters.
    pub class: Class,
    /// Which share of the visitors it belongs to, when not all can be served.
    pub cohort: u8,
    /// Which groups of clients it is known to be of.
    pub members: Members,
    pub format: Format,
    pub visit: Option<Inside>,
    /// Cookies to set on whatever answer comes.
    pub cookies: SmallVec<[String; 1]>,
    /// The visitor's ticket, where an app carries it in a field.
    pub bearer: Option<String>,
    /// Its limits are to be asked behind the room: it may be the room that answers it.
    pub uncounted: bool,
    /// The limit of a dry run that would have refused it.
    pub would_refuse: Option<RateLimitId>,
    /// The room of a dry run that would have held it.
    pub would_hold: Option<WaitingRoomId>,
    pub copy: CopyUse,
    /// The file that is its answer.
    pub file: Option<Box<Asked>>,
    /// The page, where this request is one of those by which popular ones are counted.
    pub counts_for: Option<Box<Address>>,
    pub permit: Option<Permit>,
    /// How long it waited for its place at the origin.
    pub queued: Duration,
    /// Kept for a request that lives longer than its head.
    pub seen: Option<Box<Seen>>,
    reason: Reason,
    /// A fill is no visitor's request: it is not counted as one.
    silent: bool,
    finished: bool,
}

impl Passage {
    pub(super) fn new(site: Arc<Site>, client: IpAddr, id: RequestId, now: Now) -> Self {
        Self {
            site,
            id,
            client,
            scheme: Scheme::Http,
            began: now,
            route: None,
            level: Level::Normal,
            mode: Mode::Pass,
            class: Class::Normal,
            cohort: 0,
            members: Members::default(),
            format: Format::default(),
            visit: None,
            cookies: SmallVec::new(),
            bearer: None,
            counts_for: None,
            uncounted: false,
            would_refuse: None,
            would_hold: None,
            copy: CopyUse::default(),
            file: None,
            permit: None,
            queued: Duration::ZERO,
            seen: None,
            reason: Reason::ClientGone,
            silent: false,
            finished: false,
        }
    }

    /// The passage of a fill for this request: same route, same origin, nobody's visit.
    pub fn for_fill(&self) -> Self {
        let mut fill = Self::new(self.site.clone(), self.client, self.id, self.began);
        fill.scheme = self.scheme;
        fill.route = self.route;
        fill.level = self.level;
        fill.mode = self.mode;
        fill.class = self.class;
        fill.cohort = self.cohort;
        fill.format = self.format;
        fill.seen.clone_from(&self.seen);
        fill.copy.lookup = self.copy.lookup;
        fill.silent = true;
        fill
    }

    /// It takes this route.
    pub fn take_route(&mut self, route: RouteId) {
        self.route = Some(route);
    }

    /// See [`Passage::route`].
    pub fn route_id(&self) -> RouteId {
        self.route.unwrap_or(RouteId(0))
    }

    /// The route it took; the first one for what is answered before any is known.
    pub fn route(&self) -> &Route {
        self.site.route(self.route_id())
    }

    /// The origin it goes to.
    pub fn origin(&self) -> &Arc<Origin> {
        self.site.origin(self.route().origin)
    }

    /// Keeps what the log will want once the head is gone.
    pub fn keep_seen(&mut self, view: &View<'_>) {
        let text = |name| view.field(name).unwrap_or_default().to_owned();
        self.seen = Some(Box::new(Seen {
            method: view.method.to_owned(),
            host: view.host.to_owned(),
            target: view.target(),
            user_agent: text("user-agent"),
            referer: text("referer"),
            version: Some(view.version),
        }));
    }

    /// Why the answer is what it is, as far as is known: until then, that the client has gone.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Why the answer is what it is.
    pub fn because(&mut self, reason: Reason) {
        self.reason = reason;
    }

    /// Fields that go with any answer to this request.
    pub fn common_fields(&mut self) -> Fields {
        let mut fields = Fields::new();
        fields.push(("x-request-id", self.id.as_str().into()));
        if !self.cookies.is_empty() || self.bearer.is_some() {
            // A cache behind us may keep what sets a cookie (RFC 9111 §7.3), and this one is one visitor's place.
            fields.push(("cache-control", "private".into()));
            fields.push(("cdn-cache-control", "private".into()));
        }
        fields.extend(self.cookies.drain(..).map(|cookie| ("set-cookie", cookie.into())));
        fields.extend(self.bearer.take().map(|ticket| (super::room::TICKET_FIELD, ticket.into())));
        fields
    }

    /// Seconds for Retry-After: from `at_least` to twice that, at most a minute more, so that those
    /// who are refused together don't come back together.
    pub fn spread(&self, at_least: Duration) -> u64 {
        let seconds = whole_seconds(at_least);
        seconds + self.id.lot() % (seconds.min(60) + 1)
    }

    /// Whether there is something to give in place of an origin's error.
    pub fn has_fallback(&self, now: Now) -> bool {
        self.copy.file.is_some() || self.copy.fallback.as_ref().is_some_and(|entry| self.is_good_on_error(entry, now))
    }

    /// The answer where the origin failed or can't be asked: the newest copy held, or an honest
    /// refusal. A write is never answered from a copy.
    pub fn fall_back(&mut self, reason: Reason, retry_after: Duration, now: Now) -> Answer {
        let file = self.copy.file.as_ref();
        let is_outdone =
            |entry: &Entry| entry.state(now.mono) != State::Fresh && file.is_some_and(|file| file.is_newer_than(entry));
        let held = self.copy.fallback.take().filter(|entry| self.is_good_on_error(entry, now) && !is_outdone(entry));
        if let Some(entry) = held {
            let note = CacheStatus::StaleIfError { status: self.copy.failed };
            let age = entry.age_seconds(now.mono);
            return Answer { reason: Reason::Stale, content: Content::Copy(entry), fields: Fields::new() }
                .with("age", age.to_compact_string())
                .with("cache-status", note.text());
        }
        if let Some(file) = self.copy.file.take() {
            let detail = format!("snapshot-{}", reason.label());
            return Answer::of_file(file, std::mem::take(&mut self.copy.share), &detail, now.unix_ms);
        }
        let answer = Answer::of(reason, &self.site.pages, self.format);
        if reason.status() >= 500 {
            return answer.with("retry-after", self.spread(retry_after).to_compact_string());
        }
        answer
    }

    /// A purge may have come since it was found.
    fn is_good_on_error(&self, entry: &Entry, now: Now) -> bool {
        self.site.store.purges().verdict(entry.mark()) != Verdict::Gone && entry.is_good_on_error(now.mono)
    }

    /// The request is over.
    pub fn finish(&mut self, reason: Reason, status: u16, bytes: u64, now: Mono) {
        let seen = self.seen.take();
        self.reason = reason;
        let about = seen.as_deref().map_or(About::default(), Seen::as_view);
        self.record(&about, status, bytes, now);
    }

    /// The request is over, and its head is still here.
    pub fn finish_with(&mut self, view: &View<'_>, reason: Reason, status: u16, bytes: u64, now: Mono) {
        self.reason = reason;
        let target;
        let about = About {
            method: view.method,
            host: view.host,
            target: if self.site.telemetry.access.is_some() {
                target = view.target();
                &target
            } else {
                ""
            },
            version: Some(view.version),
            user_agent: view.field_if(self.site.telemetry.access.is_some(), "user-agent"),
            referer: view.field_if(self.site.telemetry.access.is_some(), "referer"),
        };
        self.record(&about, status, bytes, now);
    }

    fn record(&mut self, about: &About<'_>, status: u16, bytes: u64, now: Mono) {
        self.finished = true;
        if self.silent {
            return;
        }
        if let Some(page) = self.counts_for.take().filter(|_| status == 200 && self.reason != Reason::Snapshot)
            && let Some(mut popular) = self.site.popular.try_lock()
        {
            // Who finds it locked is not counted: a sample is enough, and no request waits for it.
            popular.count(*page);
        }
        self.site.telemetry.record(&Record {
            unix_ms: self.began.unix_ms,
            id: if self.site.telemetry.access.is_some() { self.id.as_str() } else { "" },
            client: self.client,
            method: about.method,
            host: about.host,
            target: about.target,
            version: about.version.map_or("", Version::name),
            route: self.route.map_or("", |id| &self.site.route(id).name),
            level: self.level.name(),
            class: self.class.name(),
            reason: self.reason,
            status,
            bytes,
            took: now.since(self.began.mono),
            queued: self.queued,
            user_agent: about.user_agent,
            referer: about.referer,
            detail: match (self.would_refuse, self.would_hold) {
                (Some(id), _) => self.site.limit(id).dry_note(),
                (None, Some(id)) => self.site.room(id).dry_note(),
                (None, None) => "",
            },
        });
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        if !self.finished {
            let now = self.site.clock.mono();
            self.finish(self.reason, self.reason.status(), 0, now);
        }
    }
}

#[derive(Default)]
struct About<'a> {
    method: &'a str,
    host: &'a str,
    target: &'a str,
    version: Option<Version>,
    user_agent: &'a str,
    referer: &'a str,
}

impl Seen {
    fn as_view(&self) -> About<'_> {
        About {
            method: &self.method,
            host: &self.host,
            target: &self.target,
            version: self.version,
            user_agent: &self.user_agent,
            referer: &self.referer,
        }
    }
}

/// Whole seconds, rounded up, at least one: `Retry-After: 0` is an invitation to hammer.
pub fn whole_seconds(d: Duration) -> u64 {
    d.as_millis().div_ceil(1000).clamp(1, 86_400) as u64
}
