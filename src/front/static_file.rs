//! The answer with a file, over HTTP/1.

use bytes::Bytes;
use compact_str::ToCompactString;

use super::connection::Connection;
use super::errand::{Errand, answered, drain};
use super::render;
use crate::files::{Asked, Body};
use crate::pipeline::answer::Answer;
use crate::pipeline::reason::Reason;
use crate::proxy;

/// Gives a file, or says why there is none. The connection comes back if it can take another request.
pub(super) async fn give(mut on: Connection, mut errand: Errand, asked: Asked) -> Option<Connection> {
    let tree = errand.passage.site.tree_of(errand.passage.route())?.clone();
    let found = tree.answer(&asked, errand.passage.id, on.door.clock.now()).await;
    // Read before the head is sent: what fails now can still be said.
    let begun = match found {
        Ok((reply, mut body)) => body.next().await.map(|first| (reply, body, first)).map_err(|_| Reason::EdgeBusy),
        Err(reason) => Err(reason),
    };
    let (reply, body, first) = match begun {
        Ok(begun) => begun,
        Err(reason) => {
            let mut answer = Answer::of(reason, &errand.passage.site.pages, errand.passage.format);
            if reason == Reason::EdgeBusy {
                let seconds = errand.passage.spread(proxy::RETRY_AFTER_FAILURE);
                answer = answer.with("retry-after", seconds.to_compact_string());
            }
            return answered(on, errand, answer).await;
        }
    };
    errand.terms.keep_alive &= drain(&mut on.conn, &errand).await;
    let common = errand.passage.common_fields();
    let now = on.door.clock.now();
    render::file_head(&reply, common, errand.terms, now, on.conn.out());
    let (sent, whole) = send(&mut on, body, first).await;
    let reason = whole.err().unwrap_or(reply.reason);
    errand.passage.finish(reason, reply.status, sent, on.door.clock.mono());
    whole.ok()?;
    if errand.terms.keep_alive {
        return Some(on);
    }
    on.linger().await;
    None
}

/// Sends a body to its end; how many bytes of it, and why not all. A file that can't be read on leaves only
/// one way to say so: to break off.
async fn send(on: &mut Connection, mut body: Body, first: Option<Bytes>) -> (u64, Result<(), Reason>) {
    let (mut sent, mut piece) = (0, first.unwrap_or_default());
    loop {
        let length = piece.len() as u64;
        if on.send(&mut piece).await.is_err() {
            return (sent, Err(Reason::ClientGone));
        }
        sent += length;
        match body.next().await {
            Ok(Some(next)) => piece = next,
            Ok(None) => return (sent, Ok(())),
            Err(error) => {
                tracing::warn!(%error, "a file could not be sent to its end");
                return (sent, Err(Reason::EdgeBusy));
            }
        }
    }
}
