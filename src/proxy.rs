//! Everything that needs an origin, on pingora; and the second door, HTTP/2.
//!
//! A request comes with its decision, from the front or from a fill, or it is decided here
//! (`second_door`). From then on these are hooks around pingora's proxy: what the origin gets to
//! see, what is learned from its answer, and what is said when there is none.

use std::any::Any;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::ServerSession;
use pingora::proxy::{FailToProxy, ProxyHttp, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType};

mod attempts;
mod carried;
mod door;
mod encoding;
mod failure;
pub mod fetch;
pub mod fill;
mod filling;
mod forward;
mod heard;
pub mod probe;
pub mod proof;
mod reply;
pub mod resolve;
mod second_door;
mod sink;
pub mod snapshot_file;
mod static_file;
mod watched;
mod written;

pub use carried::{Answered, Carried, Role};
pub use door::{Door, Ends, Proxy};
pub use encoding::encode;
pub use filling::{
    Miss, begin, cache_status, not_modified, parts, read_on, read_whole, refresh, request_head, suits, take_turn,
};
pub use proof::ProofKey;
pub use resolve::Addresses;
pub use watched::{Streams, outstays};
pub use written::warn_of_widening;

use attempts::Attempts;
use failure::{drained, reason_of};

use crate::clock::{Mono, Now};
use crate::level::Contact;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;

/// Log directives that keep pingora quiet: it logs an error for each client that breaks off, and what
/// we need of that is in the access log.
pub const QUIET: &str = "pingora_core=off,pingora_proxy=off";
/// How often the pace of a body is looked at.
const PACE_EVERY: Duration = Duration::from_secs(5);
/// How soon to come back when the origin failed.
pub const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// What a request carries from hook to hook.
pub struct Ctx {
    carried: Option<Box<Carried>>,
    /// Request body bytes passed on, for `max_body_size`.
    body_in: u64,
    /// All of it has come.
    body_ended: bool,
    body_out: u64,
    /// Since when, and how many bytes of the body came since: for `body_min_rate`.
    pace: Option<(Mono, u64)>,
    attempts: Attempts,
    /// An answer of the origin was received, by whichever attempt.
    reached: bool,
    status: u16,
    /// The answer is an upgrade or an event stream.
    streams: bool,
}

/// Our side of pingora's proxy.
pub struct Hooks {
    door: std::sync::Weak<Door>,
}

type Result<T> = std::result::Result<T, Box<Error>>;

impl Hooks {
    /// The door outlives every request; only the cycle between it and the proxy is weak.
    fn door(&self) -> Result<Arc<Door>> {
        self.door.upgrade().ok_or_else(|| Error::explain(ErrorType::InternalError, "the edge is shutting down"))
    }
}

impl Ctx {
    fn passage(&mut self) -> Result<&mut Passage> {
        Ok(self.passage_and_attempts()?.0)
    }

    fn passage_and_attempts(&mut self) -> Result<(&mut Passage, &mut Attempts)> {
        let carried = self.carried.as_mut().map(|c| (&mut c.passage, &mut self.attempts));
        carried.ok_or_else(|| Error::explain(ErrorType::InternalError, "no decision"))
    }

    /// No connection to a server: whether another attempt follows, the request's way, or the origin
    /// counts as out of reach.
    fn unconnected(&mut self, session: &Session, mut e: Box<Error>, now: Now) -> Box<Error> {
        let retry = self.passage_and_attempts().is_ok_and(|(passage, at)| at.unconnected(&e, passage, session, now));
        e.set_retry(retry);
        if !retry && !self.reached {
            self.observe(Contact::Unreachable, now);
        }
        e
    }

    fn observe(&mut self, contact: Contact, now: Now) {
        if let Some(carried) = &self.carried {
            carried.passage.origin().observe(contact, now);
            if let Some(permit) = &carried.passage.permit {
                permit.headed(contact == Contact::Unreachable || matches!(self.status, 502..=504), now.mono);
            }
        }
    }
}

#[async_trait]
impl ProxyHttp for Hooks {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx {
            carried: None,
            body_in: 0,
            body_ended: false,
            body_out: 0,
            pace: None,
            attempts: Attempts::default(),
            reached: false,
            status: 0,
            streams: false,
        }
    }

    /// Pingora adds a compression module by default, which is not wanted.
    fn init_downstream_modules(&self, _: &mut pingora::modules::http::HttpModules) {}

    fn on_connection_reuse(&self, _: &mut Session, ctx: &mut Ctx, carried: Box<dyn Any + Send + Sync>) {
        ctx.carried = carried.downcast::<Carried>().ok();
    }

    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let door = self.door()?;
        let timeout = door.site.load().policy.edge.body_timeout;
        session.set_write_timeout(Some(timeout));
        session.set_read_timeout(Some(timeout));
        // RFC 9110 §15.2: HTTP/1.0 knows no answer before the answer.
        if session.req_header().version == Version::HTTP_10
            && let ServerSession::H1(h1) = session.as_downstream_mut()
        {
            h1.set_ignore_info_resp(true);
        }
        if ctx.carried.is_some() {
            return Ok(false);
        }
        second_door::request(&door, session, ctx).await
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let door = self.door()?;
        let now = door.clock.now();
        // A request that is tried again is sent from its beginning.
        (ctx.body_in, ctx.body_ended, ctx.pace) = (0, false, None);
        let (passage, attempts) = ctx.passage_and_attempts()?;
        let Some((server, anew)) = attempts.begin(passage, now) else {
            return Err(Error::explain(ErrorType::InternalError, "the origin has no servers"));
        };
        forward::peer(&door, session, passage, server, anew).map_err(|e| ctx.unconnected(session, e, now))
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let continued = ctx.carried.as_ref().is_some_and(|c| c.continued);
        let door = self.door()?;
        forward::request(ctx.passage()?, session, request, continued)?;
        forward::prove(ctx.passage()?, &door.proof, door.clock.now(), request)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        ctx.body_ended |= end;
        // What an upgraded connection carries is no body.
        if session.was_upgraded() {
            return Ok(());
        }
        let came = body.as_ref().map_or(0, |b| b.len() as u64);
        ctx.body_in += came;
        let now = self.door()?.clock.mono();
        let (since, so_far) = ctx.pace.unwrap_or((now, 0));
        let passage = ctx.passage()?;
        let least = passage.site.policy.edge.body_min_rate.saturating_mul(PACE_EVERY.as_secs());
        // Over HTTP/1 the connection itself sees to it.
        let over = session.is_http2() && now.since(since) >= PACE_EVERY;
        if over && so_far + came < least {
            return Err(Error::explain(ErrorType::HTTPStatus(408), "the body comes too slowly").into_down());
        }
        let max = passage.route().max_body_size;
        if ctx.body_in > max {
            return Err(Error::explain(ErrorType::HTTPStatus(413), "the body is larger than max_body_size").into_down());
        }
        ctx.pace = Some(if over { (now, 0) } else { (since, so_far + came) });
        Ok(())
    }

    async fn response_filter(&self, session: &mut Session, response: &mut ResponseHeader, ctx: &mut Ctx) -> Result<()> {
        if response.status.is_informational() && response.status.as_u16() != 101 {
            // Who asks alone gets it from pingora itself; over HTTP/2 pingora has no way to send it.
            if let Some(Role::Fill(writer)) = ctx.carried.as_ref().map(|c| &c.role)
                && response.status == StatusCode::EARLY_HINTS
            {
                writer.hint(response);
            }
            return Ok(());
        }
        let door = self.door()?;
        if door.ends.retiring() {
            session.set_keepalive(None);
        }
        let now = door.clock.now();
        ctx.reached = true;
        ctx.status = response.status.as_u16();
        ctx.streams = forward::is_stream(response);
        if ctx.status == 101 {
            // From here on the client's silence is no body that does not come.
            session.set_read_timeout(Some(door.site.load().policy.edge.idle_timeout));
        }
        ctx.observe(Contact::Reached, now);
        let (passage, attempts) = ctx.passage_and_attempts()?;
        if attempts.answered(response, passage, session, now) {
            return Err(Error::explain(ErrorType::HTTPStatus(502), "another server is asked").into_up());
        }
        let Some(carried) = ctx.carried.as_mut() else { return Ok(()) };
        if ctx.streams {
            if let Some(permit) = carried.passage.permit.as_mut() {
                permit.into_stream().map_err(|_| Error::explain(ErrorType::HTTPStatus(503), STREAMS_FULL))?;
            }
            if let Some(answered) = &carried.answered {
                answered.stream();
            }
        }
        forward::hear_room(&carried.passage, response);
        match &mut carried.role {
            // RFC 5861 §4: a copy is better than an error.
            Role::Visitor if fill::is_error(ctx.status) && carried.passage.has_fallback(now) => {
                carried.passage.copy.failed = Some(ctx.status);
                Err(Error::explain(ErrorType::InvalidHTTPHeader, "the origin answered with an error").into_up())
            }
            Role::Visitor => {
                written::hear(&mut carried.passage, session, response, now)?;
                heard::answer(&carried.passage, session, response, now);
                forward::response(&mut carried.passage, session, response)
            }
            Role::Fill(writer) => {
                writer.head(&carried.passage, response, now);
                Ok(())
            }
        }
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        let Some(carried) = ctx.carried.as_mut() else { return Ok(None) };
        ctx.body_out += body.as_ref().map_or(0, |b| b.len() as u64);
        if let Role::Fill(writer) = &mut carried.role {
            writer.body(body.as_ref(), end);
        }
        if end && !session.was_upgraded() {
            // The origin has said its last: its place is free, however slowly the client reads.
            carried.passage.permit = None;
            ctx.attempts.end();
        }
        Ok(None)
    }

    fn fail_to_connect(&self, session: &mut Session, peer: &HttpPeer, ctx: &mut Ctx, e: Box<Error>) -> Box<Error> {
        tracing::debug!(%peer, error = %e, "no connection to the origin");
        match self.door() {
            Ok(door) => ctx.unconnected(session, e, door.clock.now()),
            Err(closing) => closing,
        }
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        e: Box<Error>,
        ctx: &mut Ctx,
        reused: bool,
    ) -> Box<Error> {
        let mut e = if stalled(&e, session, ctx) {
            Error::explain(ErrorType::HTTPStatus(408), "the body stopped coming").into_down()
        } else {
            e.more_context(format!("server {peer}"))
        };
        let Ok(now) = self.door().map(|door| door.clock.now()) else {
            // Pingora panics where it is left undecided.
            e.set_retry(false);
            return e;
        };
        let retry =
            ctx.passage_and_attempts().is_ok_and(|(passage, at)| at.failed(&mut e, reused, passage, session, now));
        e.set_retry(retry);
        if *e.esource() == ErrorSource::Upstream && !ctx.reached && !retry {
            ctx.observe(Contact::Unreachable, now);
        }
        e
    }

    async fn fail_to_proxy(&self, session: &mut Session, e: &Error, ctx: &mut Ctx) -> FailToProxy {
        let reason = reason_of(e);
        let nothing = FailToProxy { error_code: 0, can_reuse_downstream: false };
        let Ok(door) = self.door() else { return nothing };
        let Some(carried) = ctx.carried.as_mut() else { return nothing };
        // An error of the origin's after its head is written can only be shown by breaking off.
        let begun = |r: &ResponseHeader| !r.status.is_informational() || r.status.as_u16() == 101;
        if session.response_written().is_some_and(begun) || reason == Reason::ClientGone {
            if let Some(answered) = &carried.answered {
                answered.broke_off();
            }
            carried.passage.because(reason);
            return nothing;
        }
        if let Role::Fill(writer) = &mut carried.role {
            writer.refuse(reason, RETRY_AFTER_FAILURE);
            return nothing;
        }
        carried.passage.permit = None;
        ctx.attempts.end();
        let answer = carried.passage.fall_back(reason, RETRY_AFTER_FAILURE, door.clock.now());
        tracing::debug!(error = %e, reason = reason.label(), answer = answer.reason.label(), "the origin gave no answer");
        let error_code = answer.status();
        // Pingora drops the connection whatever is said here; but it is only lent.
        let kept = carried.answered.take();
        let kept = if drained(session).await { kept } else { None };
        if kept.is_none() {
            session.set_keepalive(None);
        }
        match reply::write(&mut carried.passage, session, answer).await {
            Ok(bytes) => ctx.body_out = bytes,
            Err(_) => return FailToProxy { error_code, can_reuse_downstream: false },
        }
        ctx.status = error_code;
        if let Some(answered) = kept {
            answered.whole();
        }
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    async fn logging(&self, session: &mut Session, e: Option<&Error>, ctx: &mut Ctx) {
        ctx.attempts.end();
        let Some(mut carried) = ctx.carried.take() else { return };
        let now = carried.passage.site.clock.mono();
        let status = session.response_written().map_or(ctx.status, |r| r.status.as_u16());
        let passage = &mut carried.passage;
        let reason = match (passage.reason(), e) {
            (Reason::ClientGone, None) => Reason::Pass,
            (Reason::ClientGone, Some(e)) => reason_of(e),
            (told, _) => told,
        };
        passage.finish(reason, if status == 0 { reason.status() } else { status }, ctx.body_out, now);
    }

    fn suppress_error_log(&self, _: &Session, _: &Ctx, _: &Error) -> bool {
        // Every failure is in the access log with its reason, and counted.
        true
    }

    fn suppress_proxy_warn_log(&self, _: &Session, _: &Ctx, _: &Error, _: pingora::proxy::ProxyWarnLogContext) -> bool {
        true
    }
}

/// Whether it is the client, rather than the origin, from which nothing came: the origin can't answer what it has not
/// heard, and its deadline may be sooner than those of the client's body (over HTTP/2 there is none).
fn stalled(e: &Error, session: &mut Session, ctx: &Ctx) -> bool {
    let timed_out = *e.etype() == ErrorType::ReadTimedout && *e.esource() == ErrorSource::Upstream;
    // One who waits for a 100 waits for the origin.
    let waits = ctx.body_in == 0 && session.req_header().headers.contains_key(http::header::EXPECT);
    timed_out && !ctx.reached && !ctx.body_ended && !waits && !session.is_body_done()
}

const STREAMS_FULL: &str = "no stream is free";
