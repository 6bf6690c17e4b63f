//! Rate limits: how often one visitor may ask.
//!
//! GCRA by governor: `burst` at once, then evenly at the quota, exact to the nanosecond and with
//! one number per key. What is added here is a bound on the keys (`store`) and a clock that is
//! told the time, so that a decision depends on nothing but its arguments.

use std::cell::Cell;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::{Quota, RateLimiter};

use crate::clock::Mono;
use crate::policy::{self, RateKey};

mod store;

use store::Store;

/// A burst is cut so that it refills within a century: governor counts nanoseconds in 64 bits, and
/// adds without a check.
const REFILL_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A key of a limit: a hash under the process's seed, so that nobody outside can choose two
/// visitors that share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// What a request hears from a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; so many more could follow at this moment.
    Allowed { remaining: u32 },
    /// Too many. After `retry_after`, exact and never zero, one more will be allowed.
    Refused { retry_after: Duration },
}

impl Verdict {
    /// For Retry-After and the RateLimit field: the wait in whole seconds, rounded up, at least 1
    /// (`Retry-After: 0` is an invitation to hammer); none when allowed.
    pub fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::Allowed { .. } => None,
            Self::Refused { retry_after } => Some(seconds_up(retry_after).max(1)),
        }
    }
}

/// One `[rate_limit.NAME]` with its state.
#[derive(Debug)]
pub struct Limit {
    limiter: RateLimiter<Key, Store, DecisionClock, StateInformationMiddleware>,
    key: RateKey,
    seed: u64,
    /// The name as a string of structured fields (RFC 9651 §3.3.3), quotes and all.
    name: String,
    policy_field: String,
}

impl Limit {
    /// A limit that has seen nobody. `seed` is random, one a process.
    pub fn new(policy: &policy::RateLimit, seed: u64) -> Self {
        let quota = quota(policy);
        let name = sf_string(&policy.name);
        let window = seconds_up(quota.burst_size_replenished_in()).max(1);
        // The limiter's zero is the clock's, wherever on its thread the last decision was.
        NOW.set(0);
        Self {
            limiter: RateLimiter::new(quota, Store::new(policy.max_keys), DecisionClock),
            key: policy.key,
            seed,
            policy_field: format!("{name};q={};w={window}", quota.burst_size()),
            name,
        }
    }

    /// The key under which a client's requests are counted.
    pub fn key(&self, client: IpAddr) -> Key {
        let counted = match self.key {
            // A dual-stack listener sees IPv4 clients as ::ffff:a.b.c.d.
            RateKey::ClientIp => client.to_canonical(),
            RateKey::ClientNet => policy::client_net(client.to_canonical()),
        };
        // Std's SipHash has a fixed key; the secret goes in as the first block instead.
        let mut hasher = DefaultHasher::new();
        self.seed.hash(&mut hasher);
        counted.hash(&mut hasher);
        Key(hasher.finish())
    }

    /// Decides about one request, and counts it if it is allowed.
    pub fn check(&self, key: Key, now: Mono) -> Verdict {
        NOW.set(now.as_nanos());
        match self.limiter.check_key(&key) {
            Ok(state) => Verdict::Allowed { remaining: state.remaining_burst_capacity() },
            Err(until) => Verdict::Refused { retry_after: until.wait_time_from(Nanos::new(now.as_nanos())) },
        }
    }

    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): the burst, and the
    /// seconds in which it refills.
    pub fn policy_field(&self) -> &str {
        &self.policy_field
    }

    /// The value of `RateLimit` for a verdict: what remains and, when refused, in how many seconds
    /// there is more.
    pub fn limit_field(&self, verdict: Verdict) -> String {
        let remaining = match verdict {
            Verdict::Allowed { remaining } => remaining,
            Verdict::Refused { .. } => 0,
        };
        let mut field = format!("{};r={remaining}", self.name);
        if let Some(seconds) = verdict.retry_after_seconds() {
            // Writing to a String can't fail.
            let _ = write!(field, ";t={seconds}");
        }
        field
    }
}

thread_local! {
    /// The moment of the decision being made on this thread, nanoseconds on the monotonic clock.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

/// Tells governor the time that [`Limit::check`] was told.
#[derive(Clone, Copy, Debug)]
struct DecisionClock;

impl governor::clock::Clock for DecisionClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(NOW.get())
    }
}

fn quota(policy: &policy::RateLimit) -> Quota {
    let each = (policy.quota.period / policy.quota.count.get()).clamp(Duration::from_nanos(1), REFILL_MAX);
    let burst_max = u32::try_from(REFILL_MAX.as_nanos() / each.as_nanos()).unwrap_or(u32::MAX);
    let burst = policy.burst.min(NonZeroU32::new(burst_max).unwrap_or(NonZeroU32::MIN));
    Quota::with_period(each).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst)
}

fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// A name as a string of structured fields. Names in a policy are plain already; what could break
/// out of the quotes is left out all the same.
fn sf_string(name: &str) -> String {
    let plain = name.chars().filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'));
    std::iter::once('"').chain(plain).chain(std::iter::once('"')).collect()
}

#[cfg(test)]
mod tests;
