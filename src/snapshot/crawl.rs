//! Taking a snapshot: one page after another, anonymously, as robots.txt and the pages allow.
//!
//! What is asked for, and what becomes of it, the [`course`](super::course) decides. What came of each URL is
//! written to the [`journal`](super::journal) before the next one is asked for, so that a snapshot that was broken
//! off, by kill −9 or by an origin that went away, goes on where it was.

use std::time::Duration;

use thiserror::Error;

mod asker;
mod finish;

pub use asker::{Asker, Gone, Got};
pub use finish::published;

use super::address::{Address, Site};
use super::course::{Course, Times, refreshed};
use super::disk::{Disk, DiskError, Lock};
use super::frontier::{Kind, Wanted};
use super::journal::{Begun, Journal, Outcome, Step};
use super::judge::Judged;
use super::left_out::Why;
use super::manifest::{LeftOut, Manifest};
use super::robots::{self, Robots};
use crate::clock::Clock;
use crate::policy::{self, Mode};
use crate::proxy::fetch::Extent;

/// Why there is no new snapshot. What has been taken so far is kept, to go on with.
#[derive(Debug, Error)]
pub enum CrawlError {
    #[error("snapshot.seeds: {0}")]
    Seeds(String),
    #[error("{0}")]
    Disk(#[from] DiskError),
    #[error("the journal can't be written: {0}")]
    Journal(#[from] std::io::Error),
    #[error("the origin gives no answers any more ({0}); run it again to go on where it was")]
    Gone(String),
    #[error("taking it failed: a fault of Seawall's, which its log shows; please report it")]
    Stumbled,
    #[error("nothing could be taken: {0}; the snapshot before stays")]
    Empty(String),
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Told<'a> {
    /// A URL is settled; so many are, and so many are known to be still to ask for.
    Settled { done: usize, left: usize, bytes: u64, address: &'a Address, why: Option<Why> },
    /// The bodies whose smaller forms there are, and all.
    Formed { done: usize, of: usize },
}

/// Whom it is told.
pub type Tell<'a> = &'a (dyn Fn(&Told<'_>) + Send + Sync);

/// What is to be taken.
pub struct Order<'a> {
    pub rules: &'a policy::Snapshot,
    /// The most requested URLs, beside the seeds.
    pub popular: Vec<Address>,
    /// Where origins are asked elsewhere than the policy says: a part of the plan.
    pub through: Option<String>,
}

/// A snapshot in the making.
pub struct Crawl<'a> {
    asker: Asker,
    course: Course,
    disk: Disk,
    journal: Journal<Step>,
    clock: Clock,
    tell: Tell<'a>,
}

impl<'a> Crawl<'a> {
    /// Begins one, or goes on with one that was broken off.
    ///
    /// # Errors
    /// [`CrawlError`]
    pub fn begin(order: Order<'_>, asker: Asker, clock: Clock, tell: Tell<'a>) -> Result<Self, CrawlError> {
        let rules = order.rules;
        let (site, mut seeds) = Site::of(&rules.seeds, &asker.authority()).map_err(CrawlError::Seeds)?;
        let disk = Disk::new(&rules.dir);
        let now = clock.now().unix_ms;
        let plan = format!("{:?} {} {:?}", rules.seeds, rules.max_pages, order.through);
        let begun = Begun { plan: blake3::hash(plan.as_bytes()).to_hex().to_string(), unix_ms: now };
        let (journal, begun, steps) = Journal::open(&disk.taking("journal"), begun)?;
        let before = disk.shown().unwrap_or_default();
        // One that goes on is as old as where it began.
        let manifest = Manifest { id: now.to_string(), taken_unix_ms: begun.unix_ms, ..Manifest::default() };
        seeds.extend(order.popular.into_iter().filter_map(|page| site.adopt(page)));
        let course = Course::new(site, seeds, rules.max_pages.get(), manifest, before, steps);
        Ok(Self { asker, course, disk, journal, clock, tell })
    }

    /// URLs that were settled before it was broken off.
    pub fn resumed(&self) -> usize {
        self.course.progress().0
    }

    /// Takes it to its end and shows it; gives its manifest.
    ///
    /// # Errors
    /// [`CrawlError`]: what is shown is then what was shown before.
    pub async fn take(mut self, lock: &Lock) -> Result<Manifest, CrawlError> {
        while let Some(wanted) = self.course.pop() {
            let mut step = self.settle(wanted).await?;
            self.fall_back(&mut step);
            self.journal.write(&step)?;
            let address = step.wanted.address.clone();
            let why = if let Outcome::LeftOut(why) = step.outcome { Some(why) } else { None };
            self.course.take_up(step);
            let ((done, left), bytes) = (self.course.progress(), self.course.bytes());
            (self.tell)(&Told::Settled { done, left, bytes, address: &address, why });
        }
        let taken = match self.course.end() {
            Ok(manifest) => Ok(published(&self.disk, manifest, lock, self.asker.gate(), self.clock, self.tell).await?),
            Err(why) => Err(CrawlError::Empty(why)),
        };
        // Begun anew next time, also where there was nothing.
        let _ = std::fs::remove_file(self.disk.taking("journal"));
        taken
    }

    /// Takes a few URLs alone, without what they link to, into the snapshot that is shown.
    ///
    /// # Errors
    /// [`CrawlError`]
    pub async fn refresh(mut self, wanted: Vec<Address>, lock: &Lock) -> Result<(Manifest, Vec<LeftOut>), CrawlError> {
        let before = self.disk.shown()?;
        let (mut steps, total) = (Vec::new(), wanted.len());
        for address in wanted {
            let step = self.settle(Wanted { address, kind: Kind::Page, depth: 0 }).await?;
            let why = if let Outcome::LeftOut(why) = step.outcome { Some(why) } else { None };
            steps.push(step);
            let (done, left) = (steps.len(), total - steps.len());
            if let Some(step) = steps.last() {
                (self.tell)(&Told::Settled { done, left, bytes: 0, address: &step.wanted.address, why });
            }
        }
        let (manifest, left_out) = refreshed(before, steps, self.clock.now().unix_ms);
        let manifest = published(&self.disk, manifest, lock, self.asker.gate(), self.clock, self.tell).await?;
        Ok((manifest, left_out))
    }

    /// The page of the site that a URL or a path means.
    pub fn address(&self, url: &str) -> Option<Address> {
        let root = Address { host: self.course.site().first_host(), target: "/".to_owned() };
        self.course.site().follow(&root, None, url)
    }

    /// Asks for one, or finds why not to.
    async fn settle(&mut self, wanted: Wanted) -> Result<Step, CrawlError> {
        let mut step = Step::begin(wanted);
        let address = step.wanted.address.clone();
        if let Err(why) = self.may_ask(&mut step).await? {
            step.outcome = Outcome::LeftOut(why);
            return Ok(step);
        }
        match self.asker.get(self.course.site(), &address, Extent::Whole(super::MAX_FILE)).await {
            Ok(Got { head, body, asked_unix_ms }) => {
                let times = Times { asked_unix_ms, came_unix_ms: self.clock.now().unix_ms };
                self.course.answered(&mut step, &head, &body, times);
                if let Outcome::Kept(page) = &mut step.outcome
                    && page.has_body()
                {
                    page.object = Some(self.disk.put(&body)?);
                }
            }
            Err(Gone { why, error }) if self.course.is_gone_by(why) => return Err(CrawlError::Gone(error)),
            Err(Gone { why, .. }) => step.outcome = Outcome::LeftOut(why),
        }
        Ok(step)
    }

    /// Whether a page may be asked for, once its host's robots.txt is known.
    async fn may_ask(&mut self, step: &mut Step) -> Result<Result<(), Why>, CrawlError> {
        let address = step.wanted.address.clone();
        let is_shown = |route: &policy::Route| matches!(route.mode.last(), Some(Mode::Snapshot | Mode::Newest));
        let is_shown = self.asker.route_of(self.course.site(), &address).is_some_and(|(_, route)| is_shown(route));
        let may_ask = self.course.may_ask(&address, is_shown);
        if may_ask.is_err() || self.course.knows_robots(&address.host) {
            return Ok(may_ask);
        }
        self.learn_robots(&address.host, step).await?;
        Ok(self.course.may_ask(&address, is_shown))
    }

    /// Asks a host for its robots.txt, wherever on the site it says that is.
    async fn learn_robots(&mut self, host: &str, step: &mut Step) -> Result<(), CrawlError> {
        let address = Address { host: host.to_owned(), target: "/robots.txt".to_owned() };
        let mut at = address.clone();
        let mut redirects_left = robots::REDIRECTS_MAX;
        let (status, body) = loop {
            let answer = self.asker.get(self.course.site(), &at, Extent::First(robots::LENGTH_MAX)).await;
            let Got { head, body, .. } = answer.map_err(|gone| CrawlError::Gone(format!("{at}: {}", gone.error)))?;
            let Judged::Redirect { to, .. } = head.judge() else { break (head.status, body) };
            match self.course.site().follow(&at, None, &to) {
                Some(next) if next != at && redirects_left > 0 => at = next,
                _ => break (head.status, body),
            }
            redirects_left -= 1;
        };
        let robots = Robots::of_answer(status, &body);
        let robots = robots.ok_or_else(|| CrawlError::Gone(format!("{at} says {status}")))?;
        self.asker.slow_down(robots.delay.unwrap_or(Duration::ZERO));
        self.course.learn_robots(&address, robots, step);
        Ok(())
    }

    /// An old page is better than none; and it leads where it led.
    fn fall_back(&mut self, step: &mut Step) {
        let Some(page) = self.course.page_before(step).cloned() else { return };
        match page.object.as_ref().map_or(Ok(Vec::new()), |object| self.disk.get(object)) {
            Ok(body) => self.course.fall_back(step, page, &body),
            Err(error) => tracing::warn!(%error, page = %step.wanted.address, "the old page can't be kept"),
        }
    }
}
