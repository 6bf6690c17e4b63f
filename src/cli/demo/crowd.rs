//! The crowd: real HTTP clients in a thread of their own, so that their work is not taken for the
//! edge's. Arrivals are open-loop: nobody comes later because the shop is slow, which is what makes
//! a rush a rush. Latency counts from the moment a request was meant to be sent.

mod client;
mod tally;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use self::client::{Ask, Browser, Jar};
pub use self::tally::{Figures, Tally};
use self::visitor::Visitor;
use crate::clock::{Clock, Mono};
use crate::simulation::random::Random;

/// An answer after this is too late to be of use: the field's usual line for a page.
pub const GOOD_WITHIN: Duration = Duration::from_millis(500);

/// What a storm is made of.
#[derive(Clone, Copy, Debug)]
pub enum Storm {
    /// People who want to buy, and one scraper.
    FlashCrowd {
        /// New visitors a second,
        visitors_per_second: f64,
        /// for so long.
        arriving: Duration,
        /// Searches a second by the scraper, all the time.
        scraper_per_second: f64,
        /// After this nobody asks for another page.
        lasts: Duration,
    },
    /// One uncacheable page at a constant rate, whatever comes back.
    Overload {
        /// Requests a second,
        requests_per_second: f64,
        /// for so long.
        lasts: Duration,
    },
}

impl Storm {
    /// How long new requests come.
    pub const fn lasts(&self) -> Duration {
        match self {
            Self::FlashCrowd { lasts, .. } | Self::Overload { lasts, .. } => *lasts,
        }
    }
}

/// A storm that is under way.
#[derive(Debug)]
pub struct Raging {
    /// What it has seen so far.
    pub tally: Arc<Tally>,
    /// Resolves when the last answer has come.
    pub over: oneshot::Receiver<()>,
}

/// Sends a storm to `target`. It ends by itself, or early when `stop` turns true.
pub fn unleash(storm: Storm, target: SocketAddr, seed: u64, stop: watch::Receiver<bool>) -> anyhow::Result<Raging> {
    let tally = Arc::new(Tally::default());
    let (done, over) = oneshot::channel();
    let crowd = Arc::new(Crowd::new(target, Arc::clone(&tally), storm.lasts(), stop)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name("demo-crowd".into())
        .spawn(move || {
            runtime.block_on(Arc::clone(&crowd).rage(storm, Random::new(seed)));
            // Pooled connections end with the runtime, before the storm is called over.
            runtime.shutdown_background();
            // Nobody may be waiting any more: the demo was interrupted.
            let _ = done.send(());
        })
        .context("cannot start the crowd's thread")?;
    Ok(Raging { tally, over })
}

/// What all visitors of a storm share.
struct Crowd {
    browsers: Vec<Browser>,
    scraper: Browser,
    tally: Arc<Tally>,
    clock: Clock,
    ends: Mono,
    stop: watch::Receiver<bool>,
    outstanding_max: usize,
}

impl Crowd {
    fn new(
        target: SocketAddr,
        tally: Arc<Tally>,
        lasts: Duration,
        stop: watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let ends = clock.mono().after(lasts);
        let browsers = client::networks().into_iter().map(|from| Browser::new(target, from)).collect();
        let scraper = Browser::new(target, client::scraper());
        Ok(Self { browsers, scraper, tally, clock, ends, stop, outstanding_max: client::outstanding_max() })
    }

    async fn rage(self: Arc<Self>, storm: Storm, random: Random) {
        let mut stop = self.stop.clone();
        let storm = async {
            match storm {
                Storm::FlashCrowd { visitors_per_second, arriving, scraper_per_second, .. } => {
                    let people = Arc::clone(&self).arrive(visitors_per_second, arriving, random);
                    tokio::join!(people, Arc::clone(&self).scrape(scraper_per_second));
                }
                Storm::Overload { requests_per_second, .. } => {
                    Arc::clone(&self).overload(requests_per_second, random).await;
                }
            }
        };
        tokio::select! {
            () = storm => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }

    async fn arrive(self: Arc<Self>, per_second: f64, arriving: Duration, mut random: Random) {
        let mut visitors = JoinSet::new();
        let mut pace = Pace::new(&self.clock, per_second);
        let until = self.clock.mono().after(arriving);
        while let Some(intended) = pace.next_before(until).await {
            let seed = random.bits();
            if let Some(visitor) = Visitor::new(Arc::clone(&self), Random::new(seed), intended) {
                visitors.spawn(visitor.visit());
            }
        }
        while visitors.join_next().await.is_some() {}
    }

    /// A price scraper: a search that nobody has made before, again and again.
    async fn scrape(self: Arc<Self>, per_second: f64) {
        let mut searches = JoinSet::new();
        let mut pace = Pace::new(&self.clock, per_second);
        let mut number = 0_u64;
        while pace.next_before(self.ends).await.is_some() {
            number += 1;
            let crowd = Arc::clone(&self);
            if searches.len() < self.outstanding_max {
                searches.spawn(async move {
                    let path = format!("/search?q=price+{number}");
                    let answer = crowd.scraper.fetch(&Ask::get(&path), &Jar::default()).await;
                    crowd.tally.scraped(answer.is_ok_and(|page| page.status.is_success()));
                });
            }
            while searches.try_join_next().is_some() {}
        }
        while searches.join_next().await.is_some() {}
    }

    async fn overload(self: Arc<Self>, per_second: f64, mut random: Random) {
        let mut requests = JoinSet::new();
        let mut pace = Pace::new(&self.clock, per_second);
        while let Some(intended) = pace.next_before(self.ends).await {
            let seed = random.bits();
            while requests.try_join_next().is_some() {}
            if requests.len() >= self.outstanding_max {
                self.tally.unsent();
                continue;
            }
            let crowd = Arc::clone(&self);
            requests.spawn(async move {
                let Some(browser) = crowd.browser(seed) else { return };
                let answer = browser.fetch(&Ask::get("/api/stock"), &Jar::default()).await;
                crowd.tally.asked(&answer, crowd.clock.mono().since(intended));
            });
        }
        while requests.join_next().await.is_some() {}
    }

    fn browser(&self, seed: u64) -> Option<&Browser> {
        let count = u64::try_from(self.browsers.len()).ok()?;
        self.browsers.get(usize::try_from(seed.checked_rem(count)?).ok()?)
    }
}

/// Evenly spaced moments, kept to even when one was woken late.
struct Pace<'a> {
    clock: &'a Clock,
    next: Mono,
    gap: Duration,
}

impl<'a> Pace<'a> {
    fn new(clock: &'a Clock, per_second: f64) -> Self {
        Self { clock, next: clock.mono(), gap: Duration::from_secs_f64(1.0 / per_second.max(0.001)) }
    }

    /// The next moment, once it has come; none if it would be after `until`.
    async fn next_before(&mut self, until: Mono) -> Option<Mono> {
        let intended = self.next;
        if intended >= until {
            return None;
        }
        self.next = intended.after(self.gap);
        let wait = intended.since(self.clock.mono());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Some(intended)
    }
}
