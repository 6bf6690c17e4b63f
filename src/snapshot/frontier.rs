//! What is still to be asked for, and what is not: the bounds that a site without an end runs into.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::left_out::Why;

/// Clicks from a seed.
pub const DEPTH_MAX: u32 = 64;
/// Different queries of one path.
pub const QUERIES_MAX: u32 = 64;
/// Assets for each page that may be taken.
const ASSETS_PER_PAGE: usize = 10;
/// URLs remembered as seen: those beyond it are not asked for.
const SEEN_MAX: usize = 1_000_000;

/// What a URL is to the page that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Page,
    /// Needed to show a page.
    Asset,
    Sitemap,
}

/// A URL to be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    pub address: Address,
    pub kind: Kind,
    /// Clicks from a seed.
    pub depth: u32,
}

/// The queue, and everything that was ever in it.
#[derive(Debug)]
pub struct Frontier {
    /// What belongs to a page already taken comes before the next page, so that a snapshot that is full, or was
    /// ended, has whole pages.
    needed: VecDeque<Wanted>,
    pages: VecDeque<Wanted>,
    seen: HashSet<Address>,
    settled: HashSet<Address>,
    queries: HashMap<(String, String), u32>,
    pages_left: usize,
    assets_left: usize,
}

impl Frontier {
    pub fn new(max_pages: usize) -> Self {
        Self {
            needed: VecDeque::new(),
            pages: VecDeque::new(),
            seen: HashSet::new(),
            settled: HashSet::new(),
            queries: HashMap::new(),
            pages_left: max_pages,
            assets_left: max_pages.saturating_mul(ASSETS_PER_PAGE),
        }
    }

    /// Notes a URL, unless it is known; answers why it will not be asked for, if it is new and won't.
    ///
    /// # Errors
    /// The bound that it runs into.
    pub fn add(&mut self, wanted: Wanted) -> Result<(), Why> {
        if self.seen.contains(&wanted.address) || self.seen.len() >= SEEN_MAX {
            return Ok(());
        }
        self.seen.insert(wanted.address.clone());
        if let Some(why) = wanted.address.is_trap() {
            return Err(why);
        }
        if wanted.depth > DEPTH_MAX {
            return Err(Why::Deep);
        }
        if wanted.address.query().is_some() {
            let path = (wanted.address.host.clone(), wanted.address.path().to_owned());
            let queries = self.queries.entry(path).or_default();
            *queries += 1;
            if *queries > QUERIES_MAX {
                return Err(Why::Queries);
            }
        }
        let left = if wanted.kind == Kind::Page { &mut self.pages_left } else { &mut self.assets_left };
        *left = left.checked_sub(1).ok_or(Why::Full)?;
        match wanted.kind {
            Kind::Page => self.pages.push_back(wanted),
            Kind::Asset | Kind::Sitemap => self.needed.push_back(wanted),
        }
        Ok(())
    }

    /// The next one.
    pub fn pop(&mut self) -> Option<Wanted> {
        loop {
            let wanted = self.needed.pop_front().or_else(|| self.pages.pop_front())?;
            if !self.settled.remove(&wanted.address) {
                return Some(wanted);
            }
        }
    }

    /// It was asked for before this process began, and is not asked for again.
    pub fn settle(&mut self, address: Address) {
        self.settled.insert(address);
    }

    /// How many there are still.
    pub fn len(&self) -> usize {
        (self.needed.len() + self.pages.len()).saturating_sub(self.settled.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(target: &str, depth: u32) -> Wanted {
        Wanted { address: Address { host: String::new(), target: target.to_owned() }, kind: Kind::Page, depth }
    }

    #[test]
    fn a_calendar_that_never_ends_runs_into_a_bound() {
        let mut frontier = Frontier::new(1000);
        let by_query = (0..1000).filter(|i| frontier.add(page(&format!("/calendar?month={i}"), 1)).is_ok()).count();
        assert_eq!(by_query, QUERIES_MAX as usize);
        let by_click = (0..1000).filter(|i| frontier.add(page(&format!("/calendar/{i}"), *i)).is_ok()).count();
        assert_eq!(by_click, DEPTH_MAX as usize + 1);
    }

    #[test]
    fn what_a_page_needs_comes_before_the_next_page() {
        let mut frontier = Frontier::new(10);
        frontier.add(page("/1", 0)).unwrap();
        frontier.add(page("/2", 0)).unwrap();
        frontier.add(Wanted { kind: Kind::Asset, ..page("/a.css", 0) }).unwrap();
        let order: Vec<_> = std::iter::from_fn(|| frontier.pop()).map(|w| w.address.target).collect();
        assert_eq!(order, ["/a.css", "/1", "/2"]);
    }

    proptest! {
        #[test]
        fn no_url_is_asked_for_twice_and_never_more_than_the_bound(
            urls in proptest::collection::vec((0_u8..40, 0_u8..4, 0_u32..100), 0..300), max in 0_usize..30,
        ) {
            let mut frontier = Frontier::new(max);
            for (path, query, depth) in urls {
                let _ = frontier.add(page(&format!("/{path}?{query}"), depth));
            }
            let asked: Vec<_> = std::iter::from_fn(|| frontier.pop()).map(|w| w.address).collect();
            prop_assert!(asked.len() <= max);
            prop_assert_eq!(asked.iter().collect::<HashSet<_>>().len(), asked.len());
        }
    }
}
