//! What was learned of a key that gave no copy: the origin failed, or its answer is not to be shared.
//!
//! A failure is remembered for `negative_ttl`, so that a crowd that finds nothing costs the origin one
//! request in that time and not one each. It stands in for no copy: whoever has one gives that. An
//! answer that is not shared is remembered as such, so that nobody waits to hear so again.
//!
//! Not pure in the one respect in which [`super::store`] is not: moka drops by its own clock what is
//! of no more use. Whether something still holds is decided with the caller's `now`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::entry::Entry;
use super::freshness::{ResponseParts, is_for_others};
use super::purge::Stamp;
use super::request::Lookup;
use crate::clock::Mono;
use crate::pipeline::reason::Reason;

/// How long it is remembered that an answer is not to be shared.
pub const UNSHARED_FOR: Duration = Duration::from_secs(10);
/// The largest body of a failure that is repeated; of a larger one only the fact is remembered.
pub const FAILURE_BODY_MAX: usize = 64 << 10;
/// Bytes for all that is remembered: the least recently used goes first.
const MEMORY: u64 = 16 << 20;
/// What one costs beside its bytes.
const OVERHEAD: usize = 256;

/// As [`slot`] makes it.
pub type Slot = Box<[u8]>;

/// What is known of a key.
#[derive(Clone, Debug)]
pub enum Known {
    /// The origin failed; it is not asked again yet.
    Failed(Failure),
    /// Each goes to the origin alone.
    Unshared,
    /// There was no place at the origin to renew a stale copy; it is not tried again yet.
    Shed,
}

/// How the origin failed.
#[derive(Clone, Debug)]
pub enum Failure {
    /// With an answer that may be repeated.
    Answer(Arc<Entry>),
    /// With none, or with one that is nobody else's.
    Because(Reason),
}

impl Failure {
    /// The failure behind a reason, if it is the origin's: a want of places is not.
    pub fn of(reason: Reason) -> Option<Self> {
        let is_origins = matches!(
            reason,
            Reason::OriginUnreachable | Reason::OriginTimeout | Reason::OriginFailed | Reason::OriginError
        );
        is_origins.then_some(Self::Because(reason))
    }

    /// Why an answer that stands in for it is what it is.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Answer(_) => Reason::OriginError,
            Self::Because(reason) => *reason,
        }
    }
}

/// Whether an error of the origin's may be repeated to others than those who waited for it. What may
/// not be stored may not (RFC 9111 §3); one in a coding, or that differs by what was asked, is not for
/// everyone.
pub fn is_repeatable(response: &ResponseParts<'_>) -> bool {
    let mut varies = response.values("vary").flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii);
    is_for_others(response)
        && response.values("set-cookie").next().is_none()
        && response.values("content-encoding").next().is_none()
        && varies.all(|name| {
            name.is_empty() || name.eq_ignore_ascii_case(b"accept-encoding") || name.eq_ignore_ascii_case(b"cookie")
        })
}

#[derive(Clone, Debug)]
struct Note {
    known: Known,
    asked: Stamp,
    until: Mono,
    keep: Duration,
}

/// What is remembered of all keys.
#[derive(Clone, Debug)]
pub struct Remembered {
    notes: Cache<Slot, Note>,
}

impl Default for Remembered {
    fn default() -> Self {
        let notes = Cache::builder()
            .max_capacity(MEMORY)
            .weigher(|key: &Slot, note: &Note| {
                let body = match &note.known {
                    Known::Failed(Failure::Answer(entry)) => entry.weight(),
                    _ => 0,
                };
                body.saturating_add(u32::try_from(key.len() + OVERHEAD).unwrap_or(u32::MAX))
            })
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(AsLongAsItHolds)
            .build();
        Self { notes }
    }
}

impl Remembered {
    /// What is known at this moment; see [`slot`]. `still`: whether what a request of that moment has
    /// brought still counts.
    pub fn get(&self, slot: &[u8], now: Mono, still: impl FnOnce(Stamp) -> bool) -> Option<Known> {
        self.note(slot, now).filter(|note| still(note.asked)).map(|note| note.known)
    }

    /// The same of a key, which is left as it was.
    pub fn of(
        &self,
        key: &mut Vec<u8>,
        lookup: Lookup,
        said: &[u8],
        now: Mono,
        still: impl FnOnce(Stamp) -> bool,
    ) -> Option<Known> {
        let len = key.len();
        key.push(mark(lookup));
        key.extend_from_slice(said);
        let known = self.get(key, now, still);
        key.truncate(len);
        known
    }

    /// Remembers for so long what a request that was `asked` then has brought, in place of what was
    /// known. That a renewal was shed says less than anything else.
    pub fn learn(&self, slot: &[u8], known: Known, asked: Stamp, keep: Duration, now: Mono) {
        let says_less = matches!(known, Known::Shed) && self.note(slot, now).is_some();
        if !keep.is_zero() && !says_less {
            self.notes.insert(slot.into(), Note { known, asked, until: now.after(keep), keep });
        }
    }

    fn note(&self, slot: &[u8], now: Mono) -> Option<Note> {
        self.notes.get(slot).filter(|note| now < note.until)
    }
}

/// The place of a key among fills and what is remembered. A visitor whose cookies or credentials may
/// matter must not follow a request that went without: the answer would be somebody else's page, or nobody's.
/// Nor must one who is known to get another variant, by what they `said`.
pub fn slot(key: &[u8], lookup: Option<Lookup>, said: &[u8]) -> Slot {
    let mut slot = key.to_vec();
    slot.push(lookup.map_or(0, mark));
    slot.extend_from_slice(said);
    slot.into()
}

fn mark(lookup: Lookup) -> u8 {
    match lookup {
        Lookup::Plain | Lookup::Bypass(_) => 0,
        Lookup::Personal => 1,
        Lookup::Authorized => 2,
    }
}

struct AsLongAsItHolds;

impl Expiry<Slot, Note> for AsLongAsItHolds {
    fn expire_after_create(&self, _: &Slot, note: &Note, _: Instant) -> Option<Duration> {
        Some(note.keep)
    }

    fn expire_after_update(&self, _: &Slot, note: &Note, _: Instant, _: Option<Duration>) -> Option<Duration> {
        Some(note.keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::view::Field;

    fn ms(ms: u64) -> Mono {
        Mono::from_nanos(ms * 1_000_000)
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_failure_holds_for_its_time_and_no_longer() {
        let remembered = Remembered::default();
        remembered.learn(b"a", Known::Failed(Failure::Because(Reason::OriginTimeout)), Stamp::ZERO, SECOND, ms(5000));
        assert!(matches!(remembered.get(b"a", ms(5999), |_| true), Some(Known::Failed(_))));
        assert!(remembered.get(b"a", ms(6000), |_| true).is_none());
        assert!(remembered.get(b"b", ms(5000), |_| true).is_none());
    }

    #[test]
    fn what_was_learned_too_early_is_not_told_but_kept_for_others() {
        let (remembered, asked) = (Remembered::default(), Stamp::from_unix_ms(7));
        remembered.learn(b"a", Known::Unshared, asked, SECOND, ms(0));
        assert!(remembered.get(b"a", ms(1), |at| at > asked).is_none());
        assert!(remembered.get(b"a", ms(1), |at| at == asked).is_some());
    }

    #[test]
    fn nothing_is_remembered_for_no_time() {
        let remembered = Remembered::default();
        remembered.learn(
            b"a",
            Known::Failed(Failure::Because(Reason::OriginError)),
            Stamp::ZERO,
            Duration::ZERO,
            ms(0),
        );
        assert!(remembered.get(b"a", ms(0), |_| true).is_none());
    }

    #[test]
    fn a_shed_renewal_hides_nothing_that_says_more() {
        let remembered = Remembered::default();
        remembered.learn(b"a", Known::Unshared, Stamp::ZERO, UNSHARED_FOR, ms(0));
        remembered.learn(b"a", Known::Shed, Stamp::ZERO, SECOND, ms(0));
        assert!(matches!(remembered.get(b"a", ms(0), |_| true), Some(Known::Unshared)));
        remembered.learn(b"a", Known::Shed, Stamp::ZERO, SECOND, ms(10_000));
        assert!(matches!(remembered.get(b"a", ms(10_000), |_| true), Some(Known::Shed)));
    }

    #[test]
    fn what_is_learned_of_a_visitors_page_is_not_said_of_everybodys() {
        let (remembered, mut key) = (Remembered::default(), b"k".to_vec());
        remembered.learn(&slot(&key, Some(Lookup::Personal), &[]), Known::Unshared, Stamp::ZERO, SECOND, ms(0));
        assert!(remembered.of(&mut key, Lookup::Personal, &[], ms(0), |_| true).is_some());
        assert!(remembered.of(&mut key, Lookup::Plain, &[], ms(0), |_| true).is_none());
        assert_eq!(key, b"k");
    }

    #[test]
    fn a_want_of_places_is_no_failure_of_the_origins() {
        for reason in Reason::ALL {
            assert_eq!(Failure::of(reason).is_some(), reason.label().starts_with("origin_"), "{reason:?}");
        }
    }

    #[test]
    fn what_is_somebodys_or_not_to_be_stored_is_not_repeated() {
        let repeatable = |name, value: &'static str| {
            let fields = [Field { name, value: value.as_bytes() }];
            is_repeatable(&ResponseParts { status: 503, fields: &fields })
        };
        assert!(repeatable("Retry-After", "5"));
        assert!(repeatable("Vary", "Accept-Encoding, Cookie"));
        assert!(repeatable("Cache-Control", "no-cache"));
        assert!(!repeatable("Cache-Control", "no-store"));
        assert!(!repeatable("Cache-Control", "private"));
        assert!(!repeatable("Set-Cookie", "a=1"));
        assert!(!repeatable("Content-Encoding", "gzip"));
        assert!(!repeatable("Vary", "Accept-Language"));
        assert!(!repeatable("Vary", "*"));
    }

    #[test]
    fn memory_is_bounded() {
        let remembered = Remembered::default();
        for n in 0..20_000_u32 {
            let mut key = vec![0; 2000];
            key.extend_from_slice(&n.to_be_bytes());
            remembered.learn(&key, Known::Unshared, Stamp::ZERO, UNSHARED_FOR, ms(0));
        }
        remembered.notes.run_pending_tasks();
        assert!(remembered.notes.weighted_size() <= MEMORY);
    }
}
