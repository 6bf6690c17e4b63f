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
use crate::cache::entry::{Entry, State};
use crate::cache::fill_request::{self, Asking, nominated};
use crate::cache::freshen;
use crate::cache::freshness::{Exchange, ResponseParts, Store, Terms, judge, withheld};
use crate::cache::precondition::Precondition;
use crate::cache::request::Lookup;
use crate::cache::reuse::{Reuse, reuse};
use crate::cache::status::{CacheStatus, Forward};
use crate::cache::vary::{self, Selecting};
use crate::clock::Now;
use crate::pipeline::Flow;
use crate::pipeline::answer::{Answer, Content, Fields};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::stages::copies;
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
    match door.fills.join(&slot) {
        Joined::Alone => None,
        Joined::Follows(reader) => Some(reader),
        Joined::Leads(fill, reader) => {
            if replay(door, passage, &miss, &fill) {
                door.fills.remove(&slot, &fill);
                return Some(reader);
            }
            let writer = Writer::new(door.clone(), fill, slot, miss, passage.copy.validates.clone());
            tokio::spawn(run(door.clone(), passage.for_fill(), writer));
            Some(reader)
        }
    }
}

/// The place of a fill among those in flight. A visitor whose cookies or credentials may matter must not
/// follow a request that went without: the answer would be somebody else's page, or nobody's. Nor must
/// one who is known to get another variant.
fn slot(passage: &Passage, key: &[u8]) -> Box<[u8]> {
    let mut slot = key.to_vec();
    slot.push(match passage.copy.lookup {
        Some(Lookup::Personal) => 1,
        Some(Lookup::Authorized) => 2,
        _ => 0,
    });
    slot.extend_from_slice(&passage.copy.said);
    slot.into()
}

/// A fill may have ended between the look into the store and the look for fills: then its entry
/// is there by now, and this one needs no origin.
fn replay(door: &Door, passage: &Passage, miss: &Miss<'_>, fill: &Fill) -> bool {
    let now = door.clock.mono();
    let Some(lookup) = passage.copy.lookup else { return false };
    let mut room = room_for_fields();
    let Some(variants) = passage.site.store.get(miss.key) else { return false };
    let Some(entry) = variants.select(said(&miss.head, &mut room)) else { return false };
    if !entry.may_answer(lookup) || reuse(entry, &passage.copy.wishes, 1, now) != Reuse::Serve(State::Fresh) {
        return false;
    }
    let mut fields: Vec<_> =
        entry.fields().iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    fields.push(("age".to_owned(), entry.age_seconds(now).to_string().into_bytes()));
    let length = (entry.status() != 204).then_some(entry.body().len() as u64);
    let head = Head { status: entry.status(), fields, length, stored: true, ..Head::default() };
    fill.open(head, For::Everyone, true);
    fill.push(entry.body().clone());
    fill.close(true);
    true
}

/// Fields of a fill's request at most: those of a visitor's and a few more.
const MAX_FIELDS: usize = 256;

fn room_for_fields<'a>() -> Vec<Field<'a>> {
    vec![httparse::EMPTY_HEADER; MAX_FIELDS]
}

/// What a fill said to the origin.
fn said<'a, 'r>(head: &'a [u8], room: &'r mut Vec<Field<'a>>) -> &'r [Field<'a>] {
    let mut request = httparse::Request::new(room);
    let whole = request.parse(head).is_ok_and(|parsed| parsed.is_complete());
    let count = if whole { request.headers.len() } else { 0 };
    room.get(..count).unwrap_or_default()
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
/// particular unless the lookup is personal; or the question whether the copy held is still right.
pub fn request_head(passage: &Passage, view: &View<'_>) -> Bytes {
    let Some((lookup, cache)) = passage.copy.lookup.zip(passage.site.cache_of(passage.route())) else {
        return Bytes::new();
    };
    let origin = passage.site.policy.origins.get(passage.route().origin.0);
    let host = origin.and_then(|o| o.servers.first()).map_or("", |s| &s.host);
    let (directives, validates) = (passage.copy.wishes, passage.copy.validates.as_deref());
    fill_request::write(view, &Asking { lookup, cache, host, directives, validates })
}

/// Whether a follower may have what another's request was answered with. If not, its next fill is one among
/// those who say the same.
pub fn suits(passage: &mut Passage, head: &Head, reader: &Reader, view: &View<'_>) -> bool {
    if !reader.is_follower() || head.selecting.matches(view.fields) {
        return true;
    }
    passage.copy.said.clear();
    head.selecting.write(view.fields, &mut passage.copy.said);
    // The copy that was to be asked about is another's, too.
    passage.copy.validates = None;
    false
}

/// Reads a fill to its end for one who wants parts of it; whether that is worth its while.
pub async fn read_whole(passage: &Passage, mut reader: Reader) -> bool {
    let most = passage.site.cache_of(passage.route()).map_or(0, |cache| cache.max_object);
    let mut read = 0;
    while read <= most {
        match reader.next().await {
            Ok(Some(piece)) => read += piece.len(),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    false
}

/// The parts that a visitor asked for, of what a fill has just stored.
pub fn parts(passage: &Passage, key: &[u8], head: &Head, view: &View<'_>, collapsed: bool) -> Option<Answer> {
    let entry = passage.site.store.get(key)?.select(view.fields)?.clone();
    let content = copies::content(passage, view, entry, true);
    let status = cache_status(passage, head, collapsed);
    Some(Answer { reason: Reason::Fill, content, fields: Fields::new() }.with("cache-status", status))
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
    CacheStatus::Forward { why, status: head.said, stored: head.stored, collapsed }.to_string()
}

async fn run(door: Arc<Door>, passage: Passage, writer: Writer) {
    let fill = writer.fill.clone();
    tokio::select! {
        () = fill.until_abandoned() => {}
        () = ask(door, passage, writer) => {}
    }
}

async fn ask(door: Arc<Door>, mut passage: Passage, mut writer: Writer) {
    if let Err((reason, retry_after)) = take_turn(&door, &mut passage).await {
        return writer.refuse(reason, retry_after);
    }
    let Some(proxy) = door.proxy() else { return };
    passage.site.telemetry.fills.inc();
    writer.asked = door.clock.now();
    let sink = Sink { head: writer.request.clone(), fill: writer.fill.clone() };
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
    /// What it says to the origin.
    request: Bytes,
    /// The copy that it asks about.
    validates: Option<Arc<Entry>>,
    asked: Now,
    storing: Option<Storing>,
    /// Body bytes so far, and at most if the body is kept whole.
    bytes: usize,
    max: usize,
    /// Another writer has taken its fill over.
    handed_on: bool,
}

/// What is known of an entry to be, before its body is there.
struct Storing {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    terms: Terms,
    selecting: Selecting,
    arrived: Now,
    store: Arc<crate::cache::store::Store>,
    /// The body, where the origin said that it is still right.
    body: Option<Bytes>,
}

impl Writer {
    fn new(door: Arc<Door>, fill: Arc<Fill>, slot: Box<[u8]>, miss: Miss<'_>, validates: Option<Arc<Entry>>) -> Self {
        let asked = door.clock.now();
        let (key, request) = (miss.key.into(), miss.head);
        Self { door, fill, slot, key, request, validates, asked, storing: None, bytes: 0, max: 0, handed_on: false }
    }

    /// The origin was not asked, or gave no answer.
    pub fn refuse(&self, reason: Reason, retry_after: Duration) {
        if !self.handed_on {
            self.fill.refuse(reason, retry_after);
            self.door.fills.remove(&self.slot, &self.fill);
        }
    }

    /// The answer's head: judged, and opened to those it is for.
    pub fn head(&mut self, passage: &Passage, response: &ResponseHeader, now: Now) {
        let status = response.status.as_u16();
        let all: Vec<Field<'_>> =
            response.headers.iter().map(|(n, v)| Field { name: n.as_str(), value: v.as_bytes() }).collect();
        if status == 304 {
            return self.validated(passage, &ResponseParts { status, fields: &all }, now);
        }
        let streams = super::forward::is_stream(response);
        self.judge(passage, &ResponseParts { status, fields: &all }, streams, now);
        // Of an answer that ends with its head, pingora tells no body and no end.
        let empty = response.headers.get("content-length").is_some_and(|length| length.as_bytes() == b"0");
        if empty || status == 204 {
            self.end();
        }
    }

    fn judge(&mut self, passage: &Passage, response: &ResponseParts<'_>, streams: bool, now: Now) {
        let status = response.status;
        let length = response.text("content-length").and_then(|length| length.parse().ok());
        let fields = end_to_end(response.fields);
        // An event stream has no end, and begins where its reader came.
        if streams {
            return self.for_leader(Head { status, fields, length, ..Head::default() });
        }
        let exchange = Exchange { request: self.asked, response: now };
        let verdict = passage.copy.lookup.zip(passage.site.cache_of(passage.route()));
        let verdict = verdict.map(|(lookup, cache)| (judge(response, lookup, cache, exchange), cache));
        let selecting = self.selecting(passage, response);
        match (verdict, selecting) {
            (Some((Store::Yes(terms), cache)), Some(selecting)) if !self.stands_for_good(passage, status, now) => {
                let mut fields = fields;
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                self.max = cache.max_object;
                self.keep(passage, Kept { status, fields, length, terms, selecting, body: None }, now);
            }
            (Some((_, cache)), _) if is_error_for_all(status, response.fields, passage) => {
                // Those who asked together hear it together; who asks later asks anew.
                self.max = cache.max_object;
                self.door.fills.remove(&self.slot, &self.fill);
                self.fill.open(Head { status, fields, length, ..Head::default() }, For::Everyone, true);
            }
            _ => self.for_leader(Head { status, fields, length, ..Head::default() }),
        }
    }

    /// Opens an answer that an entry comes of.
    fn keep(&mut self, passage: &Passage, kept: Kept, now: Now) {
        let Kept { status, fields, length, terms, selecting, body } = kept;
        let store = passage.site.store.clone();
        let whole: Vec<Field<'_>> = fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
        let withheld = withheld(&ResponseParts { status, fields: &whole });
        let is_own = |(name, _): &(String, Vec<u8>)| withheld.iter().any(|own| own == name.as_bytes());
        let stored = fields.clone();
        let (own, fields) = fields.into_iter().partition(is_own);
        let said = body.is_some().then_some(304);
        let head = Head { status, fields, length, stored: true, own, selecting: selecting.clone(), said };
        self.storing = Some(Storing { status, fields: stored, terms, selecting, arrived: now, store, body });
        let mut whom = For::Everyone;
        if terms.is_for_one_use() {
            // Who comes from now on has to ask for themselves.
            self.door.fills.remove(&self.slot, &self.fill);
            if terms.must_revalidate && !terms.public {
                whom = For::Leader;
            }
        }
        self.fill.open(head, whom, true);
    }

    /// For which requests an answer is; none if it is for no other.
    fn selecting(&self, passage: &Passage, response: &ResponseParts<'_>) -> Option<Selecting> {
        let names = vary::names(response)?;
        // The level is told with each request, and is in no key.
        let level = passage.site.policy.level.header.as_ref();
        if level.is_some_and(|level| names.iter().any(|name| name.eq_ignore_ascii_case(level))) {
            return None;
        }
        Some(Selecting::of(&names, said(&self.request, &mut room_for_fields())))
    }

    /// An error that would take the place of a copy that is better than it (RFC 5861 §4).
    fn stands_for_good(&self, passage: &Passage, status: u16, now: Now) -> bool {
        if !super::fill::is_error(status) {
            return false;
        }
        let mut room = room_for_fields();
        let held = passage.site.store.get(&self.key);
        let held = held.as_ref().and_then(|variants| variants.select(said(&self.request, &mut room)));
        held.is_some_and(|entry| !super::fill::is_error(entry.status()) && entry.is_good_on_error(now.mono))
    }

    /// A 304: the copy is still right, and is what its fields now say (RFC 9111 §4.3.4).
    fn validated(&mut self, passage: &Passage, update: &ResponseParts<'_>, now: Now) {
        let Some(entry) = self.validates.take() else {
            // Nobody asked whether anything is still right.
            return self.refuse(Reason::OriginFailed, super::RETRY_AFTER_FAILURE);
        };
        if !freshen::is_about(&entry, update) {
            return self.ask_for_the_whole(passage);
        }
        let merged = freshen::merged(&entry, update);
        let parts = ResponseParts { status: entry.status(), fields: &freshen::borrowed(&merged) };
        let exchange = Exchange { request: self.asked, response: now };
        let verdict = passage.copy.lookup.zip(passage.site.cache_of(passage.route()));
        let verdict = verdict.map(|(lookup, cache)| (judge(&parts, lookup, cache, exchange), cache));
        let (status, mut fields) = (entry.status(), end_to_end(parts.fields));
        let body = entry.body().clone();
        let length = (status != 204).then_some(body.len() as u64);
        match (verdict, self.selecting(passage, &parts)) {
            (Some((Store::Yes(terms), cache)), Some(selecting)) => {
                if cache.strip_set_cookie {
                    fields.retain(|(name, _)| name != "set-cookie");
                }
                let body = Some(body.clone());
                self.keep(passage, Kept { status, fields, length, terms, selecting, body }, now);
            }
            _ => {
                entry.expire(now.mono);
                self.for_leader(Head { status, fields, length, said: Some(304), ..Head::default() });
            }
        }
        self.fill.push(body);
        self.end();
    }

    /// The origin's word was about something else than the copy: it is asked anew, for the whole, by another
    /// writer of the same fill (RFC 9111 §4.3.3).
    fn ask_for_the_whole(&mut self, passage: &Passage) {
        let miss = Miss { key: &self.key, head: unconditional(&self.request) };
        let writer = Self::new(self.door.clone(), self.fill.clone(), self.slot.clone(), miss, None);
        self.handed_on = true;
        tokio::spawn(run(self.door.clone(), passage.for_fill(), writer));
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
        if self.handed_on {
            return;
        }
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
        if let Some(mut storing) = self.storing.take()
            && let Some(body) = storing.body.take().or_else(|| self.fill.body())
        {
            let fields: Vec<Field<'_>> =
                storing.fields.iter().map(|(n, v)| Field { name: n, value: v.as_slice() }).collect();
            let response = ResponseParts { status: storing.status, fields: &fields };
            let entry = Entry::new(&response, body, storing.terms, storing.arrived);
            let entry = entry.for_requests(storing.selecting).asked_at(self.asked.mono);
            let mut room = room_for_fields();
            // In the store before it leaves the table: nobody asks the origin in between.
            let said = said(&self.request, &mut room);
            storing.store.insert(self.key.clone(), Arc::new(entry), said, storing.arrived.mono);
        }
        self.fill.close(true);
        self.door.fills.remove(&self.slot, &self.fill);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.refuse(Reason::OriginFailed, super::RETRY_AFTER_FAILURE);
    }
}

/// An answer to be kept, but for what is for one reader alone.
struct Kept {
    status: u16,
    fields: Vec<(String, Vec<u8>)>,
    length: Option<u64>,
    terms: Terms,
    selecting: Selecting,
    body: Option<Bytes>,
}

/// A request without its conditions.
fn unconditional(head: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(head.len());
    for line in head.split_inclusive(|b| *b == b'\n') {
        if !line.starts_with(b"if-none-match:") && !line.starts_with(b"if-modified-since:") {
            out.extend_from_slice(line);
        }
    }
    out.freeze()
}

/// An error of the origin's that is about nobody in particular.
fn is_error_for_all(status: u16, fields: &[Field<'_>], passage: &Passage) -> bool {
    super::fill::is_error(status)
        && passage.copy.lookup == Some(Lookup::Plain)
        && !fields.iter().any(|f| f.name == "set-cookie")
}

/// What may be passed on. The length is written anew by whoever sends the body.
fn end_to_end(fields: &[Field<'_>]) -> Vec<(String, Vec<u8>)> {
    let nominated = nominated(fields);
    fields
        .iter()
        .filter(|f| !is_hop_by_hop(f.name) && f.name != "content-length" && f.name != "seawall-room")
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
