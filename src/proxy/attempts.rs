//! Attempts: at which server a request is, and whether it is tried again.
//!
//! A request that may have had an effect is never sent twice (RFC 9110 §9.2.2), and none is once a
//! byte of its answer is written. What was too slow is not tried again either: that would double
//! the load where there is too much already.

use std::time::{Duration, UNIX_EPOCH};

use http::header;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::balance::{Change, Failure, Outcome};
use crate::clock::Now;
use crate::pipeline::passage::Passage;
use crate::pipeline::servers::Attempt;
use crate::policy::{RETRIES_MAX, Server};

/// Attempts for one request, as pingora counts them: the first, the retries, and one more where a
/// kept connection turned out to be closed. Which of them are made is decided here.
pub(super) const MAX: usize = 1 + RETRIES_MAX as usize + 1;

/// The attempts of one request.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    at: Option<Attempt>,
    /// How many retries there were.
    retries: u8,
    /// A kept connection was found closed; from then on each attempt gets its own.
    stale: bool,
    next: Next,
    /// This attempt has got the head of an answer.
    answered: bool,
}

/// What the next attempt is, once it is decided that there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    None,
    /// The same server, on a new connection.
    Anew,
    /// Another server, if there is one.
    Elsewhere,
}

impl Attempts {
    /// Begins the first attempt, or the next; answers its server, and whether it is to have a
    /// connection of its own.
    pub(super) fn begin(&mut self, passage: &Passage, now: Now) -> Option<(&Server, bool)> {
        let seed = passage.id.lot().wrapping_add(u64::from(self.retries));
        self.at = match std::mem::take(&mut self.next) {
            Next::None => passage.origin().servers.first(seed, now.mono),
            Next::Anew => self.at.take(),
            Next::Elsewhere => self.at.take().and_then(|at| at.next(seed, now.mono)),
        };
        self.answered = false;
        self.at.as_ref().map(|at| (at.server(), self.stale))
    }

    /// The request is over, as far as the origin goes.
    pub(super) fn end(&mut self) {
        self.at = None;
    }

    /// No connection was made. Whether another attempt follows.
    pub(super) fn unconnected(&mut self, e: &Error, passage: &Passage, session: &Session, now: Now) -> bool {
        self.learn(passage, Outcome::Failed, now);
        let late = matches!(e.etype(), ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout);
        let failure = if late { Failure::Unconnected } else { Failure::Refused };
        self.try_again(failure, passage, session, now)
    }

    /// The head of an answer came. True: it is not to be used, another attempt follows.
    pub(super) fn answered(
        &mut self,
        response: &ResponseHeader,
        passage: &Passage,
        session: &Session,
        now: Now,
    ) -> bool {
        self.answered = true;
        let status = response.status.as_u16();
        if !matches!(status, 502..=504) {
            self.learn(passage, Outcome::Answered, now);
            return false;
        }
        match retry_after(response, now) {
            // Who says when to come back has been asked and has answered: that goes to the visitor.
            Some(rest) if status == 503 => self.learn(passage, Outcome::Busy(rest), now),
            Some(_) => self.learn(passage, Outcome::Failed, now),
            None => {
                self.learn(passage, Outcome::Failed, now);
                return self.try_again(Failure::Declined, passage, session, now);
            }
        }
        false
    }

    /// Something went wrong on a connection, `reused` or new. Whether another attempt follows.
    pub(super) fn failed(
        &mut self,
        e: &mut Error,
        reused: bool,
        passage: &Passage,
        session: &Session,
        now: Now,
    ) -> bool {
        if self.next != Next::None {
            return true;
        }
        if self.answered || *e.esource() != ErrorSource::Upstream {
            return false;
        }
        e.retry.decide_reuse(reused);
        if e.retry() && !self.stale && session.req_header().method.is_idempotent() && !is_begun(session) {
            // The server closed it as the request came: no failure, and no retry to be counted.
            (self.stale, self.next) = (true, Next::Anew);
            return true;
        }
        self.learn(passage, Outcome::Failed, now);
        let broken = matches!(e.etype(), ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError);
        broken && self.try_again(Failure::Broken, passage, session, now)
    }

    fn try_again(&mut self, failure: Failure, passage: &Passage, session: &Session, now: Now) -> bool {
        let Some(at) = &self.at else { return false };
        let origin = passage.site.policy.origins.get(passage.route().origin.0);
        let left = origin.is_some_and(|origin| self.retries < origin.retries);
        let unsent = matches!(failure, Failure::Refused | Failure::Unconnected);
        let safe = unsent || session.req_header().method.is_idempotent();
        if !left || !safe || is_begun(session) || !at.may_retry(failure, now.mono) {
            return false;
        }
        self.retries += 1;
        self.next = Next::Elsewhere;
        true
    }

    fn learn(&self, passage: &Passage, outcome: Outcome, now: Now) {
        let change = self.at.as_ref().and_then(|at| at.learn(outcome, now.mono));
        log(&passage.origin().name, change);
    }
}

/// Whether the answer has begun, or the request can't be sent again from its beginning.
fn is_begun(session: &Session) -> bool {
    session.response_written().is_some() || session.as_ref().retry_buffer_truncated()
}

/// Retry-After (RFC 9110 §10.2.3): seconds, or a date.
fn retry_after(response: &ResponseHeader, now: Now) -> Option<Duration> {
    let value = response.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(Duration::from_millis(now.unix_ms)))
}

/// A server went out, or is healthy again.
pub(super) fn log(origin: &str, change: Option<Change>) {
    match change {
        Some(Change::Out { server, why, time: Some(time) }) => {
            tracing::warn!(origin, %server, why = why.name(), seconds = time.as_secs(), "the server is left out");
        }
        Some(Change::Out { server, why, time: None }) => {
            tracing::warn!(origin, %server, why = why.name(), "the server is left out until its health check passes");
        }
        Some(Change::Healthy { server }) => tracing::info!(origin, %server, "the server is healthy again"),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = Now { unix_ms: 784_111_770_000, ..Now::default() };
        let of = |value: &str| {
            let mut response = ResponseHeader::build(503, None).unwrap();
            response.insert_header("Retry-After", value).unwrap();
            retry_after(&response, now).map(|d| d.as_secs())
        };
        assert_eq!((of("120"), of(" 0 ")), (Some(120), Some(0)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(of("Sat, 06 Nov 1993 08:49:37 GMT"), Some(0), "it is over");
        assert_eq!((of("soon"), of("-1"), of("")), (None, None, None));
        assert_eq!(retry_after(&ResponseHeader::build(503, None).unwrap(), now), None);
    }
}
