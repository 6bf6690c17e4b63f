//! What a failure of pingora's means, and what is left to do then.

use std::time::Duration;

use pingora::proxy::Session;
use pingora::{Error, ErrorSource, ErrorType};

use crate::pipeline::reason::Reason;

/// What a pingora error means here.
pub(super) fn reason_of(e: &Error) -> Reason {
    match (e.etype(), e.esource()) {
        (ErrorType::HTTPStatus(413), _) => Reason::BodyTooLarge,
        (ErrorType::HTTPStatus(503), _) => Reason::StreamsFull,
        (ErrorType::HTTPStatus(408), _) => Reason::RequestTimeout,
        (ErrorType::ReadTimedout, ErrorSource::Downstream) => Reason::RequestTimeout,
        (ErrorType::ReadError, ErrorSource::Downstream) if timed_out(e) => Reason::RequestTimeout,
        // What pingora's own reading of a head refuses.
        (ErrorType::InvalidHTTPHeader, ErrorSource::Downstream) => Reason::BadRequest,
        (_, ErrorSource::Downstream) => Reason::ClientGone,
        (ErrorType::ReadTimedout | ErrorType::WriteTimedout, _) => Reason::OriginTimeout,
        (
            ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::SocketError
            | ErrorType::BindError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError,
            _,
        ) => Reason::OriginUnreachable,
        _ => Reason::OriginFailed,
    }
}

/// Whether the body came too slowly (see [`crate::front::stream::Conn::keep_pace`]).
fn timed_out(e: &Error) -> bool {
    let cause = e.root_cause().downcast_ref::<std::io::Error>();
    cause.is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut)
}

/// Reads what is left of a request that failed, where that is quick: a small body is here already.
pub(super) async fn drained(session: &mut Session) -> bool {
    if !session.is_body_done() {
        let _ = tokio::time::timeout(DRAIN, session.as_mut().drain_request_body()).await;
    }
    session.is_body_done()
}

/// How long that may take.
const DRAIN: Duration = Duration::from_secs(1);
