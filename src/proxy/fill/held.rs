//! How much memory the bodies of fills in flight take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What one fill keeps of its body, counted with all others' until it is dropped.
#[derive(Debug, Default)]
pub struct Held {
    all: Arc<AtomicU64>,
    mine: u64,
}

impl Held {
    pub(super) fn new(all: &Arc<AtomicU64>) -> Self {
        Self { all: all.clone(), mine: 0 }
    }

    /// Counts so many bytes more. False: all fills together would keep more than `most`.
    pub fn grow(&mut self, bytes: usize, most: u64) -> bool {
        let bytes = bytes as u64;
        let all = self.all.fetch_add(bytes, Ordering::Relaxed);
        self.mine += bytes;
        all + bytes <= most
    }

    /// Nothing is kept any more.
    pub fn let_go(&mut self) {
        self.all.fetch_sub(std::mem::take(&mut self.mine), Ordering::Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_fills_keep_is_bounded_and_given_back() {
        let all = Arc::default();
        let (mut one, mut other) = (Held::new(&all), Held::new(&all));
        assert!(one.grow(60, 100));
        assert!(!other.grow(60, 100));
        other.let_go();
        assert!(other.grow(40, 100));
        drop(one);
        assert!(other.grow(60, 100));
        drop(other);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
