//! The course of a snapshot that is being taken: what is asked for next, and what each answer means for it.
//!
//! No socket, no disk and no clock: [`crawl`](super::crawl) does what this decides.

use std::collections::HashMap;

use super::address::{Address, Site};
use super::frontier::{Frontier, Kind, Wanted};
use super::journal::{Outcome, Step};
use super::judge::{Head, Judged};
use super::left_out::Why;
use super::links::{Links, of_css};
use super::manifest::{LeftOut, Manifest, Page};
use super::robots::Robots;
use super::sitemap::Sitemap;

/// Bytes of all bodies.
const BYTES_MAX: u64 = 4 << 30;
/// URLs in a row that gave no answer, after which the origin counts as gone.
const GONE_AFTER: u32 = 5;

/// When a page was asked for, and when its answer came, in milliseconds since 1970 UTC.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub asked_unix_ms: u64,
    pub came_unix_ms: u64,
}

/// How far a snapshot is, and where it goes.
#[derive(Debug)]
pub struct Course {
    site: Site,
    frontier: Frontier,
    /// Of each host that was asked.
    robots: HashMap<String, Robots>,
    manifest: Manifest,
    /// What the snapshot before has.
    before: HashMap<Address, Page>,
    done: usize,
    bytes: u64,
    unanswered: u32,
}

impl Course {
    /// From these seeds on, and by the steps of one that was broken off.
    pub fn new(
        site: Site,
        seeds: impl IntoIterator<Item = Address>,
        max_pages: usize,
        manifest: Manifest,
        before: Manifest,
        steps: Vec<Step>,
    ) -> Self {
        let mut this = Self {
            site,
            frontier: Frontier::new(max_pages),
            robots: HashMap::new(),
            manifest,
            before: by_address(before),
            done: 0,
            bytes: 0,
            unanswered: 0,
        };
        for address in seeds {
            let url = address.to_string();
            if let Err(why) = this.frontier.add(Wanted { address, kind: Kind::Page, depth: 0 }) {
                this.manifest.leave_out(&url, why);
            }
        }
        for step in steps {
            this.frontier.settle(step.wanted.address.clone());
            for wanted in step.found.iter().cloned() {
                let _ = this.frontier.add(wanted);
            }
            this.take_up(step);
        }
        this
    }

    pub fn site(&self) -> &Site {
        &self.site
    }

    /// URLs settled, and known to be still to ask for.
    pub fn progress(&self) -> (usize, usize) {
        (self.done, self.frontier.len())
    }

    /// Bytes of the bodies so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is asked for next.
    pub fn pop(&mut self) -> Option<Wanted> {
        self.frontier.pop()
    }

    /// Whether a page may be asked for, whose host's robots.txt is known or not; why not.
    ///
    /// # Errors
    /// Why it is left out.
    pub fn may_ask(&self, address: &Address, is_shown: bool) -> Result<(), Why> {
        let is_allowed = |robots: &Robots| robots.allow(&address.target);
        if self.bytes >= BYTES_MAX {
            Err(Why::Full)
        } else if !is_shown {
            Err(Why::NotShown)
        } else if !self.robots.get(&address.host).is_none_or(is_allowed) {
            Err(Why::Robots)
        } else {
            Ok(())
        }
    }

    /// Whether a host's robots.txt is known.
    pub fn knows_robots(&self, host: &str) -> bool {
        self.robots.contains_key(host)
    }

    /// What a host's robots.txt says; the sitemaps that it names are asked for.
    pub fn learn_robots(&mut self, at: &Address, robots: Robots, step: &mut Step) {
        for sitemap in &robots.sitemaps {
            self.follow(step, at, None, sitemap, Kind::Sitemap);
        }
        self.robots.insert(at.host.clone(), robots);
    }

    /// There was no answer; whether the origin is gone by this.
    pub fn is_gone_by(&mut self, why: Why) -> bool {
        self.unanswered += u32::from(why == Why::Unreachable);
        self.unanswered >= GONE_AFTER
    }

    /// What becomes of an answer, and what it leads to. The body of a page that is kept is not in it yet.
    pub fn answered(&mut self, step: &mut Step, head: &Head, body: &[u8], times: Times) {
        self.unanswered = 0;
        let from = step.wanted.address.clone();
        step.outcome = match head.judge() {
            Judged::Keep(fields) => match self.read(step, head, body) {
                true => Outcome::LeftOut(Why::Noindex),
                false => Outcome::Kept(page(&from, head, fields, times)),
            },
            // To the same page by another scheme, or a part of it: nobody would ever arrive.
            Judged::Redirect { to, .. } if self.site.follow(&from, None, &to).as_ref() == Some(&from) => {
                Outcome::LeftOut(Why::BadRedirect)
            }
            Judged::Redirect { to, keep } => {
                self.follow(step, &from, None, &to, step.wanted.kind);
                match keep {
                    Ok(mut fields) => {
                        let places = fields.iter_mut().filter(|(name, _)| name == "location");
                        places.for_each(|(_, value)| *value = self.site.location(&from, value));
                        Outcome::Kept(page(&from, head, fields, times))
                    }
                    Err(why) => Outcome::LeftOut(why),
                }
            }
            Judged::Later(_) => Outcome::LeftOut(Why::Unreachable),
            Judged::LeaveOut(why) => Outcome::LeftOut(why),
        };
    }

    /// The page of the snapshot before that is better than none, in place of one that could not be had.
    pub fn page_before(&self, step: &Step) -> Option<&Page> {
        let is_passing = matches!(step.outcome, Outcome::LeftOut(why) if is_passing(why));
        self.before.get(&step.wanted.address).filter(|_| is_passing)
    }

    /// Keeps that one, and asks for what it leads to: a failure of one page is not to cost those behind it.
    pub fn fall_back(&mut self, step: &mut Step, page: Page, body: &[u8]) {
        let head = Head { status: page.status, fields: page.fields.clone() };
        match page.field("location") {
            Some(to) => self.follow(step, &step.wanted.address.clone(), None, to, step.wanted.kind),
            None => drop(self.read(step, &head, body)),
        }
        step.outcome = Outcome::Kept(page);
    }

    /// What came of one URL.
    pub fn take_up(&mut self, step: Step) {
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

    /// All that was taken.
    ///
    /// # Errors
    /// Why there is nothing.
    pub fn end(self) -> Result<Manifest, String> {
        if !self.manifest.pages.is_empty() {
            return Ok(self.manifest);
        }
        let why = self.manifest.left_out.first();
        Err(why.map_or("no page was found".to_owned(), |l| format!("{}: {}", l.url, l.why.sentence())))
    }

    /// Finds where a body leads; answers whether it says that it is not to be kept.
    fn read(&mut self, step: &mut Step, head: &Head, body: &[u8]) -> bool {
        let (from, kind) = (step.wanted.address.clone(), head.kind());
        if kind.contains("html") {
            let links = Links::of_html(body);
            let base = links.base.as_deref();
            let pages = if links.nofollow || head.is_nofollow() { Vec::new() } else { links.pages };
            links.assets.iter().for_each(|link| self.follow(step, &from, base, link, Kind::Asset));
            pages.iter().for_each(|link| self.follow(step, &from, base, link, Kind::Page));
            return links.noindex;
        }
        if kind == "text/css" {
            let links = of_css(&String::from_utf8_lossy(body));
            links.iter().for_each(|link| self.follow(step, &from, None, link, Kind::Asset));
        } else if step.wanted.kind == Kind::Sitemap || from.path().contains("sitemap") {
            let sitemap = Sitemap::parse(body).unwrap_or_default();
            sitemap.pages.iter().for_each(|url| self.follow(step, &from, None, url, Kind::Page));
            sitemap.sitemaps.iter().for_each(|url| self.follow(step, &from, None, url, Kind::Sitemap));
        }
        false
    }

    /// Asks for what a page names, if it is the site's.
    fn follow(&mut self, step: &mut Step, from: &Address, base: Option<&str>, link: &str, kind: Kind) {
        let Some(address) = self.site.follow(from, base, link) else { return };
        let depth = step.wanted.depth + u32::from(kind != Kind::Asset || step.wanted.kind == Kind::Asset);
        let wanted = Wanted { address, kind, depth };
        match self.frontier.add(wanted.clone()) {
            Ok(()) => step.found.push(wanted),
            Err(why) => step.refused.push(LeftOut { url: wanted.address.to_string(), why }),
        }
    }
}

/// A snapshot with a few pages taken anew, and those that could not be.
pub fn refreshed(before: Manifest, steps: Vec<Step>, unix_ms: u64) -> (Manifest, Vec<LeftOut>) {
    let mut pages = by_address(before.clone());
    let (mut manifest, mut left_out) = (Manifest { id: unix_ms.to_string(), ..before }, Vec::new());
    for Step { wanted, outcome, .. } in steps {
        let url = wanted.address.to_string();
        match outcome {
            Outcome::Kept(page) => {
                manifest.take_in(&url);
                pages.insert(wanted.address, page);
            }
            Outcome::LeftOut(why) => {
                // One that is busy may still be what it was; what the origin takes back goes.
                if !is_passing(why) {
                    manifest.take_in(&url);
                    manifest.leave_out(&url, why);
                    pages.remove(&wanted.address);
                }
                left_out.push(LeftOut { url, why });
            }
        }
    }
    manifest.pages = pages.into_values().collect();
    manifest.pages.sort_by(|a, b| (&a.host, &a.target).cmp(&(&b.host, &b.target)));
    (manifest, left_out)
}

/// Whether it says something of the moment, rather than of the page.
fn is_passing(why: Why) -> bool {
    matches!(why, Why::Unreachable | Why::Slow | Why::Failed)
}

fn page(at: &Address, head: &Head, fields: Vec<(String, String)>, times: Times) -> Page {
    Page {
        host: at.host.clone(),
        target: at.target.clone(),
        status: head.status,
        fields,
        object: None,
        date_unix_ms: head.date_unix_ms().map_or(times.came_unix_ms, |date| date.min(times.came_unix_ms)),
        asked_unix_ms: Some(times.asked_unix_ms),
        tags: head.tags(&at.host),
        variants: Vec::new(),
        recipe: 0,
    }
}

fn by_address(manifest: Manifest) -> HashMap<Address, Page> {
    let pages = manifest.pages.into_iter();
    pages.map(|page| (Address { host: page.host.clone(), target: page.target.clone() }, page)).collect()
}

#[cfg(test)]
mod tests;
