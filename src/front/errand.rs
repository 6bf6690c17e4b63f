//! Requests that can't be answered between two reads: those with a body, those that wait for a
//! fill, a file or a place, and those that pingora takes to the origin.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use pingora::apps::HttpServerApp;
use pingora::protocols::http::ServerSession;

use super::connection::Connection;
use super::lent::Home;
use super::render::{self, Terms};
use super::static_file;
use super::stream::Conn;
use crate::files::Asked;
use crate::pipeline::answer::Answer;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::room::Inside;
use crate::pipeline::view::{BodyKind, Version};
use crate::proxy::{self, Answered, Carried, Role, outstays};

mod filled;

use filled::by_fill;

mod progress;

use progress::Progress;

/// A refused body up to this size is read to its end, so that the connection can be kept.
const DRAIN_BYTES: usize = 64 << 10;
/// And for so long at most.
const DRAIN: Duration = Duration::from_secs(1);
/// Bytes of early requests that are read while one waits for its turn.
const WATCHED_BYTES: usize = 16 << 10;

/// A request that takes time.
pub struct Errand {
    pub passage: Passage,
    pub then: Then,
    pub terms: Terms,
    pub body: BodyKind,
    /// It expects a 100 before it sends its body, and has not got one.
    pub expects_continue: bool,
    /// It has got one from us: the origin need not be asked.
    pub continued: bool,
    pub upgrade: bool,
    /// The head as it came.
    pub head: Bytes,
}

/// What is to be done.
#[expect(clippy::large_enum_variant, reason = "made once an errand, which is boxed")]
pub enum Then {
    Answer(Answer),
    File(Box<Asked>),
    /// Go to the origin; with a key and a head, by a fill.
    Origin(Option<(Box<[u8]>, Bytes)>),
}

/// Runs an errand. The connection comes back if it can take another request.
pub async fn run(on: Connection, mut errand: Errand) -> Option<Connection> {
    match std::mem::replace(&mut errand.then, Then::Origin(None)) {
        Then::Answer(answer) => answered(on, errand, answer).await,
        Then::File(asked) => static_file::give(on, errand, *asked).await,
        Then::Origin(Some((key, head))) => by_fill(on, errand, &key, head).await,
        Then::Origin(None) => alone(on, errand).await,
    }
}

/// Gives Seawall's own answer, with the request's body out of the way first.
pub(super) async fn answered(mut on: Connection, mut errand: Errand, answer: Answer) -> Option<Connection> {
    let drained = drain(&mut on.conn, &errand).await;
    errand.terms.keep_alive &= drained;
    let answer = proxy::snapshot_file::read(&errand.passage, answer).await;
    let (reason, status) = (answer.reason, answer.status());
    errand.terms.keep_alive &= !on.gives_up(reason, &errand.passage.site);
    let common = errand.passage.common_fields();
    let now = on.door.clock.now();
    let mut rendered = render::answer(&answer, &common, errand.terms, now, on.conn.out());
    let sent = on.send(&mut rendered.rest).await;
    errand.passage.finish(reason, status, rendered.body_bytes, on.door.clock.mono());
    sent.ok()?;
    if errand.terms.keep_alive {
        return Some(on);
    }
    on.linger().await;
    None
}

/// Goes to the origin for this visitor alone: the body first if it is small, then a place, then
/// pingora.
async fn alone(mut on: Connection, mut errand: Errand) -> Option<Connection> {
    let whole = match read_ahead(&mut on, &mut errand).await {
        Ok(whole) => whole,
        Err(Some(reason)) => {
            errand.terms.keep_alive = false;
            let answer = errand.passage.fall_back(reason, Duration::from_secs(1), on.door.clock.now());
            return answered(on, errand, answer).await;
        }
        Err(None) => return None,
    };
    let door = on.door.clone();
    let taken = tokio::select! {
        taken = proxy::take_turn(&door, &mut errand.passage) => taken,
        () = left(&mut on.conn) => return None,
    };
    if let Err((reason, retry_after)) = taken {
        let answer = errand.passage.fall_back(reason, retry_after, door.clock.now());
        return answered(on, errand, answer).await;
    }
    hand_over(on, errand, whole).await
}

/// Gives the connection to pingora for one request, and takes it back.
async fn hand_over(mut on: Connection, errand: Errand, whole: bool) -> Option<Connection> {
    let proxy = on.door.proxy()?.clone();
    let edge = &errand.passage.site.policy.edge;
    on.conn.show_message(errand.head, errand.body, errand.upgrade);
    on.conn.limit_stalls(edge.body_timeout);
    if errand.body != BodyKind::None && !whole {
        on.conn.keep_pace(edge.body_min_rate);
    }
    let keep_alive = errand.terms.keep_alive;
    let retiring = on.door.ends.retiring.clone();
    let answered = Answered::default();
    let carried = Carried {
        passage: errand.passage,
        role: Role::Visitor,
        continued: errand.continued,
        answered: Some(answered.clone()),
    };
    let Connection { door, conn, keeping } = on;
    let home = Home::default();
    let told = (errand.terms.version == Version::Http10).then(|| answered.clone());
    let mut session = ServerSession::new_http1(Box::new(home.lend(conn, told)));
    let guest = carried.passage.visit.as_ref().map(Inside::guest);
    let outstayed = async {
        match guest {
            Some(guest) => outstays(guest, &answered).await,
            None => std::future::pending().await,
        }
    };
    session.set_connection_user_context(Some(Box::new(carried)));
    // The loan ends with what the proxy returns: only then the connection is home.
    let passed = tokio::select! {
        passed = proxy.process_new_http(session, &retiring) => passed.is_some(),
        () = outstayed => return None,
    };
    let reusable = passed || answered.is_whole();
    let mut conn = home.take()?;
    (conn.take_back() && reusable && keep_alive).then_some(Connection { door, conn, keeping })
}

/// Reads a small body before a place at the origin is taken; whether all of it is here.
///
/// # Errors
/// Why it can't be had; none: the client is gone.
async fn read_ahead(on: &mut Connection, errand: &mut Errand) -> Result<bool, Option<Reason>> {
    let most = errand.passage.site.policy.edge.buffer_body;
    let small = match errand.body {
        BodyKind::None => return Ok(true),
        BodyKind::Length(length) => length <= most as u64,
        BodyKind::Stream => true,
    };
    if !small || errand.upgrade {
        return Ok(false);
    }
    if errand.expects_continue {
        on.conn.out().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        on.send(&mut Bytes::new()).await.map_err(|_| None)?;
        errand.expects_continue = false;
        errand.continued = true;
    }
    let patience = errand.passage.site.policy.edge.body_timeout;
    let mut progress = Progress::new(errand.body);
    loop {
        if progress.see(on.conn.early()).map_err(|_| Some(Reason::BadRequest))? {
            return Ok(true);
        }
        if progress.seen > most {
            // A stream that is not small after all; what was read is sent on with the rest.
            return Ok(false);
        }
        match tokio::time::timeout(patience, on.conn.fill()).await {
            Ok(Ok(1..)) => {}
            Ok(_) => return Err(None),
            Err(_) => return Err(Some(Reason::RequestTimeout)),
        }
    }
}

/// Reads a refused request's body to its end, where that is cheap; whether it was.
pub(super) async fn drain(conn: &mut Conn, errand: &Errand) -> bool {
    match errand.body {
        BodyKind::None => return true,
        // Nothing was promised, and what the client now does is its own choice.
        _ if errand.expects_continue => return false,
        BodyKind::Length(length) if length > DRAIN_BYTES as u64 => return false,
        _ => {}
    }
    let mut progress = Progress::new(errand.body);
    let drained = tokio::time::timeout(DRAIN, async {
        loop {
            if progress.see(conn.early())? {
                return Ok(());
            }
            if progress.seen > DRAIN_BYTES || conn.fill().await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    });
    let drained: Result<Result<(), io::Error>, _> = drained.await;
    if !matches!(drained, Ok(Ok(()))) {
        return false;
    }
    let body = progress.seen;
    let _ = conn.early().split_to(body);
    true
}

/// Resolves when the client has left.
async fn left(conn: &mut Conn) {
    let most = conn.early().len() + WATCHED_BYTES;
    while conn.early().len() < most {
        if !matches!(conn.fill().await, Ok(1..)) {
            return;
        }
    }
    std::future::pending().await
}
