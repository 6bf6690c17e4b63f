//! Rate limits: how often one visitor may ask.
//!
//! GCRA (`gcra`): `burst` tokens at once, then evenly at the quota, exact to the nanosecond and with
//! one number per key, of which there is a bounded number (`store`). A decision depends on nothing
//! but its arguments and what was counted before.
//!
//! Several limits decide as one ([`decide`]): all must allow, and if one refuses none has counted.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use smallvec::SmallVec;

use crate::clock::Mono;
use crate::pipeline::view::View;
use crate::policy::{self, ClientsId, Plans, RateKey, RateLimitId};

mod gcra;
mod key;
mod store;

use gcra::Gcra;
pub use key::{Key, Request};
use store::Store;

/// What a request hears from a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; so many tokens are left at this moment.
    Allowed { remaining: u32 },
    /// Too many. After `retry_after`, exact and never zero, there is enough for it.
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
    store: Store,
    key: Vec<RateKey>,
    /// The limit's own rate, then those of its plans.
    rates: Vec<Rate>,
    plans: Option<Plans>,
    seed: u64,
    dry_run: bool,
    refused: AtomicU64,
    /// The name as a string of structured fields (RFC 9651 §3.3.3), quotes and all.
    name: String,
    /// For the log, where a dry run lets pass what it would refuse.
    dry_note: String,
}

#[derive(Debug)]
struct Rate {
    gcra: Gcra,
    policy_field: String,
}

impl Limit {
    /// A limit that has seen nobody. `seed` is random, one a process.
    pub fn new(policy: &policy::RateLimit, seed: u64) -> Self {
        let name = sf_string(&policy.name);
        let rate = |quota, burst| {
            let gcra = Gcra::new(quota, burst);
            let window = seconds_up(gcra.refill()).max(1);
            Rate { gcra, policy_field: format!("{name};q={};w={window}", gcra.burst()) }
        };
        let own = rate(policy.quota, policy.burst);
        let plans = policy.plans.iter().flat_map(Plans::plans).map(|plan| rate(plan.quota, plan.burst));
        Self {
            rates: std::iter::once(own).chain(plans).collect(),
            store: Store::new(policy.max_keys),
            key: policy.key.clone(),
            plans: policy.plans.clone(),
            seed,
            dry_run: policy.dry_run,
            refused: AtomicU64::new(0),
            dry_note: format!("rate_limit.{} would refuse", policy.name),
            name,
        }
    }

    /// What a request that costs so many tokens is to ask; `is_member` says whether it comes from
    /// one of a group of clients.
    pub fn ask(
        &self,
        id: RateLimitId,
        request: &Request<'_>,
        cost: NonZeroU32,
        is_member: impl FnMut(ClientsId) -> bool,
    ) -> Option<Ask<'_>> {
        let plan = self.plan(request.view, is_member).map_or(0, |at| at + 1);
        let rate = self.rates.get(plan)?;
        let key = Key::of(&self.key, plan, request, self.seed);
        Some(Ask { id, limit: self, rate, key, cost: cost.get(), verdict: Verdict::Allowed { remaining: 0 } })
    }

    fn plan(&self, view: &View<'_>, mut is_member: impl FnMut(ClientsId) -> bool) -> Option<usize> {
        match self.plans.as_ref()? {
            Plans::Header(name, plans) => {
                let named = view.field(name).filter(|_| view.trusted)?;
                plans.iter().position(|plan| plan.name == named)
            }
            Plans::Clients(plans) => plans.iter().position(|(group, _)| is_member(*group)),
        }
    }

    /// Refused so far; of a dry run, what it would have refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// For the log, where a dry run lets pass what it would refuse.
    pub fn dry_note(&self) -> &str {
        &self.dry_note
    }
}

/// One limit, as one request asks it, and what it says to that.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Which of the policy's limits it is.
    pub id: RateLimitId,
    limit: &'a Limit,
    rate: &'a Rate,
    key: Key,
    cost: u32,
    /// Set by [`decide`].
    pub verdict: Verdict,
}

/// What one request asks of all its limits.
pub type Asked<'a> = SmallVec<[Ask<'a>; 4]>;

impl<'a> Ask<'a> {
    /// The limit says no, and means it.
    pub fn refuses(&self) -> bool {
        !self.limit.dry_run && matches!(self.verdict, Verdict::Refused { .. })
    }

    /// The limit would say no, but for its dry run.
    pub fn would_refuse(&self) -> bool {
        self.limit.dry_run && matches!(self.verdict, Verdict::Refused { .. })
    }

    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): the burst, and the
    /// seconds in which it refills.
    pub fn policy_field(&self) -> &'a str {
        &self.rate.policy_field
    }

    /// The value of `RateLimit`: what remains and, when refused, in how many seconds there is more.
    pub fn limit_field(&self) -> String {
        let remaining = match self.verdict {
            Verdict::Allowed { remaining } => remaining,
            Verdict::Refused { .. } => 0,
        };
        let mut field = format!("{};r={remaining}", self.limit.name);
        if let Some(seconds) = self.verdict.retry_after_seconds() {
            // Writing to a String can't fail.
            let _ = write!(field, ";t={seconds}");
        }
        field
    }
}

/// Decides about one request: it counts with every limit, or, if one refuses, with none.
///
/// All the numbers concerned are held while they are looked at and changed, so that no two requests
/// can take the same token between the look and the change. Each limit holds one lock, and they are
/// taken in the order of the limits' addresses, which is the same for everyone, across a reload too:
/// nobody waits in a circle. A limit that is asked twice is asked once.
///
/// A dry run counts as if it were alone in refusing: what it would refuse it does not count, and the
/// others do.
pub fn decide(asks: &mut Asked<'_>, now: Mono) {
    let address = |ask: &Ask<'_>| std::ptr::from_ref(ask.limit).addr();
    asks.sort_unstable_by_key(address);
    asks.dedup_by_key(|ask| address(ask));
    let now = now.as_nanos();
    let mut held: SmallVec<[_; 4]> = SmallVec::new();
    for ask in asks.iter_mut() {
        let Some(number) = ask.limit.store.hold(ask.key, now) else { continue };
        let gcra = ask.rate.gcra;
        ask.verdict = match gcra.test(number.arrival(), ask.cost, now) {
            Ok(next) => {
                held.push((number, next));
                Verdict::Allowed { remaining: gcra.left(next, now) }
            }
            Err(retry_after) => Verdict::Refused { retry_after },
        };
    }
    if !asks.iter().any(Ask::refuses) {
        held.iter_mut().for_each(|(number, next)| number.replace(*next));
    }
    drop(held);
    for ask in asks.iter().filter(|ask| matches!(ask.verdict, Verdict::Refused { .. })) {
        ask.limit.refused.fetch_add(1, Ordering::Relaxed);
    }
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
