//! One HTTP/1 connection: read a head, ask the core, answer or hand over, and again.
//!
//! What needs no origin is answered between two reads, without an await and without a timer of its
//! own: `Connection::step` is synchronous. Everything else is [`super::errand`]'s, in a boxed future, so
//! that a connection at rest is small.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::time::Sleep;

use super::connections::Counted;
use super::errand::{self, Errand, Then};
use super::head::{self, Malformed};
use super::render::{self, Terms};
use super::stream::Conn;
use crate::clock::{Mono, Now};
use crate::pipeline::answer::{Answer, Content, Fields, Format};
use crate::pipeline::client::identify;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::site::Site;
use crate::pipeline::view::{BodyKind, Scheme, Version, View};
use crate::pipeline::{Outcome, decide};
use crate::proxy::{self, Door};
use crate::telemetry::Record;

/// Answers to pipelined requests gathered into one write.
const GATHER: usize = 32 << 10;
/// How long an idle connection is kept while there are too many.
const IDLE_CROWDED: Duration = Duration::from_secs(1);
/// How often an idle connection looks whether there are too many.
const IDLE_LOOK: Duration = Duration::from_secs(10);
/// How much, and for how long, is read from a client that was told to go, so that it reads why
/// (RFC 9112 §9.6).
const LINGER_BYTES: usize = 256 << 10;
const LINGER: Duration = Duration::from_secs(2);

/// A connection of a visitor who speaks HTTP/1.
pub struct Connection {
    pub(super) door: Arc<Door>,
    pub(super) conn: Box<Conn>,
    pub(super) keeping: Keeping,
}

/// For how long the connection is kept.
pub(super) struct Keeping {
    counted: Counted,
    /// Fires at the idle deadline as it was when it was armed; a later one is armed anew.
    idle: Pin<Box<Sleep>>,
    idle_since: Mono,
    /// When the head that is not whole yet began.
    head_since: Option<Mono>,
    drain: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
    /// Both have our waker already.
    armed: bool,
}

impl Keeping {
    /// Whether so many are held, or memory is so short, that connections are given up sooner.
    fn is_crowded(&self, site: &Site) -> bool {
        self.counted.connections().crowded(&site.policy.edge) || site.condition.gives_up_connections()
    }
}

/// What one step came to.
enum Step {
    /// The head is not all there.
    NeedMore,
    /// Answered; this is left to be sent.
    Answered {
        rest: Bytes,
        keep_alive: bool,
    },
    Errand(Box<Errand>),
}

impl Connection {
    pub fn new(door: Arc<Door>, conn: Box<Conn>, counted: Counted) -> Self {
        let idle = Box::pin(tokio::time::sleep(door.site.load().policy.edge.idle_timeout.min(IDLE_LOOK)));
        let mut shutdown = door.ends.shutdown.clone();
        let drain = Box::pin(async move {
            let _ = shutdown.wait_for(|draining| *draining).await;
        });
        let idle_since = door.clock.mono();
        Self { door, conn, keeping: Keeping { counted, idle, idle_since, head_since: None, drain, armed: false } }
    }

    /// Serves it to its end.
    pub async fn serve(mut self) {
        loop {
            match self.step() {
                Step::NeedMore => {
                    if !matches!(self.more().await, Ok(true)) {
                        return;
                    }
                }
                Step::Answered { mut rest, keep_alive } => {
                    let more_to_come = keep_alive && rest.is_empty() && !self.conn.early().is_empty();
                    if more_to_come && self.conn.out().len() < GATHER {
                        continue;
                    }
                    if self.send(&mut rest).await.is_err() {
                        return;
                    }
                    if !keep_alive {
                        return self.linger().await;
                    }
                }
                Step::Errand(errand) => {
                    if self.send(&mut Bytes::new()).await.is_err() {
                        return;
                    }
                    match Box::pin(errand::run(self, *errand)).await {
                        Some(this) => self = this,
                        None => return,
                    }
                    self.keeping.idle_since = self.door.clock.mono();
                }
            }
        }
    }

    /// Takes one request from what has come, and answers it if that needs nobody else.
    fn step(&mut self) -> Step {
        if self.conn.early().is_empty() {
            return Step::NeedMore;
        }
        let site = self.door.site.load();
        let edge = &site.policy.edge;
        let now = self.door.clock.now();
        let bytes = std::mem::take(self.conn.early());
        let mut fields = head::room_for_fields();
        let head = match head::parse(&bytes, &mut fields) {
            Ok(Some(head)) if head.len <= edge.max_header_size => head,
            Ok(None) if bytes.len() <= edge.max_header_size => {
                *self.conn.early() = bytes;
                self.keeping.head_since.get_or_insert(now.mono);
                return Step::NeedMore;
            }
            Ok(_) => {
                let too_large = Malformed { reason: Reason::HeaderTooLarge, why: "larger than max_header_size" };
                return self.malformed(too_large, now);
            }
            Err(malformed) => return self.malformed(malformed, now),
        };
        let head_len = head.len;
        self.keeping.head_since = None;
        self.keeping.idle_since = now.mono;
        let scheme = if self.conn.is_tls() { Scheme::Https } else { Scheme::Http };
        let visitor = identify(self.conn.peer().ip(), scheme, &edge.trusted_proxies, head.fields);
        let view = View { trusted: visitor.trusted, ..head.view(visitor.scheme, visitor.address) };
        let retiring = self.door.ends.retiring();
        let terms =
            Terms { version: head.version, head_only: head.method == "HEAD", keep_alive: head.keep_alive && !retiring };
        let (mut passage, outcome) = decide(&site, &view, self.door.request_id(), now);
        let then = match outcome {
            Outcome::Origin => {
                let miss = passage.copy.key.take().map(|key| (key, proxy::request_head(&passage, &view)));
                Then::Origin(miss)
            }
            Outcome::Answer(answer) if head.body == BodyKind::None && !matches!(answer.content, Content::File(..)) => {
                let step = self.answer(&mut passage, &view, answer, terms, now);
                self.conn.unread(bytes, head_len);
                return step;
            }
            Outcome::Answer(answer) => Then::Answer(answer),
            Outcome::File(asked) => Then::File(asked),
        };
        passage.keep_seen(&view);
        let errand = Errand {
            passage,
            then,
            terms,
            body: head.body,
            expects_continue: head.expects_continue,
            continued: false,
            upgrade: head.upgrade,
            head: Bytes::copy_from_slice(bytes.get(..head_len).unwrap_or_default()),
        };
        self.conn.unread(bytes, head_len);
        Step::Errand(Box::new(errand))
    }

    /// Gives an answer that is all there.
    fn answer(&mut self, passage: &mut Passage, view: &View<'_>, answer: Answer, terms: Terms, now: Now) -> Step {
        if let (Reason::Stale, Some(key)) = (answer.reason, &passage.copy.key) {
            let miss = proxy::Miss { key, head: proxy::request_head(passage, view) };
            proxy::refresh(&self.door, passage, miss);
        }
        proxy::encode(&self.door, passage);
        let terms = Terms { keep_alive: terms.keep_alive && !self.gives_up(answer.reason, &passage.site), ..terms };
        let (reason, status) = (answer.reason, answer.status());
        let common = passage.common_fields();
        let rendered = render::answer(&answer, &common, terms, now, self.conn.out());
        // A clock's reading is worth its while only to someone who will read it.
        let ended = if passage.site.telemetry.access.is_some() { self.door.clock.mono() } else { now.mono };
        passage.finish_with(view, reason, status, rendered.body_bytes, ended);
        Step::Answered { rest: rendered.rest, keep_alive: terms.keep_alive }
    }

    /// Whether this answer ends the connection: one who was sent away, while the edge is short of what
    /// connections cost.
    pub(super) fn gives_up(&self, reason: Reason, site: &Site) -> bool {
        // Who polls for their place was sent away, too.
        (reason.is_refusal() || reason == Reason::Own) && self.keeping.is_crowded(site)
    }

    /// Answers what is no request. Where the next one would begin can't be known: the connection
    /// ends.
    fn malformed(&mut self, malformed: Malformed, now: Now) -> Step {
        let site = self.door.site.load();
        tracing::debug!(client = %self.conn.peer(), why = malformed.why, "refused a malformed head");
        let answer = Answer::of(malformed.reason, &site.pages, Format::Html);
        let status = answer.status();
        let id = self.door.request_id();
        let terms = Terms { version: Version::Http11, head_only: false, keep_alive: false };
        let mut common = Fields::new();
        common.push(("x-request-id", id.as_str().into()));
        let rendered = render::answer(&answer, &common, terms, now, self.conn.out());
        site.telemetry.record(&Record {
            unix_ms: now.unix_ms,
            id: id.as_str(),
            client: self.client(),
            method: "",
            host: "",
            target: "",
            version: "",
            route: "",
            level: "",
            class: "",
            reason: malformed.reason,
            status,
            bytes: rendered.body_bytes,
            took: Duration::ZERO,
            queued: Duration::ZERO,
            user_agent: "",
            referer: "",
            detail: malformed.why,
        });
        self.keeping.head_since = None;
        Step::Answered { rest: rendered.rest, keep_alive: false }
    }

    fn client(&self) -> IpAddr {
        self.conn.peer().ip().to_canonical()
    }

    /// Waits for more bytes: of a head that began, until its deadline; of a new one, as long as an
    /// idle connection is kept. False: the connection ends.
    async fn more(&mut self) -> io::Result<bool> {
        self.send(&mut Bytes::new()).await?;
        let Some(since) = self.keeping.head_since else {
            self.conn.rest();
            return self.rest().await;
        };
        let spent = self.door.clock.mono().since(since);
        let deadline = self.door.site.load().policy.edge.header_timeout.saturating_sub(spent);
        match tokio::time::timeout(deadline, self.conn.fill()).await {
            Ok(came) => Ok(came? > 0),
            Err(_) => {
                let late = Malformed { reason: Reason::RequestTimeout, why: "the head took too long" };
                let now = self.door.clock.now();
                if let Step::Answered { mut rest, .. } = self.malformed(late, now) {
                    self.send(&mut rest).await?;
                }
                Ok(false)
            }
        }
    }

    /// Waits for the first bytes of a request, the idle deadline, or the edge's end.
    async fn rest(&mut self) -> io::Result<bool> {
        let mut woken = false;
        std::future::poll_fn(|cx| {
            if let Poll::Ready(came) = self.conn.poll_fill(cx) {
                return Poll::Ready(came.map(|n| n > 0));
            }
            // The next request nearly always wakes us, so the two others are asked only if it was
            // not that, or if they may have fired while we were busy.
            let armed = std::mem::replace(&mut self.keeping.armed, true);
            let fired = self.keeping.idle.is_elapsed() || self.door.ends.shut_down();
            if armed && !fired && !std::mem::replace(&mut woken, true) {
                return Poll::Pending;
            }
            woken = true;
            if self.keeping.drain.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(false));
            }
            while self.keeping.idle.as_mut().poll(cx).is_ready() {
                let site = self.door.site.load();
                let edge = &site.policy.edge;
                let crowded = self.keeping.is_crowded(&site);
                let most = if crowded { edge.idle_timeout.min(IDLE_CROWDED) } else { edge.idle_timeout };
                let left = most.saturating_sub(self.door.clock.mono().since(self.keeping.idle_since));
                if left.is_zero() {
                    return Poll::Ready(Ok(false));
                }
                self.keeping.idle = Box::pin(tokio::time::sleep(left.min(IDLE_LOOK)));
            }
            Poll::Pending
        })
        .await
    }

    /// Sends what was written, and `rest`, as long as the client takes something of it.
    pub(super) async fn send(&mut self, rest: &mut Bytes) -> io::Result<()> {
        if self.conn.out().is_empty() && rest.is_empty() {
            return Ok(());
        }
        // The socket nearly always takes all at once: no timer then.
        let at_once = std::future::poll_fn(|cx| Poll::Ready(self.conn.poll_send(cx, rest))).await;
        if let Poll::Ready(sent) = at_once {
            return sent;
        }
        let patience = self.door.site.load().policy.edge.body_timeout;
        loop {
            let before = self.conn.out().len() + rest.len();
            match tokio::time::timeout(patience, self.conn.send(rest)).await {
                Ok(sent) => return sent,
                // The deadline is for progress, not for the whole.
                Err(_) if self.conn.out().len() + rest.len() < before => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }

    /// Ends a connection whose client may still be sending: a close with unread bytes would be a
    /// reset, and a reset can destroy the answer before it is read.
    pub(super) async fn linger(mut self) {
        let _ = tokio::time::timeout(LINGER, async {
            let _ = self.conn.shutdown().await;
            let mut read = 0;
            while read < LINGER_BYTES {
                self.conn.early().clear();
                match self.conn.fill().await {
                    Ok(1..) => read += self.conn.early().len(),
                    _ => break,
                }
            }
        })
        .await;
    }
}
