//! When a fill asked the origin, and what its answer is made of: whom it may still serve.

use std::sync::OnceLock;

use smallvec::SmallVec;

use crate::cache::purge::{Names, Purges, Stamp, Tags, Verdict};

/// What is known of a fill's request so far.
#[derive(Debug, Default)]
pub struct Asked {
    at: OnceLock<Stamp>,
    /// Once the answer is judged to be kept.
    tags: OnceLock<(SmallVec<[u64; 8]>, Tags)>,
}

impl Asked {
    /// The request goes to the origin now.
    pub fn set(&self, at: Stamp) {
        let _ = self.at.set(at);
    }

    /// What the answer is made of.
    pub fn tag(&self, tags: (SmallVec<[u64; 8]>, Tags)) {
        let _ = self.tags.set(tags);
    }

    /// Whether what it brings is what one would get who asks now: nothing of it was purged since it was
    /// asked for, and it is newer than what its reader wrote. Until its tags are known, every purge by
    /// tag counts.
    pub fn is_current(&self, names: &Names, purges: &Purges, newer_than: Option<Stamp>) -> bool {
        let Some(at) = self.at.get() else { return true };
        if newer_than.is_some_and(|written| *at <= written) {
            return false;
        }
        let (tags, known) = self.tags.get().map_or((&[][..], Tags::Unknown), |(tags, known)| (tags, *known));
        let stands = |names, tags| purges.look_up(*at, names, tags) == Verdict::Standing;
        stands(names.as_slice(), known) && stands(tags, Tags::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::purge::{Purge, Target, tag_name};
    use crate::clock::{Mono, Now};

    #[test]
    fn a_fill_is_current_until_something_of_it_is_purged() {
        let at = |ns| Now { mono: Mono::from_nanos(ns), unix_ms: 0 };
        let names = Names::of("a.example", "/x", std::iter::empty());
        let purges = Purges::new(at(0));
        let purge = |target: &str| purges.purge(&Purge { target: Target::tag(target).unwrap(), soft: true }, at(1));
        let asked = Asked::default();
        purge("a");
        assert!(asked.is_current(&names, &purges, None), "it has not asked yet");
        asked.set(purges.stamp(at(1).mono));
        assert!(asked.is_current(&names, &purges, None));
        let written = purges.stamp(at(1).mono);
        assert!(!asked.is_current(&names, &purges, Some(written)));
        let untold = Asked::default();
        untold.set(purges.stamp(at(1).mono));
        asked.tag(([tag_name(b"mine")].into_iter().collect(), Tags::Named));
        purge("others");
        assert!(asked.is_current(&names, &purges, None) && !untold.is_current(&names, &purges, None));
        purge("mine");
        assert!(!asked.is_current(&names, &purges, None));
    }
}
