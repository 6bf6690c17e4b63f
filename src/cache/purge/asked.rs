//! Which URLs the cache has ever asked an origin for: a write to any other makes nothing stale, and is not worth a
//! row. A shop that takes a hundred orders a second, each with a URL of its own, would fill the table with them.
//!
//! A Bloom filter of two bits a name (Bloom 1970): it may say yes of what was never asked for, never no of what was.
//! It only fills up; then every write has its row, as if there were none of this.

use std::sync::atomic::{AtomicU64, Ordering};

use super::name::is_tag;

/// Bits, a power of two: 128 KiB, half of them set by 360,000 URLs.
const BITS: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct Asked(Box<[AtomicU64]>);

impl Default for Asked {
    fn default() -> Self {
        Self((0..BITS / 64).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Asked {
    /// From now on, these were. To be told before the origin is asked, so that no write comes between.
    pub fn note(&self, names: &[u64]) {
        for (word, bit) in names.iter().filter(|name| !is_tag(**name)).flat_map(|name| self.bits(*name)) {
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
    use super::*;
    use crate::cache::purge::{Names, Target};

    #[test]
    fn what_was_asked_for_is_never_denied_and_hardly_anything_else_is_affirmed() {
        let asked = Asked::default();
        let names = |i: u32| Names::of("shop.example", &format!("/orders/{i}"), std::iter::empty());
        let written =
            |i: u32| Target::Written { host: "shop.example".into(), path_and_query: format!("/orders/{i}").into() };
        (0..10_000).for_each(|i| asked.note(names(i).as_slice()));
        assert!((0..10_000).all(|i| written(i).may_be_held(&asked)));
        let wrong = (10_000..20_000).filter(|i| written(*i).may_be_held(&asked)).count();
        assert!(wrong < 50, "{wrong} of 10,000");
        assert!(Target::Everything.may_be_held(&asked), "what is no URL's is not known here");
    }
}
