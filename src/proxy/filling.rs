//! Running a fill: a request of its own through pingora's proxy, over an IO that swallows what
//! pingora writes, while the hooks tee the answer to the readers and into the cache.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::apps::HttpServerApp;
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;

use super::fill::{Fill, For, Head, Joined, Reader};
use super::forward::is_hop_by_hop;
use super::sink::Sink;
use super::{Carried, Door, Role};
use crate::cache::entry::{Entry, Precondition, State};
use crate::cache::freshness::{Exchange, ResponseParts, Store, Terms, judge};
use crate::cache::key::Encodings;
use crate::cache::purge::{Mark, Names, Stamp};
use crate::cache::request::Lookup;
use crate::cache::status::{CacheStatus, Forward};
use crate::cache::{tags, version};
use crate::clock::Now;
use crate::pipeline::Flow;
use crate::pipeline::answer::{Answer, Content, Fields, write_field};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::view::{Field, View};

/// How long a key is remembered as personal: its readers then don't wait for one another.
const PERSONAL_FOR: Duration = Duration::from_secs(10);
/// Keys remembered as personal at most.
const PERSONAL_KEYS: u64 = 100_000;

pub(super) fn personal_keys() -> moka::sync::Cache<Box<[u8]>, ()> {
    moka::sync::Cache::builder().max_capacity(PERSONAL_KEYS).time_to_live(PERSONAL_FOR).build()
}

/// A miss that may be coalesced.
pub struct Miss<'a> {
    pub key: &'a [u8],
    /// The request for the origin: a bare GET with the fields that may shape the answer.
    pub head: Bytes,
}

/// Follows the fill of this key, or begins it. None: go to the origin alone.
pub fn begin(door: &Arc<Door>, passage: &Passage, miss: Miss<'_>) -> Option<Reader> {
    let slot = slot(passage, miss.key);
    if door.personal.contains_key(&slot) {
        return None;
    }
    let (copy, purges) = (&passage.copy, passage.site.store.purges());
    match door.fills.join(&slot, |fill| fill.asked.is_current(&copy.names, purges, copy.newer_than)) {
        Joined::Alone => None,
        Joined::Follows(reader) => Some(reader),
        Joined::Leads(fill, reader) => {
            if replay(door, passage, miss.key, &fill) {
                door.fills.remove(&slot, &fill);
                return Some(reader);
            }
            let names = passage.copy.names.clone();
            let writer = Writer::new(door.clone(), fill, slot, miss.key.into(), names);
            let run = run(door.clone(), passage.for_fill(), writer, miss.head);
            tokio::spawn(run);
            Some(reader)
        }
    }
}

/// The place of a fill among those in flight. A visitor whose cookies may matter must not follow a
/// request that went without: the answer would be somebody else's page, or nobody's.
fn slot(passage: &Passage, key: &[u8]) -> Box<[u8]> {
    let mut slot = key.to_vec();
    slot.push(u8::from(passage.copy.lookup == Some(Lookup::Personal)));
    slot.into()
}

/// A fill may have ended between the look into the store and the look for fills: then its entry
/// is there by now, and this one needs no origin.
fn replay(door: &Door, passage: &Passage, key: &[u8], fill: &Fill) -> bool {
    let now = door.clock.mono();
    let Some(lookup) = passage.copy.lookup else { return false };
    let Some(entry) = passage.site.store.get(key) else { return false };
    let too_old = passage.copy.newer_than.is_some_and(|written| entry.mark().stamp() <= written);
    if entry.state(now) != State::Fresh || !entry.may_answer(lookup) || too_old {
        return false;
    }
    let mut fields: Vec<_> =
        entry.fields().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    fields.push(("age".to_owned(), entry.age_seconds(now).to_string().into_bytes()));
    let length = (entry.status() != 204).then_some(entry.body().len() as u64);
    fill.open(Head { status: entry.status(), fields, length, stored: true }, For::Everyone, true);
    fill.push(entry.body().clone());
    fill.close(true);
    true
}

/// Fetches in the background what was answered from a stale copy.
pub fn refresh(door: &Arc<Door>, passage: &Passage, miss: Miss<'_>) {
    if let Some(reader) = begin(door, passage, miss) {
        read_on(reader);
    }
}

/// Reads a fill to its end for nobody, so that it is not abandoned. Whoever followed another's just
/// leaves: one reader a fill is enough, however many stale copies are given meanwhile.
pub fn read_on(mut reader: Reader) {
    if reader.is_follower() {
        return;
    }
    tokio::spawn(async move {
        if reader.head().await.is_ok() {
            while let Ok(Some(_)) = reader.next().await {}
        }
    });
}

/// The request that a fill sends for this visitor: a GET for the whole, asked for by nobody in
/// particular unless the lookup is personal.
pub fn request_head(passage: &Passage, view: &View<'_>) -> Bytes {
    let mut out = BytesMut::with_capacity(512);
    let personal = passage.copy.lookup == Some(Lookup::Personal);
    out.extend_from_slice(b"GET ");
    out.extend_from_slice(view.target().as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    // Only HTTP/1.0 may come without a host; the origin needs one.
    let origin = passage.site.policy.origins.get(passage.route().origin.0);
    let host =
        if view.host.is_empty() { origin.and_then(|o| o.servers.first()).map_or("", |s| &s.host) } else { view.host };
    write_field("host", host, &mut out);
    let nominated = nominated(view.fields);
    for field in view.fields {
        let name = field.name.to_ascii_lowercase();
        let wanted = match name.as_str() {
            "cookie" => personal,
            // The fill asks for the whole, and for what its key says.
            "host" | "range" | "accept-encoding" | "expect" | "content-length" | "authorization" => false,
            "if-match" | "if-none-match" | "if-modified-since" | "if-unmodified-since" | "if-range" => false,
            name => !is_hop_by_hop(name) && !nominated.iter().any(|n| n == name),
        };
        if wanted {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(field.value);
            out.extend_from_slice(b"\r\n");
        }
    }
    write_field("accept-encoding", Encodings::of(view).field(), &mut out);
    out.extend_from_slice(b"\r\n");
    out.freeze()
}

/// The answer to a visitor whose own copy is what the fill has just fetched (RFC 9110 §13.2.2): the
/// fill asked for the whole, since others may need it.
pub fn not_modified(passage: &Passage, head: &Head, view: &View<'_>, collapsed: bool, now: Now) -> Option<Answer> {
    let is_condition = |f: &&Field<'_>| {
        f.name.eq_ignore_ascii_case("if-none-match") || f.name.eq_ignore_ascii_case("if-modified-since")
    };
    if !head.stored || !view.fields.iter().any(|f| is_condition(&f)) {
        return None;
    }
    let answered: Vec<Field<'_>> = head.fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
    let parts = ResponseParts { status: head.status, fields: &answered };
    let entry = Entry::new(&parts, Bytes::new(), Terms::default(), now);
    if entry.precondition(view) == Precondition::Full {
        return None;
    }
    let status = cache_status(passage, head, collapsed);
    let content = Content::NotModified(Arc::new(entry));
    Some(Answer { reason: Reason::Fill, content, fields: Fields::new() }.with("cache-status", status))
}

/// Cache-Status (RFC 9211) of a fill's answer.
pub fn cache_status(passage: &Passage, head: &Head, collapsed: bool) -> String {
    let why = passage.copy.forwarded.unwrap_or(Forward::Miss);
    CacheStatus::Forward { why, stored: head.stored, collapsed }.to_string()
}

async fn run(door: Arc<Door>, passage: Passage, writer: Writer, head: Bytes) {
    let fill = writer.fill.clone();
    tokio::select! {
        () = fill.until_abandoned() => {}
        () = ask(door, passage, writer, head) => {}
    }
}

async fn ask(door: Arc<Door>, mut passage: Passage, mut writer: Writer, head: Bytes) {
    if let Err((reason, retry_after)) = take_turn(&door, &mut passage).await {
        return writer.refuse(reason, retry_after);
    }
    let Some(proxy) = door.proxy() else { return };
    passage.site.telemetry.fills.inc();
    writer.ask(&passage);
    let sink = Sink { head, fill: writer.fill.clone() };
    let mut session = ServerSession::new_http1(Box::new(sink));
    let carried = Carried { passage, role: Role::Fill(Box::new(writer)), continued: false, answered: None };
    session.set_connection_user_context(Some(Box::new(carried)));
    proxy.process_new_http(session, &door.shutdown).await;
}

/// Waits for a place at the origin, as long as patience lasts.
pub async fn take_turn(door: &Door, passage: &mut Passage) -> Result<(), (Reason, Duration)> {
    let asked = door.clock.now();
    match passage.turn(asked) {
        Flow::Continue => Ok(()),
        Flow::Wait(turn) => {
            let patience = turn.patience(asked.mono);
            let outcome = tokio::time::timeout(patience, turn).await;
            passage.queued = door.clock.mono().since(asked.mono);
            match outcome {
                Ok(Ok(permit)) => {
                    passage.permit = Some(permit);
                    Ok(())
                }
                Ok(Err(reason)) => Err((reason, passage.origin().retry_after(door.clock.mono()))),
                Err(_) => Err((Reason::QueueTimeout, passage.origin().retry_after(door.clock.mono()))),
            }
        }
        Flow::Respond(answer) => Err((answer.reason, passage.origin().retry_after(asked.mono))),
    }
}

/// The origin's side of a fill. Dropped before the body's end, it ends the fill as failed.
pub struct Writer {
    door: Arc<Door>,
    fill: Arc<Fill>,
    slot: Box<[u8]>,
    key: Box<[u8]>,
    names: Names,
    asked: Now,
    stamp: Stamp,
    storing: Option<Storing>,
    /// Body bytes so far, and at most if the body is kept whole.
    bytes: usize,
    max: usize,
}

/// What is known of an entry to be, before its body is there.
struct Storing {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    terms: Terms,
    arrived: Now,
    mark: Mark,
    store: Arc<crate::cache::store::Store>,
}

impl Writer {
    fn new(door: Arc<Door>, fill: Arc<Fill>, slot: Box<[u8]>, key: Box<[u8]>, names: Names) -> Self {
        let asked = door.clock.now();
        Self { door, fill, slot, key, names, asked, stamp: Stamp::ZERO, storing: None, bytes: 0, max: 0 }
    }

    /// The request goes to the origin now: what is purged from here on is purged of its answer.
    fn ask(&mut self, passage: &Passage) {
        self.asked = self.door.clock.now();
        self.stamp = passage.site.store.purges().stamp(self.asked.mono);
        self.fill.asked.set(self.stamp);
    }

    /// The origin was not asked, or gave no answer.
    pub fn refuse(&self, reason: Reason, retry_after: Duration) {
        self.fill.refuse(reason, retry_after);
        self.door.fills.remove(&self.slot, &self.fill);
    }

    /// The answer's head: judged, and opened to those it is for.
    pub fn head(&mut self, passage: &Passage, response: &ResponseHeader, now: Now) {
        self.judge(passage, response, now);
        // Of an answer that ends with its head, pingora tells no body and no end.
        let empty = response.headers.get("content-length").is_some_and(|length| length.as_bytes() == b"0");
        if empty || matches!(response.status.as_u16(), 204 | 304) {
            self.end();
        }
    }

    fn judge(&mut self, passage: &Passage, response: &ResponseHeader, now: Now) {
        let status = response.status.as_u16();
        let all: Vec<Field<'_>> =
            response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
        let verdict = passage.copy.lookup.zip(passage.site.cache_of(passage.route())).map(|(lookup, cache)| {
            let exchange = Exchange { request: self.asked, response: now };
            (judge(&ResponseParts { status, fields: &all }, lookup, cache, exchange), cache)
        });
        let mut fields = end_to_end(&all);
        let length = all.iter().find(|f| f.name == "content-length").and_then(|f| text(f.value)?.parse().ok());
        match verdict {
            // An event stream has no end, and begins where its reader came.
            _ if super::forward::is_stream(response) => self.for_leader(Head { status, fields, length, stored: false }),
            Some((Store::Yes(terms), cache)) => {
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                let store = passage.site.store.clone();
                let kept = fields.clone();
                self.max = cache.max_object;
                let (tags, known) = tags::of(&ResponseParts { status, fields: &all }, self.names.host());
                let mark = Mark::new(self.stamp, &self.names, &tags, known);
                self.fill.asked.tag((tags, known));
                self.storing = Some(Storing { status, fields: kept, terms, arrived: now, mark, store });
                self.fill.open(Head { status, fields, length, stored: true }, For::Everyone, true);
            }
            Some((_, cache)) if is_error_for_all(status, &all, passage) => {
                // Those who asked together hear it together; who asks later asks anew.
                self.max = cache.max_object;
                self.door.fills.remove(&self.slot, &self.fill);
                self.fill.open(Head { status, fields, length, stored: false }, For::Everyone, true);
            }
            _ => self.for_leader(Head { status, fields, length, stored: false }),
        }
    }

    /// Whoever asks next does not wait to hear that this is not for them.
    fn for_leader(&mut self, head: Head) {
        // An error says nothing of what comes after it.
        if head.status < 400 {
            self.door.personal.insert(self.slot.clone(), ());
        }
        self.door.fills.remove(&self.slot, &self.fill);
        self.fill.open(head, For::Leader, false);
    }

    /// A piece of the body, or its end.
    pub fn body(&mut self, piece: Option<&Bytes>, end: bool) {
        if let Some(piece) = piece {
            self.bytes = self.bytes.saturating_add(piece.len());
            if self.bytes > self.max && self.max > 0 {
                self.max = 0;
                self.storing = None;
                self.door.personal.insert(self.slot.clone(), ());
                self.door.fills.remove(&self.slot, &self.fill);
                self.fill.let_go();
            }
            self.fill.push(piece.clone());
        }
        if end {
            self.end();
        }
    }

    fn end(&mut self) {
        if let Some(storing) = self.storing.take()
            && let Some(body) = self.fill.body()
        {
            let fields: Vec<Field<'_>> =
                storing.fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
            let response = ResponseParts { status: storing.status, fields: &fields };
            let entry = Entry::new(&response, body, storing.terms, storing.arrived).marked(storing.mark);
            // In the store before it leaves the table: nobody asks the origin in between.
            storing.store.insert(self.key.clone(), Arc::new(entry));
        }
        self.fill.close(true);
        self.door.fills.remove(&self.slot, &self.fill);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.fill.refuse(Reason::OriginFailed, super::RETRY_AFTER_FAILURE);
        self.door.fills.remove(&self.slot, &self.fill);
    }
}

/// An error of the origin's that is about nobody in particular.
fn is_error_for_all(status: u16, fields: &[Field<'_>], passage: &Passage) -> bool {
    super::fill::is_error(status)
        && passage.copy.lookup == Some(Lookup::Plain)
        && !fields.iter().any(|f| f.name == "set-cookie")
}

fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok()
}

/// The fields that Connection names as this connection's own (RFC 9110 §7.6.1).
fn nominated(fields: &[Field<'_>]) -> Vec<String> {
    let options = fields.iter().filter(|f| f.name.eq_ignore_ascii_case("connection"));
    let names = options.filter_map(|f| text(f.value)).flat_map(|v| v.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

/// What may be passed on. The length is written anew by whoever sends the body.
fn end_to_end(fields: &[Field<'_>]) -> Vec<(String, Vec<u8>)> {
    let nominated = nominated(fields);
    fields
        .iter()
        .filter(|f| !is_hop_by_hop(f.name) && f.name != "content-length" && f.name != "seawall-room")
        .filter(|f| !tags::is_hidden(f.name) && f.name != version::FIELD)
        .filter(|f| !nominated.iter().any(|n| n == f.name))
        .map(|f| (f.name.to_owned(), f.value.to_vec()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_reader_that_nobody_waits_for_keeps_a_fill_and_only_one() {
        let (fill, leader) = Fill::begin();
        let follower = fill.follow();
        read_on(leader);
        read_on(follower.unwrap());
        assert_eq!(fill.readers(), 1);
        fill.refuse(Reason::OriginFailed, Duration::ZERO);
        fill.until_abandoned().await;
    }
}
