//! Which URLs the cache has ever asked an origin for: a write to any other makes nothing stale, and is not worth a
//! row. A shop that takes a hundred orders a second, each with a URL of its own, would fill the table with them.
//!
//! A Bloom filter of two bits a name (Bloom 1970): it may say yes of what was never asked for, never no of what was.
//! It only fills up; then every write has its row, as if there were none of this.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits, a power of two: 128 KiB, half of them set by 360,000 URLs.
const BITS: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Asked(Box<[AtomicU64]>);

impl Default for Asked {
    fn default() -> Self {
        Self((0..BITS / 64).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Asked {
    /// From now on, this was. To be told before the origin is asked, so that no write comes between.
    pub(super) fn note(&self, name: u64) {
        for (word, bit) in self.bits(name) {
            // Mostly they are set, and a line that nobody writes to stays in every core's cache.
            if word.load(Ordering::Acquire) & bit == 0 {
                word.fetch_or(bit, Ordering::AcqRel);
            }
        }
    }

    /// Whether it may have been.
    pub(super) fn has(&self, name: u64) -> bool {
        self.bits(name).all(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    /// A name is a hash; its two lowest bits say what it is of.
    fn bits(&self, name: u64) -> impl Iterator<Item = (&AtomicU64, u64)> {
        [name >> 2, name >> 32].into_iter().filter_map(|hash| {
            let bit = hash % BITS;
            Some((self.0.get(usize::try_from(bit / 64).ok()?)?, 1 << (bit % 64)))
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::cache::purge::{Names, Purges, Target};
    use crate::clock::{Mono, Now};

    #[test]
    fn what_was_asked_for_is_never_denied_and_hardly_anything_else_is_affirmed() {
        let purges = Purges::new(Now::default());
        let names = |i: u32| Names::of("shop.example", &format!("/orders/{i}"), std::iter::empty());
        let written =
            |i: u32| Target::Written { host: "shop.example".into(), path_and_query: format!("/orders/{i}").into() };
        for i in 0..10_000 {
            purges.ask(&names(i), Mono::ZERO);
        }
        assert!((0..10_000).all(|i| purges.may_concern(&written(i))));
        let wrong = (10_000..20_000).filter(|i| purges.may_concern(&written(*i))).count();
        assert!(wrong < 50, "{wrong} of 10,000");
        assert!(purges.may_concern(&Target::Everything), "what is no URL's is not known here");
    }
}
