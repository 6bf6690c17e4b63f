//! The retry budget: retries are a share of requests, so that a failing origin is not felled by
//! those who try again. As in Finagle and linkerd; the share is theirs and Envoy's.

use crate::clock::Mono;

/// Retries, in percent of the requests in the window.
const PERCENT: u64 = 20;
/// And so many in any window, one a second: where there is little traffic, a share of it is nothing,
/// and a server must fail five times before it is known to fail.
const FLOOR: u64 = 10;
/// The window: this second and the nine before.
const SECONDS: usize = 10;

/// Requests and retries of the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// By second, in a ring.
    seconds: [Second; SECONDS],
    sum: Second,
    /// The second that is counted now.
    now: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    requests: u64,
    retries: u64,
}

impl Budget {
    pub(super) fn request(&mut self, now: Mono) {
        if let Some(second) = self.turn(now) {
            second.requests += 1;
            self.sum.requests += 1;
        }
    }

    /// Whether one more retry is within the budget; if so, it is counted.
    pub(super) fn retry(&mut self, now: Mono) -> bool {
        self.turn(now);
        if (self.sum.retries + 1) * 100 > self.sum.requests * PERCENT + FLOOR * 100 {
            return false;
        }
        if let Some(second) = self.turn(now) {
            second.retries += 1;
            self.sum.retries += 1;
        }
        true
    }

    /// The second to count in, with all that is too old taken out of the sum.
    fn turn(&mut self, now: Mono) -> Option<&mut Second> {
        let now = now.since(Mono::ZERO).as_secs();
        let gone = now.saturating_sub(self.now).min(SECONDS as u64);
        for second in now.saturating_sub(gone) + 1..=now {
            if let Some(old) = self.seconds.get_mut(place(second)) {
                let Second { requests, retries } = std::mem::take(old);
                self.sum.requests -= requests;
                self.sum.retries -= retries;
            }
        }
        // A clock read on another thread may be a little older.
        self.now = self.now.max(now);
        self.seconds.get_mut(place(self.now))
    }
}

fn place(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or_default()
}
