//! Taking a snapshot: one page after another, anonymously, as robots.txt and the pages allow.
//!
//! What came of each URL is written to the [`journal`](super::journal) before the next one is asked for. A
//! snapshot that was broken off, by kill −9 or by an origin that went away, goes on where it was.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

mod asker;
mod finish;

pub use asker::{Asker, Gone};
pub use finish::published;

use super::address::{Address, Site};
use super::disk::{Disk, DiskError, Lock};
use super::frontier::{Frontier, Kind, Wanted};
use super::journal::{Begun, Journal, Outcome, Step};
use super::judge::{Head, Judged};
use super::left_out::Why;
use super::links::{Links, of_css};
use super::manifest::{LeftOut, Manifest, Page};
use super::robots::{self, Robots};
use super::sitemap::Sitemap;
use crate::clock::Clock;
use crate::policy::{self, Mode};

/// Bytes of all bodies.
const BYTES_MAX: u64 = 4 << 30;
/// URLs in a row that gave no answer, after which the origin counts as gone.
const GONE_AFTER: u32 = 5;

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
    #[error("nothing could be taken: {0}; the snapshot before stays")]
    Empty(String),
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// URLs settled, and known to be still to ask for.
    pub done: usize,
    pub left: usize,
    pub bytes: u64,
    pub address: &'a Address,
    pub why: Option<Why>,
}

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
    site: Site,
    frontier: Frontier,
    robots: HashMap<String, Robots>,
    disk: Disk,
    journal: Journal,
    manifest: Manifest,
    /// By address: what the snapshot before has.
    before: HashMap<Address, Page>,
    done: usize,
    bytes: u64,
    unanswered: u32,
    clock: Clock,
    tell: &'a (dyn Fn(&Told<'_>) + Send + Sync),
}

impl<'a> Crawl<'a> {
    /// Begins one, or goes on with one that was broken off.
    ///
    /// # Errors
    /// [`CrawlError`]
    pub fn begin(
        order: Order<'_>,
        asker: Asker,
        clock: Clock,
        tell: &'a (dyn Fn(&Told<'_>) + Send + Sync),
    ) -> Result<Self, CrawlError> {
        let rules = order.rules;
        let (site, seeds) = Site::of(&rules.seeds, &asker.authority()).map_err(CrawlError::Seeds)?;
        let disk = Disk::new(&rules.dir);
        let now = clock.now().unix_ms;
        let plan = format!("{:?} {} {:?}", rules.seeds, rules.max_pages, order.through);
        let begun = Begun { plan: blake3::hash(plan.as_bytes()).to_hex().to_string(), unix_ms: now };
        let (journal, steps) = Journal::open(&disk.taking("journal"), &begun)?;
        let before = disk.shown().map(by_address).unwrap_or_default();
        let manifest = Manifest { id: now.to_string(), taken_unix_ms: now, ..Manifest::default() };
        let frontier = Frontier::new(rules.max_pages.get());
        let mut this = Self {
            asker,
            site,
            frontier,
            robots: HashMap::new(),
            disk,
            journal,
            manifest,
            before,
            done: 0,
            bytes: 0,
            unanswered: 0,
            clock,
            tell,
        };
        let popular: Vec<_> = order.popular.into_iter().filter_map(|page| this.site.adopt(page)).collect();
        for address in seeds.into_iter().chain(popular) {
            this.add(Wanted { address, kind: Kind::Page, depth: 0 });
        }
        for step in steps {
            this.frontier.settle(step.wanted.address.clone());
            for wanted in step.found.iter().cloned() {
                let _ = this.frontier.add(wanted);
            }
            this.take_up(step);
        }
        Ok(this)
    }

    /// URLs that were settled before it was broken off.
    pub fn resumed(&self) -> usize {
        self.done
    }

    /// Takes it to its end and shows it; gives its manifest.
    ///
    /// # Errors
    /// [`CrawlError`]: what is shown is then what was shown before.
    pub async fn take(mut self, lock: &Lock) -> Result<Manifest, CrawlError> {
        while let Some(wanted) = self.frontier.pop() {
            let mut step = self.settle(wanted).await?;
            if let Outcome::LeftOut(Why::Unreachable | Why::Slow | Why::Status) = step.outcome
                && let Some(page) = self.before.get(&step.wanted.address)
            {
                // An old page is better than none.
                step.outcome = Outcome::Kept(page.clone());
            }
            self.journal.write(&step)?;
            let address = step.wanted.address.clone();
            let why = if let Outcome::LeftOut(why) = step.outcome { Some(why) } else { None };
            self.take_up(step);
            let (done, left, bytes) = (self.done, self.frontier.len(), self.bytes);
            (self.tell)(&Told { done, left, bytes, address: &address, why });
        }
        if self.manifest.pages.is_empty() {
            let why = self.manifest.left_out.first();
            let why = why.map_or("no page was found".to_owned(), |l| format!("{}: {}", l.url, l.why.sentence()));
            // Begun anew next time.
            let _ = std::fs::remove_file(self.disk.taking("journal"));
            return Err(CrawlError::Empty(why));
        }
        let manifest = published(&self.disk, self.manifest, lock).await?;
        let _ = std::fs::remove_file(self.disk.taking("journal"));
        Ok(manifest)
    }

    /// Takes a few URLs alone, without what they link to, into the snapshot that is shown.
    ///
    /// # Errors
    /// [`CrawlError`]
    pub async fn refresh(mut self, wanted: Vec<Address>, lock: &Lock) -> Result<(Manifest, Vec<LeftOut>), CrawlError> {
        let before = self.disk.shown()?;
        let mut pages: HashMap<Address, Page> = by_address(before.clone());
        let mut left_out = Vec::new();
        for address in wanted {
            let url = address.to_string();
            let step = self.settle(Wanted { address: address.clone(), kind: Kind::Page, depth: 0 }).await?;
            match step.outcome {
                Outcome::Kept(page) => drop(pages.insert(address, page)),
                Outcome::LeftOut(why) => {
                    // One that is busy may still be what it was; what the origin takes back goes.
                    if !matches!(why, Why::Unreachable | Why::Slow | Why::Status) {
                        pages.remove(&address);
                    }
                    left_out.push(LeftOut { url, why });
                }
            }
        }
        let mut pages: Vec<_> = pages.into_values().collect();
        pages.sort_by(|a, b| (&a.host, &a.target).cmp(&(&b.host, &b.target)));
        let now = self.clock.now().unix_ms;
        let manifest = published(&self.disk, Manifest { id: now.to_string(), pages, ..before }, lock).await?;
        Ok((manifest, left_out))
    }

    /// The page of the site that a URL or a path means.
    pub fn address(&self, url: &str) -> Option<Address> {
        let root = Address { host: self.site.first_host(), target: "/".to_owned() };
        self.site.follow(&root, None, url)
    }

    fn take_up(&mut self, step: Step) {
        self.done += 1;
        for refused in &step.refused {
            self.manifest.leave_out(&refused.url, refused.why);
        }
        match step.outcome {
            Outcome::Kept(page) => {
                self.bytes += page.object.as_ref().map_or(0, |object| object.length);
                self.manifest.pages.push(page);
            }
            Outcome::LeftOut(why) => self.manifest.leave_out(&step.wanted.address.to_string(), why),
        }
    }

    fn add(&mut self, wanted: Wanted) {
        let url = wanted.address.to_string();
        if let Err(why) = self.frontier.add(wanted) {
            self.manifest.leave_out(&url, why);
        }
    }

    /// Asks for one, or finds why not to.
    async fn settle(&mut self, wanted: Wanted) -> Result<Step, CrawlError> {
        let mut step = Step { wanted, outcome: Outcome::LeftOut(Why::Full), found: Vec::new(), refused: Vec::new() };
        if self.bytes >= BYTES_MAX {
            return Ok(step);
        }
        let address = step.wanted.address.clone();
        let is_shown = |route: &policy::Route| matches!(route.mode.last(), Some(Mode::Snapshot | Mode::Newest));
        if !self.asker.route_of(&self.site, &address).is_some_and(|(_, route)| is_shown(route)) {
            step.outcome = Outcome::LeftOut(Why::NotShown);
            return Ok(step);
        }
        self.learn_robots(&address.host, &mut step).await?;
        if self.robots.get(&address.host).is_some_and(|robots| !robots.allow(&address.target)) {
            step.outcome = Outcome::LeftOut(Why::Robots);
            return Ok(step);
        }
        match self.asker.get(&self.site, &address, super::MAX_FILE).await {
            Ok((head, body)) => {
                self.unanswered = 0;
                self.judge(&mut step, &head, body)?;
            }
            Err(Gone { why, error }) => {
                self.unanswered += u32::from(why == Why::Unreachable);
                if self.unanswered >= GONE_AFTER {
                    return Err(CrawlError::Gone(error));
                }
                step.outcome = Outcome::LeftOut(why);
            }
        }
        Ok(step)
    }

    fn judge(&mut self, step: &mut Step, head: &Head, body: Bytes) -> Result<(), CrawlError> {
        let from = step.wanted.address.clone();
        match head.judge() {
            Judged::Keep(fields) => {
                let is_noindex = self.read(step, head, &body);
                step.outcome = if is_noindex {
                    Outcome::LeftOut(Why::Noindex)
                } else {
                    let object = Some(self.disk.put(&body)?);
                    Outcome::Kept(self.page(&from, head, fields, object))
                };
            }
            Judged::Redirect { to, keep } => {
                let target = self.site.follow(&from, None, &to);
                if let Some(address) = target {
                    self.found(step, address, step.wanted.kind);
                }
                step.outcome = match keep {
                    Ok(mut fields) => {
                        let places = fields.iter_mut().filter(|(name, _)| name == "location");
                        places.for_each(|(_, value)| *value = self.site.location(&from, value));
                        Outcome::Kept(self.page(&from, head, fields, None))
                    }
                    Err(why) => Outcome::LeftOut(why),
                };
            }
            Judged::Later(_) => step.outcome = Outcome::LeftOut(Why::Unreachable),
            Judged::LeaveOut(why) => step.outcome = Outcome::LeftOut(why),
        }
        Ok(())
    }

    fn page(
        &self,
        at: &Address,
        head: &Head,
        fields: Vec<(String, String)>,
        object: Option<super::manifest::Object>,
    ) -> Page {
        let now = self.clock.now().unix_ms;
        Page {
            host: at.host.clone(),
            target: at.target.clone(),
            status: head.status,
            fields,
            object,
            date_unix_ms: head.date_unix_ms().map_or(now, |date| date.min(now)),
            tags: head.tags(&at.host),
            variants: Vec::new(),
            recipe: 0,
        }
    }

    /// Finds where a body leads; answers whether it says that it is not to be kept.
    fn read(&mut self, step: &mut Step, head: &Head, body: &Bytes) -> bool {
        let (from, kind) = (step.wanted.address.clone(), head.kind());
        if kind.contains("html") {
            let links = Links::of_html(body);
            let base = links.base.as_deref();
            let pages = if links.nofollow || head.is_nofollow() { Vec::new() } else { links.pages };
            for (link, kind) in
                links.assets.iter().map(|link| (link, Kind::Asset)).chain(pages.iter().map(|link| (link, Kind::Page)))
            {
                if let Some(address) = self.site.follow(&from, base, link) {
                    self.found(step, address, kind);
                }
            }
            return links.noindex;
        }
        if kind == "text/css" {
            for link in of_css(&String::from_utf8_lossy(body)) {
                if let Some(address) = self.site.follow(&from, None, &link) {
                    self.found(step, address, Kind::Asset);
                }
            }
        } else if step.wanted.kind == Kind::Sitemap || from.path().contains("sitemap") {
            let sitemap = Sitemap::parse(body).unwrap_or_default();
            let pages = sitemap.pages.iter().map(|url| (url, Kind::Page));
            for (url, kind) in pages.chain(sitemap.sitemaps.iter().map(|url| (url, Kind::Sitemap))) {
                if let Some(address) = self.site.follow(&from, None, url) {
                    self.found(step, address, kind);
                }
            }
        }
        false
    }

    fn found(&mut self, step: &mut Step, address: Address, kind: Kind) {
        let depth = step.wanted.depth + u32::from(kind != Kind::Asset || step.wanted.kind == Kind::Asset);
        let wanted = Wanted { address, kind, depth };
        match self.frontier.add(wanted.clone()) {
            Ok(()) => step.found.push(wanted),
            Err(why) => step.refused.push(LeftOut { url: wanted.address.to_string(), why }),
        }
    }

    /// Asks each host for its robots.txt once. One that is not there forbids nothing (RFC 9309 §2.3.1.3); one
    /// that can't be had forbids all (§2.3.1.4).
    async fn learn_robots(&mut self, host: &str, step: &mut Step) -> Result<(), CrawlError> {
        if self.robots.contains_key(host) {
            return Ok(());
        }
        let address = Address { host: host.to_owned(), target: "/robots.txt".to_owned() };
        let robots = match self.asker.get(&self.site, &address, robots::LENGTH_MAX as u64).await {
            Ok((head, body)) if head.status == 200 => Robots::parse(&String::from_utf8_lossy(&body)),
            Ok((head, _)) if (400..500).contains(&head.status) || (300..400).contains(&head.status) => {
                Robots::default()
            }
            Ok((head, _)) => return Err(CrawlError::Gone(format!("{address} says {}", head.status))),
            Err(Gone { why: Why::TooLarge, .. }) => Robots::default(),
            Err(Gone { error, .. }) => return Err(CrawlError::Gone(format!("{address}: {error}"))),
        };
        self.asker.slow_down(robots.delay.unwrap_or(Duration::ZERO));
        for sitemap in &robots.sitemaps {
            if let Some(address) = self.site.follow(&address, None, sitemap) {
                self.found(step, address, Kind::Sitemap);
            }
        }
        self.robots.insert(host.to_owned(), robots);
        Ok(())
    }
}

fn by_address(manifest: Manifest) -> HashMap<Address, Page> {
    let pages = manifest.pages.into_iter();
    pages.map(|page| (Address { host: page.host.clone(), target: page.target.clone() }, page)).collect()
}
