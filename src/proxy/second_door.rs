//! The second door: HTTP/2 requests come through pingora whole and meet the same core here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use pingora::apps::HttpServerOptions;
use pingora::proxy::Session;
use pingora::{Error, ErrorSource};

use super::fill::{Head, Missed, Reader};
use super::filling::{self, Miss};
use super::watched::watch;
use super::{Answered, Carried, Ctx, Door, Result, Role, reply, static_file};
use crate::front::head::{MAX_FIELDS, is_host};
use crate::pipeline::answer::{Answer, Format};
use crate::pipeline::client::identify;
use crate::pipeline::passage::Passage;
use crate::pipeline::path::normalise;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::{BodyKind, Field, Scheme, Version, View};
use crate::pipeline::{Outcome, decide, refuse};

/// A body longer than this is not read beforehand: pingora keeps 64 KiB for the origin, and one
/// more frame may come before we know.
const READ_AHEAD: usize = 48 << 10;

pub(super) fn options(door: &Door) -> HttpServerOptions {
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(door.site.load().policy.edge.idle_timeout);
    options
}

/// Decides a request, and answers it unless it goes to the origin. True: answered.
pub(super) async fn request(door: &Arc<Door>, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
    let now = door.clock.now();
    let site = door.site.load_full();
    let id = door.request_id();
    let bodyless = session.as_mut().is_body_empty();
    let request = session.req_header();
    let fields: Vec<Field<'_>> =
        request.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
    let authority = request.uri.authority().map(|a| a.as_str());
    let host = authority.or_else(|| request.headers.get(header::HOST)?.to_str().ok()).unwrap_or_default();
    let host = host.to_ascii_lowercase();
    let raw_path = request.uri.path();
    let path = normalise(raw_path);
    let peer = session.client_addr().and_then(|a| a.as_inet()).map_or(IpAddr::from([0, 0, 0, 0]), |a| a.ip());
    let visitor = identify(peer, Scheme::Https, &site.policy.edge.trusted_proxies, &fields);
    let length: Option<u64> =
        request.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    let mut view = View {
        method: request.method.as_str(),
        version: Version::Http2,
        scheme: visitor.scheme,
        host: &host,
        path: path.as_deref().unwrap_or("/"),
        raw_path,
        query: request.uri.query(),
        fields: &fields,
        client: visitor.address,
        trusted: visitor.trusted,
        body: match length {
            Some(0) => BodyKind::None,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Stream,
        },
    };
    if bodyless {
        view.body = BodyKind::None;
    }
    let malformed = if path.is_err() || !is_host(&host) || host.is_empty() {
        Some(Reason::BadRequest)
    } else {
        unwelcome(&view, site.policy.edge.max_header_size)
    };
    let (mut passage, outcome) = match malformed {
        Some(reason) => {
            let answer = Answer::of(reason, &site.pages, Format::asked(&view));
            (refuse(&site, visitor.address, id, now), Outcome::Answer(answer))
        }
        None => decide(&site, &view, id, now),
    };
    passage.keep_seen(&view);
    let miss = passage.copy.key.clone().map(|key| (key, filling::request_head(&passage, &view)));
    let body = view.body;
    match outcome {
        Outcome::Answer(answer) => {
            if let (Some((key, head)), Reason::Stale) = (&miss, answer.reason) {
                filling::refresh(door, &passage, Miss { key, head: head.clone() });
            }
            finish(door, session, ctx, passage, answer).await
        }
        Outcome::File(asked) => {
            let written = static_file::write(&mut passage, session, &asked, now).await;
            written_out(ctx, passage, written)
        }
        Outcome::Origin => {
            let carried = Carried { passage, role: Role::Visitor, continued: false, answered: None };
            to_origin(door, session, ctx, carried, miss, body).await
        }
    }
}

/// What the first door refuses by its head, where HTTP/2 has it too.
fn unwelcome(view: &View<'_>, max_header_size: usize) -> Option<Reason> {
    if matches!(view.method, "CONNECT" | "TRACE") {
        return Some(Reason::MethodRefused);
    }
    // Over HTTP/2 pingora can't say 100: one who would wait for it is told so (RFC 9110 §10.1.1).
    let is_known = |e: &str| e.eq_ignore_ascii_case("100-continue") && view.body == BodyKind::None;
    if view.field("expect").is_some_and(|e| !is_known(e)) {
        return Some(Reason::ExpectationFailed);
    }
    // Cookies may come in crumbs (RFC 9113 §8.2.3), and are one field to everyone behind here.
    if view.fields.iter().filter(|field| !field.name.eq_ignore_ascii_case("cookie")).count() >= MAX_FIELDS {
        return Some(Reason::HeaderTooLarge);
    }
    // RFC 9113 §6.5.2 counts 32 bytes a field more; the policy means what is sent.
    let size: usize = view.fields.iter().map(|f| f.name.len() + f.value.len() + 4).sum();
    (size + view.raw_path.len() > max_header_size).then_some(Reason::HeaderTooLarge)
}

async fn to_origin(
    door: &Arc<Door>,
    session: &mut Session,
    ctx: &mut Ctx,
    mut carried: Carried,
    miss: Option<(Box<[u8]>, Bytes)>,
    body: BodyKind,
) -> Result<bool> {
    if let Some((key, head)) = miss {
        match by_fill(door, session, &mut carried.passage, &key, head).await? {
            Filled::Answer(answer) => return finish(door, session, ctx, carried.passage, *answer).await,
            Filled::Follow(head, reader) => {
                let passage = &mut carried.passage;
                passage.because(Reason::Fill);
                ctx.body_out = reply::follow(passage, session, &head, reader).await.inspect_err(|e| {
                    let is_cut = *e.esource() == ErrorSource::Upstream;
                    passage.because(if is_cut { Reason::OriginFailed } else { Reason::ClientGone });
                })?;
                ctx.carried = Some(Box::new(carried));
                return Ok(true);
            }
            Filled::Alone => {}
        }
    }
    let is_whole = match read_ahead(session, body, carried.passage.site.policy.edge.buffer_body).await? {
        Ok(is_whole) => is_whole,
        Err(reason) => {
            let answer = carried.passage.fall_back(reason, Duration::from_secs(1), door.clock.now());
            return finish(door, session, ctx, carried.passage, answer).await;
        }
    };
    // Who may still send more shows by that whether they are there.
    let taken = if is_whole {
        tokio::select! {
            taken = filling::take_turn(door, &mut carried.passage) => taken,
            gone = left(session) => return Err(gone),
        }
    } else {
        filling::take_turn(door, &mut carried.passage).await
    };
    if let Err((reason, retry_after)) = taken {
        let answer = carried.passage.fall_back(reason, retry_after, door.clock.now());
        return finish(door, session, ctx, carried.passage, answer).await;
    }
    if let Some(visit) = &carried.passage.visit {
        let answered = carried.answered.insert(Answered::default());
        watch(visit.guest(), answered.clone());
    }
    ctx.carried = Some(Box::new(carried));
    Ok(false)
}

/// What a fill has for a visitor.
enum Filled {
    Answer(Box<Answer>),
    Follow(Arc<Head>, Reader),
    /// Nothing: they go to the origin alone.
    Alone,
}

/// Follows a fill, or begins it.
async fn by_fill(
    door: &Arc<Door>,
    session: &mut Session,
    passage: &mut Passage,
    key: &[u8],
    mut ask: Bytes,
) -> Result<Filled> {
    // Who finds that what was fetched is for another kind of request asks once more, with their like.
    // And who followed one that found no place asks for one as what they are.
    for again in [true, false] {
        let Some(reader) = filling::begin(door, passage, Miss { key, head: ask.clone() }) else { break };
        let head = tokio::select! {
            head = reader.head() => head,
            gone = left(session) => return Err(gone),
        };
        match head {
            Ok(head) if head.is_error() && passage.has_fallback(door.clock.now()) => {
                passage.copy.failed = Some(head.status);
                let answer = passage.fall_back(Reason::OriginFailed, Duration::ZERO, door.clock.now());
                // To its end: that is when those who come hear of it, rather than ask the origin again.
                filling::read_on(reader);
                return Ok(Filled::Answer(Box::new(answer)));
            }
            Ok(head) => {
                let suits = with_view(session, passage, |passage, view| {
                    let suits = filling::suits(passage, &head, &reader, view);
                    if !suits {
                        ask = filling::request_head(passage, view);
                    }
                    suits
                });
                if suits {
                    return fetched(door, session, passage, key, head, reader).await;
                }
            }
            Err(Missed::Refused(reason, _)) if again && reader.is_follower() && reason.is_of_asker() => {}
            Err(Missed::Refused(reason, retry_after)) => {
                let answer = passage.fall_back(reason, retry_after, door.clock.now());
                return Ok(Filled::Answer(Box::new(answer)));
            }
            Err(Missed::Alone) => break,
        }
    }
    Ok(Filled::Alone)
}

/// What a fill has fetched: that the visitor has it already, the parts they want, or all of it.
async fn fetched(
    door: &Door,
    session: &mut Session,
    passage: &mut Passage,
    key: &[u8],
    head: Arc<Head>,
    reader: Reader,
) -> Result<Filled> {
    let (now, collapsed) = (door.clock.now(), reader.is_follower());
    let unchanged =
        with_view(session, passage, |passage, view| filling::not_modified(passage, &head, view, collapsed, now));
    if let Some(answer) = unchanged {
        filling::read_on(reader);
        return Ok(Filled::Answer(Box::new(answer)));
    }
    if !passage.copy.range || head.status != 200 {
        return Ok(Filled::Follow(head, reader));
    }
    if !head.stored {
        // What is not kept is asked for in parts.
        return Ok(Filled::Alone);
    }
    let whole = tokio::select! {
        whole = filling::read_whole(passage, reader) => whole,
        gone = left(session) => return Err(gone),
    };
    let parts = with_view(session, passage, |passage, view| filling::parts(passage, key, &head, view, collapsed));
    Ok(parts.filter(|_| whole).map_or(Filled::Alone, |answer| Filled::Answer(Box::new(answer))))
}

/// Looks at the request's fields once more; where it was sent to has been looked at before.
fn with_view<T>(session: &Session, passage: &mut Passage, look: impl FnOnce(&mut Passage, &View<'_>) -> T) -> T {
    let request = session.req_header();
    let fields: Vec<Field<'_>> =
        request.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
    let host = passage.seen.as_ref().map(|seen| seen.host.clone()).unwrap_or_default();
    let view = View {
        method: request.method.as_str(),
        version: Version::Http2,
        scheme: passage.scheme,
        host: &host,
        path: request.uri.path(),
        raw_path: request.uri.path(),
        query: request.uri.query(),
        fields: &fields,
        client: passage.client,
        trusted: false,
        body: BodyKind::None,
    };
    look(passage, &view)
}

async fn finish(
    door: &Door,
    session: &mut Session,
    ctx: &mut Ctx,
    mut passage: Passage,
    answer: Answer,
) -> Result<bool> {
    passage.because(answer.reason);
    super::encode(door, &mut passage);
    let written = reply::write(&mut passage, session, answer).await;
    written_out(ctx, passage, written)
}

/// What was answered is over as far as the visitor is concerned.
fn written_out(ctx: &mut Ctx, passage: Passage, written: Result<u64>) -> Result<bool> {
    ctx.carried = Some(Box::new(Carried { passage, role: Role::Visitor, continued: false, answered: None }));
    ctx.body_out = written?;
    Ok(true)
}

/// Resolves when the client has reset the stream or closed the connection.
async fn left(session: &mut Session) -> Box<Error> {
    loop {
        match session.as_mut().read_body_or_idle(true).await {
            Ok(_) => {}
            Err(e) => return e.into_down(),
        }
    }
}

/// Reads a small body before a place at the origin is taken. Pingora keeps it and sends it on. True: there is no
/// more of it to come.
async fn read_ahead(
    session: &mut Session,
    body: BodyKind,
    buffer_body: usize,
) -> Result<std::result::Result<bool, Reason>> {
    let most = buffer_body.min(READ_AHEAD);
    match body {
        BodyKind::None => return Ok(Ok(true)),
        BodyKind::Length(length) if length > most as u64 => return Ok(Ok(false)),
        BodyKind::Length(_) | BodyKind::Stream => {}
    }
    session.as_mut().enable_retry_buffering();
    let timeout = session.as_ref().get_read_timeout().unwrap_or(Duration::from_secs(30));
    let mut read = 0;
    while read < most {
        match tokio::time::timeout(timeout, session.as_mut().read_request_body()).await {
            Ok(Ok(Some(piece))) => read += piece.len(),
            Ok(Ok(None)) => return Ok(Ok(true)),
            Ok(Err(e)) => return Err(e.into_down()),
            Err(_) => return Ok(Err(Reason::RequestTimeout)),
        }
    }
    Ok(Ok(false))
}
