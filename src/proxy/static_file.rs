//! The answer with a file, over HTTP/2.

use compact_str::ToCompactString;
use http::header::{self, HeaderName};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType};

use super::Result;
use super::reply;
use crate::clock::Now;
use crate::files::{Asked, Body};
use crate::pipeline::answer::Answer;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;

/// Writes a file, or why there is none; answers the bytes of its body.
///
/// # Errors
/// The client is gone, or the file can't be sent to its end: then the stream is not ended cleanly.
pub async fn write(passage: &mut Passage, session: &mut Session, asked: &Asked, now: Now) -> Result<u64> {
    let tree = passage.site.tree_of(passage.route()).cloned();
    let found = match tree {
        Some(tree) => tree.answer(asked, passage.id, now).await,
        None => Err(Reason::NotFound),
    };
    // Read before the head is sent: what fails now can still be said.
    let begun = match found {
        Ok((found, mut body)) => body.next().await.map(|first| (found, body, first)).map_err(|_| Reason::EdgeBusy),
        Err(reason) => Err(reason),
    };
    let (found, body, first) = match begun {
        Ok(begun) => begun,
        Err(reason) => {
            let mut answer = Answer::of(reason, &passage.site.pages, passage.format);
            if reason == Reason::EdgeBusy {
                let seconds = passage.spread(super::RETRY_AFTER_FAILURE);
                answer = answer.with("retry-after", seconds.to_compact_string());
            }
            return reply::write(passage, session, answer).await;
        }
    };
    passage.because(found.reason);
    let mut response = ResponseHeader::build(found.status, Some(found.fields.len() + 4))?;
    if let Some(length) = found.length {
        response.insert_header(header::CONTENT_LENGTH, length)?;
    }
    for (name, value) in found.fields.into_iter().chain(passage.common_fields()) {
        response.append_header(HeaderName::from_static(name), value.as_str())?;
    }
    session.write_response_header(Box::new(response), first.is_none()).await.map_err(|e| e.into_down())?;
    match first {
        Some(first) => send(session, body, first).await,
        None => Ok(0),
    }
}

async fn send(session: &mut Session, mut body: Body, first: bytes::Bytes) -> Result<u64> {
    let (mut sent, mut piece) = (0, first);
    loop {
        sent += piece.len() as u64;
        let next = body.next().await.map_err(|error| {
            tracing::warn!(%error, "a file could not be sent to its end");
            Error::because(ErrorType::FileReadError, "sending a file", error).into_down()
        })?;
        session.write_response_body(Some(piece), next.is_none()).await.map_err(|e| e.into_down())?;
        match next {
            Some(next) => piece = next,
            None => return Ok(sent),
        }
    }
}
