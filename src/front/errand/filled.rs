//! Requests that a fill answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Errand, alone, answered, left};
use crate::front::connection::Connection;
use crate::front::head;
use crate::front::render::{self, Framing};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::{Version, View};
use crate::proxy::fill::{Head, Missed, Reader};
use crate::proxy::{self, Miss};

/// Follows a fill, or begins it.
pub(super) async fn by_fill(mut on: Connection, mut errand: Errand, key: &[u8], mut ask: Bytes) -> Option<Connection> {
    // Who finds that what was fetched is for another kind of request asks once more, with their like.
    // And who followed one that found no place asks for one as what they are.
    for again in [true, false] {
        let miss = Miss { key, head: ask.clone() };
        let Some(reader) = proxy::begin(&on.door, &errand.passage, miss) else { break };
        let head = head_of(&mut on, &errand, &reader).await?;
        match head {
            Ok(head) if head.is_error() && errand.passage.has_fallback(on.door.clock.now()) => {
                errand.passage.copy.failed = Some(head.status);
                let now = on.door.clock.now();
                let answer = errand.passage.fall_back(Reason::OriginFailed, Duration::ZERO, now);
                // To its end: that is when those who come hear of it, rather than ask the origin again.
                proxy::read_on(reader);
                return answered(on, errand, answer).await;
            }
            Ok(head) => {
                let suits = with_view(&mut errand, |passage, view| {
                    let suits = proxy::suits(passage, &head, &reader, view);
                    if !suits {
                        ask = proxy::request_head(passage, view);
                    }
                    suits
                });
                if suits == Some(true) {
                    return fetched(on, errand, key, &head, reader).await;
                }
            }
            Err(Missed::Alone) => break,
            Err(Missed::Refused(reason, _)) if again && reader.is_follower() && reason.is_of_asker() => {}
            Err(Missed::Refused(reason, retry_after)) => {
                let answer = errand.passage.fall_back(reason, retry_after, on.door.clock.now());
                return answered(on, errand, answer).await;
            }
        }
    }
    alone(on, errand).await
}

/// The head of a fill's answer; before it, to who leads the fill, what the origin says early. None: the
/// client has left.
async fn head_of(on: &mut Connection, errand: &Errand, reader: &Reader) -> Option<Result<Arc<Head>, Missed>> {
    loop {
        let hint = tokio::select! {
            biased;
            hint = reader.hint() => hint,
            head = reader.head() => return Some(head),
            () = left(&mut on.conn) => return None,
        };
        if errand.terms.version == Version::Http11 {
            render::early_hint(&hint, on.conn.out());
            on.send(&mut Bytes::new()).await.ok()?;
        }
    }
}

/// Gives what a fill has fetched: that the visitor has it already, the parts they want, or all of it.
async fn fetched(
    mut on: Connection,
    mut errand: Errand,
    key: &[u8],
    head: &Head,
    reader: Reader,
) -> Option<Connection> {
    let (now, collapsed) = (on.door.clock.now(), reader.is_follower());
    let unchanged = with_view(&mut errand, |passage, view| proxy::not_modified(passage, head, view, collapsed, now));
    if let Some(answer) = unchanged.flatten() {
        proxy::read_on(reader);
        return answered(on, errand, answer).await;
    }
    if !errand.passage.copy.range || head.status != 200 {
        return follow(on, errand, head, reader).await;
    }
    if !head.stored {
        // What is not kept is asked for in parts.
        drop(reader);
        return alone(on, errand).await;
    }
    let whole = tokio::select! {
        whole = proxy::read_whole(&errand.passage, reader) => whole,
        () = left(&mut on.conn) => return None,
    };
    let parts = with_view(&mut errand, |passage, view| proxy::parts(passage, key, head, view, collapsed));
    match parts.flatten().filter(|_| whole) {
        Some(answer) => answered(on, errand, answer).await,
        None => alone(on, errand).await,
    }
}

/// Looks at the request once more.
fn with_view<T>(errand: &mut Errand, look: impl FnOnce(&mut Passage, &View<'_>) -> T) -> Option<T> {
    let mut fields = head::room_for_fields();
    let asked = head::parse(&errand.head, &mut fields).ok()??;
    let view = asked.view(errand.passage.scheme, errand.passage.client);
    Some(look(&mut errand.passage, &view))
}

/// Writes a fill's answer as it comes.
async fn follow(mut on: Connection, mut errand: Errand, head: &Head, mut reader: Reader) -> Option<Connection> {
    let status = proxy::cache_status(&errand.passage, head, reader.is_follower());
    let common = errand.passage.common_fields();
    let own = !reader.is_follower();
    let framing = render::fill_head(head, own, &status, common, errand.terms, on.conn.out());
    errand.terms.keep_alive &= framing != Framing::Close;
    let mut sent = 0;
    let whole = loop {
        match reader.next().await {
            Ok(Some(mut piece)) => {
                sent += piece.len() as u64;
                if framing == Framing::Chunked {
                    render::chunk(Some(&piece), on.conn.out());
                    piece = Bytes::new();
                }
                if on.send(&mut piece).await.is_err() {
                    break Err(Reason::ClientGone);
                }
            }
            Ok(None) => break Ok(()),
            // Breaking off is the only way left to say that it is not whole.
            Err(cut) => {
                if framing == Framing::Close {
                    on.conn.reset_by_close();
                }
                break Err(cut.reason());
            }
        }
    };
    let whole = match whole {
        Ok(()) => {
            if framing == Framing::Chunked {
                render::chunk(None, on.conn.out());
            }
            on.send(&mut Bytes::new()).await.map_err(|_| Reason::ClientGone)
        }
        cut => cut,
    };
    let reason = whole.err().unwrap_or(Reason::Fill);
    errand.passage.finish(reason, head.status, sent, on.door.clock.mono());
    whole.ok()?;
    errand.terms.keep_alive.then_some(on)
}
