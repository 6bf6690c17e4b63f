//! Those whose session ended for idleness a short while ago: they come back before all others.

use std::collections::{HashMap, VecDeque};

/// Remembered at most; beyond it the oldest queue anew.
const REMEMBERED_MAX: usize = 65_536;

/// By the generation of the session that they had.
#[derive(Debug, Default)]
pub struct SteppedOut {
    until_ms: HashMap<u32, u64>,
    oldest: VecDeque<u32>,
}

impl SteppedOut {
    pub fn remember(&mut self, generation: u32, until_ms: u64) {
        if self.oldest.len() >= REMEMBERED_MAX
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.until_ms.remove(&oldest);
        }
        self.until_ms.insert(generation, until_ms);
        self.oldest.push_back(generation);
    }

    /// Whether this one may come back; once.
    pub fn take(&mut self, generation: u32, at_ms: u64) -> bool {
        self.until_ms.remove(&generation).is_some_and(|until| at_ms < until)
    }

    /// Forgets whose time is over.
    pub fn expire(&mut self, at_ms: u64) {
        while let Some(oldest) = self.oldest.front() {
            if self.until_ms.get(oldest).is_some_and(|until| at_ms < *until) {
                return;
            }
            self.until_ms.remove(oldest);
            self.oldest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_comes_back_once_and_in_time() {
        let mut out = SteppedOut::default();
        out.remember(1, 100);
        out.remember(2, 100);
        assert!(out.take(1, 99) && !out.take(1, 99));
        assert!(!out.take(2, 100));
        out.expire(100);
        assert!(out.oldest.is_empty() && out.until_ms.is_empty());
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut out = SteppedOut::default();
        (0..200_000).for_each(|generation| out.remember(generation, 1));
        assert_eq!((out.oldest.len(), out.until_ms.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
    }
}
