//! A count that every thread adds to without being in another's way.
//!
//! One word that all cores add to costs each of them the line it is in, and a locked instruction waits for all that its
//! core has written before. So each thread has a lane that nobody else writes to, and a sum looks at all of them. The
//! idea is the kernel's per-cpu counters (McKenney, "Is Parallel Programming Hard", ch. 5).

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use prometheus_client::metrics::counter::Atomic;

/// Threads with a lane of their own: those that begin first, which serve visitors. Later ones share one.
const LANES: usize = 64;
/// Numbers that a lane can give, in bits.
const NUMBERS: u32 = 48;

/// On a line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lane(AtomicU64);

/// See the module.
#[derive(Debug)]
pub struct Tally {
    lanes: Box<[Lane; LANES]>,
    shared: Lane,
}

impl Default for Tally {
    fn default() -> Self {
        Self { lanes: Box::new(std::array::from_fn(|_| Lane::default())), shared: Lane::default() }
    }
}

thread_local! {
    static LANE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

impl Tally {
    /// Adds; gives the number of the lane, which is 0 for the shared one, and what was in it before.
    fn add(&self, count: u64) -> (u64, u64) {
        let lane = LANE.with(|lane| *lane);
        match self.lanes.get(lane) {
            // Nobody else writes here, so what was read is still there.
            Some(Lane(own)) => {
                let before = own.load(Ordering::Relaxed);
                own.store(before.wrapping_add(count), Ordering::Relaxed);
                (lane as u64 + 1, before)
            }
            None => (0, self.shared.0.fetch_add(count, Ordering::Relaxed)),
        }
    }

    /// All that was added.
    pub fn sum(&self) -> u64 {
        let lanes = self.lanes.iter().chain([&self.shared]);
        lanes.fold(0, |sum, lane| sum.wrapping_add(lane.0.load(Ordering::Relaxed)))
    }

    /// A number that it has not given before, to no thread.
    pub fn number(&self) -> u64 {
        let (lane, before) = self.add(1);
        lane << NUMBERS | before
    }
}

/// For the counters that are shown as metrics. What an addition gives is what its own lane had before.
impl Atomic<u64> for Tally {
    fn inc(&self) -> u64 {
        self.inc_by(1)
    }

    fn inc_by(&self, count: u64) -> u64 {
        self.add(count).1
    }

    fn get(&self) -> u64 {
        self.sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_that_any_thread_adds_is_lost_and_no_number_is_given_twice() {
        let (tally, numbers) = (Tally::default(), Tally::default());
        let given: HashSet<u64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2 * LANES)
                .map(|_| {
                    scope.spawn(|| {
                        (0..100)
                            .map(|_| {
                                tally.inc_by(3);
                                numbers.number()
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(tally.sum(), 2 * LANES as u64 * 300);
        assert_eq!(given.len(), 2 * LANES * 100);
    }
}
