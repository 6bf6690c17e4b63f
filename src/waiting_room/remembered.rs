//! Those who come back before all others: whose session ended for idleness a short while ago, and who
//! were not there when their turn came.

use std::collections::{HashMap, VecDeque};

/// Remembered at most; beyond it the oldest queue anew.
const REMEMBERED_MAX: usize = 65_536;

/// By the generation of the session that they had, or the key of their ticket.
#[derive(Debug, Default)]
pub struct Remembered {
    known: HashMap<u64, Known>,
    oldest: VecDeque<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    until_ms: u64,
    /// What it was given when it came back: asked again, since an answer may be lost, it gets the same.
    given: Option<u64>,
}

impl Remembered {
    pub fn remember(&mut self, who: u64, until_ms: u64) {
        if self.oldest.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.known.insert(who, Known { until_ms, given: None }).is_none() {
            self.oldest.push_back(who);
        }
    }

    /// Whether this one may come back, and what it was given when it did.
    pub fn find(&self, who: u64, at_ms: u64) -> Option<Option<u64>> {
        self.known.get(&who).filter(|known| at_ms < known.until_ms).map(|known| known.given)
    }

    /// It has come back, and was given this.
    pub fn give(&mut self, who: u64, given: u64) {
        if let Some(known) = self.known.get_mut(&who) {
            known.given = Some(given);
        }
    }

    /// Forgets whose time is over.
    pub fn expire(&mut self, at_ms: u64) {
        while let Some(oldest) = self.oldest.front() {
            if self.known.get(oldest).is_some_and(|known| at_ms < known.until_ms) {
                return;
            }
            self.known.remove(oldest);
            self.oldest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_in_time_and_gets_the_same_again() {
        let mut out = Remembered::default();
        out.remember(1, 100);
        assert_eq!(out.find(1, 99), Some(None));
        out.give(1, 7);
        assert_eq!((out.find(1, 99), out.find(1, 100), out.find(2, 1)), (Some(Some(7)), None, None));
        out.expire(100);
        assert!(out.oldest.is_empty() && out.known.is_empty());
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut out = Remembered::default();
        (0..200_000).for_each(|who| out.remember(who, 1));
        assert_eq!((out.oldest.len(), out.known.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }
}
