//! What the cache holds for a request: the answer, or what is known on the way to the origin.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use compact_str::ToCompactString;

use crate::cache::directives::Directives;
use crate::cache::entry::{Entry, State};
use crate::cache::fill_request::is_nobodys;
use crate::cache::key::{self, Encodings};
use crate::cache::precondition::{Precondition, Validators, parts_asked};
use crate::cache::range::{self, Partial};
use crate::cache::remembered::{Failure, Known};
use crate::cache::request::{Bypass, Lookup, read};
use crate::cache::reuse::{Reuse, granted, reuse};
use crate::cache::status::{CacheStatus, Forward};
use crate::cache::variants::Variants;
use crate::clock::Now;
use crate::pipeline::Flow;
use crate::pipeline::answer::{Answer, Content, Fields};
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::site::Site;
use crate::pipeline::view::View;
use crate::policy::{Level, Mode};
use crate::snapshot::address::Address;

/// When to come back to an origin that failed a moment ago.
const RETRY_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Times as long as otherwise a copy is served while a new one is fetched, from `elevated` on: an origin
/// under pressure may take its time with it.
const STALE_STRETCH: u32 = 2;

/// Of so many requests one counts for what is popular.
const COUNTED_ONE_IN: u64 = 8;

thread_local! {
    /// The last key that was only looked up: its memory is the next one's.
    static KEY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A copy, where one answers; otherwise notes what is held for those who ask the origin.
pub(super) fn find(passage: &mut Passage, site: &Site, view: &View<'_>, now: Now) -> Option<Flow> {
    let rules = site.cache_of(site.route(passage.route_id()))?;
    let asked = read(view, rules);
    passage.copy.lookup = Some(asked.lookup);
    let written = site.written(view, rules, now);
    passage.copy.newer_than = written;
    if let Lookup::Bypass(why) = asked.lookup {
        passage.copy.forwarded = Some(if why == Bypass::Method { Forward::Method } else { Forward::Bypass });
        return None;
    }
    let wishes = if asked.wishes { Directives::of(view) } else { Directives::default() };
    let wishes = granted(wishes, rules.request_directives, passage.level);
    let mut bytes = KEY.take();
    key::write(&mut bytes, view, rules, &passage.origin().name);
    let held = site.store.get_hot(&bytes, now.mono);
    let entry = held.as_ref().and_then(|variants| variants.select(view.fields)).cloned();
    let too_old = entry.as_ref().is_some_and(|entry| written.is_some_and(|at| entry.mark().stamp() <= at));
    let entry = entry.filter(|_| !too_old);
    let verdict = match &entry {
        Some(entry) => judge(passage, entry, asked.lookup, &wishes, now),
        None if too_old => Reuse::Ask(Forward::Request),
        None => Reuse::Ask(if held.is_some() { Forward::VaryMiss } else { Forward::UriMiss }),
    };
    passage.copy.forwarded = Some(Forward::Stale);
    match (verdict, entry) {
        (Reuse::Serve(state), Some(entry)) => {
            // A part is one of the whole as it came.
            let may_be_coded = rules.compress && !asked.range && entry.codings().is_some();
            let coded = may_be_coded.then(|| coded(passage, view, &entry, &bytes)).flatten();
            // What a visitor is given only because nobody is to be asked, they can't renew.
            let is_theirs = entry.may_answer(asked.lookup);
            if state == State::StaleWhileRevalidate && is_theirs && matches!(passage.mode, Mode::Pass | Mode::Stale) {
                ask_about(passage, view, &entry, held.as_deref());
                passage.copy.name(view, rules);
                passage.copy.key = Some(bytes.as_slice().into());
            }
            KEY.set(bytes);
            Some(Flow::Respond(answer(passage, view, entry, state, coded, asked.range, now)))
        }
        (Reuse::Serve(_), None) => None,
        (Reuse::Ask(why), entry) => {
            passage.copy.forwarded = Some(why);
            if wishes.only_if_cached {
                // RFC 9111 §5.2.1.7.
                return Some(Flow::Respond(super::refusal(passage, view, Reason::NotCached)));
            }
            passage.copy.wishes = wishes;
            passage.copy.range = asked.range;
            ask(passage, view, entry, held.as_deref());
            super::stand_in(passage, view);
            passage.copy.name(view, rules);
            let still = |asked| passage.copy.holds(asked, site.store.purges());
            if matches!(passage.mode, Mode::Pass | Mode::Stale)
                && let Some(Known::Failed(failure)) =
                    site.remembered.of(&mut bytes, asked.lookup, &passage.copy.said, now.mono, still)
            {
                return Some(Flow::Respond(failed(passage, failure, now)));
            }
            if view.method == "GET" && !wishes.no_store {
                passage.copy.key = Some(bytes.into());
            } else if view.method == "HEAD" && !wishes.no_store && is_nobodys(view, rules) {
                passage.copy.renews = Some(bytes.into());
            }
            None
        }
    }
}

/// A copy in the coding that the client takes; one that is not made yet is made for those who come next.
fn coded(passage: &mut Passage, view: &View<'_>, entry: &Arc<Entry>, key: &[u8]) -> Option<Arc<Entry>> {
    let accepted = Encodings::of(view.fields);
    passage.copy.encode = entry.to_be_coded(key, accepted);
    entry.coded_for(accepted)
}

/// The page that a request speaks for, if it is one of the sample by which the popular ones are found.
pub(super) fn counts_for(passage: &Passage, view: &View<'_>) -> Option<Box<Address>> {
    let is_shown = matches!(passage.route().mode.last(), Some(Mode::Snapshot | Mode::Newest));
    let in_sample = passage.site.policy.snapshot.is_some() && passage.id.lot().is_multiple_of(COUNTED_ONE_IN);
    let counts = in_sample && is_shown && view.method == "GET";
    counts.then(|| Box::new(Address { host: key::host(view).to_owned(), target: view.target() }))
}

/// Whether this copy answers, by what the request wishes and by what the level prefers.
fn judge(passage: &Passage, entry: &Entry, lookup: Lookup, wishes: &Directives, now: Now) -> Reuse {
    let stretch = if passage.level >= Level::Elevated { STALE_STRETCH } else { 1 };
    let allowed = entry.may_answer(lookup);
    let verdict = if allowed { reuse(entry, wishes, stretch, now.mono) } else { Reuse::Ask(Forward::Miss) };
    let any_age = matches!(passage.mode, Mode::Stale | Mode::Newest | Mode::Snapshot);
    // Where the policy prefers any copy to the origin, a visitor's own cookies don't matter: the copy is
    // nobody's.
    let is_nobodys = allowed || lookup == Lookup::Personal;
    match verdict {
        // What was written since is not given again before the origin has said that it is right (RFC 9111 §4.4),
        // unless nobody is going to be asked.
        Reuse::Ask(_) if passage.mode == Mode::Stale && entry.is_outdated() => verdict,
        Reuse::Ask(_) if any_age && is_nobodys && !entry.terms().must_revalidate => {
            let window = entry.terms().stale_while_revalidate.saturating_mul(stretch);
            Reuse::Serve(entry.state_within(now.mono, window))
        }
        verdict => verdict,
    }
}

/// Notes what is held for one who asks the origin.
fn ask(passage: &mut Passage, view: &View<'_>, entry: Option<Arc<Entry>>, held: Option<&Variants>) {
    let lookup = passage.copy.lookup;
    let answers = |entry: &Arc<Entry>| lookup.is_some_and(|lookup| entry.may_answer(lookup));
    match &entry {
        Some(entry) if answers(entry) => ask_about(passage, view, entry, held),
        _ => tell_apart(passage, view, held),
    }
    // Who shows credentials is never given what is not for such as they.
    passage.copy.fallback = entry.filter(|entry| answers(entry) || lookup == Some(Lookup::Personal));
}

/// The answer where the origin failed a moment ago and is not asked again yet: what there is of a copy,
/// else the failure.
fn failed(passage: &mut Passage, failure: Failure, now: Now) -> Answer {
    match failure {
        Failure::Answer(entry) if !passage.has_fallback(now) => {
            let age = entry.age_seconds(now.mono).to_compact_string();
            let answer = Answer { reason: Reason::OriginError, content: Content::Copy(entry), fields: Fields::new() };
            answer.with("age", age).with("cache-status", "Seawall; hit; detail=negative")
        }
        failure => passage.fall_back(failure.reason(), RETRY_AFTER_FAILURE, now),
    }
}

fn ask_about(passage: &mut Passage, view: &View<'_>, entry: &Arc<Entry>, held: Option<&Variants>) {
    passage.copy.validates = entry.can_be_validated().then(|| entry.clone());
    tell_apart(passage, view, held);
}

/// Requests that are known to get different answers are not to wait for one another.
fn tell_apart(passage: &mut Passage, view: &View<'_>, held: Option<&Variants>) {
    if let Some(selecting) = held.and_then(Variants::selecting) {
        passage.copy.said.clear();
        selecting.write(view.fields, &mut passage.copy.said);
    }
}

/// The answer from a copy: the whole, a part, or that the client has it. What it is worth now only the entry
/// itself knows, whichever of its codings is given.
fn answer(
    passage: &Passage,
    view: &View<'_>,
    entry: Arc<Entry>,
    state: State,
    coded: Option<Arc<Entry>>,
    range: bool,
    now: Now,
) -> Answer {
    let reason = if state == State::Fresh { Reason::Hit } else { Reason::Stale };
    let status = CacheStatus::Hit { ttl: entry.ttl_seconds(now.mono) };
    let age = entry.age_seconds(now.mono).to_compact_string();
    let content = content(passage, view, coded.unwrap_or(entry), range);
    let fields = Fields::from_iter([("age", age), ("cache-status", status.text())]);
    Answer { reason, content, fields }
}

/// What a client needs of a copy.
pub(crate) fn content(passage: &Passage, view: &View<'_>, entry: Arc<Entry>, range: bool) -> Content {
    if entry.precondition(view) == Precondition::NotModified {
        return Content::NotModified(entry);
    }
    let part = if range { part(passage, view, &entry) } else { None };
    match part {
        Some(part) => Content::Part(entry, Box::new(part)),
        None => Content::Copy(entry),
    }
}

/// RFC 9110 §14.2: of a 200, and only while the client's other parts are of the same whole.
fn part(passage: &Passage, view: &View<'_>, entry: &Entry) -> Option<Partial> {
    // RFC 9110 §8.8.1: a date that several codings have is not by which parts of one may be joined.
    let in_codings = entry.codings().is_some();
    let validators =
        Validators { last_modified: entry.validators().last_modified.filter(|_| !in_codings), ..entry.validators() };
    let line = parts_asked(view, &validators).filter(|_| entry.status() == 200)?;
    Partial::of(&range::parse(line, entry.body().len()), entry.body(), entry.fields(), passage.id)
}
