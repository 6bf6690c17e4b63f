//! The answers held under one key: one for each kind of request that the origin tells apart.

use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

use super::entry::Entry;
use super::vary::Selecting;
use crate::clock::Mono;
use crate::pipeline::view::Field;

/// Answers under one key at most; the oldest go first.
pub const MAX_VARIANTS: usize = 16;

/// At least one answer, the newest first.
#[derive(Clone, Debug)]
pub struct Variants(SmallVec<[Arc<Entry>; 1]>);

impl Variants {
    /// A first one.
    pub fn new(entry: Arc<Entry>) -> Self {
        Self(SmallVec::from_elem(entry, 1))
    }

    /// With an answer to a request with these fields, in place of those that answered such a request
    /// before.
    #[must_use]
    pub fn with(&self, entry: Arc<Entry>, request: &[Field<'_>], now: Mono) -> Self {
        let stay = self.0.iter().filter(|held| held.is_of_use(now) && !held.selecting().matches(request)).cloned();
        Self(std::iter::once(entry).chain(stay).take(MAX_VARIANTS).collect())
    }

    /// Whether an answer to such a request was asked for later than this one.
    pub fn has_newer(&self, than: &Entry, request: &[Field<'_>]) -> bool {
        let stamp = than.mark().stamp();
        self.0.iter().any(|held| held.mark().stamp() > stamp && held.selecting().matches(request))
    }

    /// Those that are like this; none: none is.
    pub fn only(&self, like: impl Fn(&Entry) -> bool) -> Option<Self> {
        let left: SmallVec<_> = self.0.iter().filter(|entry| like(entry)).cloned().collect();
        (!left.is_empty()).then_some(Self(left))
    }

    /// The answer for a request with these fields (RFC 9111 §4.1): the newest that varies and matches, or
    /// else one for any request.
    pub fn select(&self, request: &[Field<'_>]) -> Option<&Arc<Entry>> {
        let mut matching = self.0.iter().filter(|entry| entry.selecting().matches(request));
        let first = matching.next()?;
        if !first.selecting().is_any() {
            return Some(first);
        }
        // An answer without Vary beside others with it has probably forgotten it.
        Some(matching.find(|entry| !entry.selecting().is_any()).unwrap_or(first))
    }

    /// By what the newest answer that varies does.
    pub fn selecting(&self) -> Option<&Selecting> {
        self.0.iter().map(|entry| entry.selecting()).find(|selecting| !selecting.is_any())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.0.iter()
    }

    /// How long any of them is of use, at most, from now on.
    pub fn useful_for(&self) -> Duration {
        self.0.iter().map(|entry| entry.useful_for()).max().unwrap_or_default()
    }

    /// Bytes they take, without their key.
    pub fn weight(&self) -> u32 {
        self.0.iter().fold(0, |sum, entry| sum.saturating_add(entry.weight()))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cache::freshness::{ResponseParts, Terms};
    use crate::cache::vary;
    use crate::clock::Now;

    fn request(value: &str) -> [Field<'_>; 1] {
        [Field { name: "Foo", value: value.as_bytes() }]
    }

    /// An answer to a request with this Foo, that varies by it or not.
    fn answer(to: &str, vary: &str) -> Arc<Entry> {
        let fields = [Field { name: "Vary", value: vary.as_bytes() }];
        let response = ResponseParts { status: 200, fields: &fields };
        let selecting = Selecting::of(&vary::names(&response).unwrap(), &request(to));
        let terms = Terms { fresh_for: Duration::from_secs(60), ..Terms::default() };
        Arc::new(Entry::new(&response, Bytes::new(), terms, Now::default()).for_requests(selecting))
    }

    fn held(answers: &[(&str, &str)]) -> Variants {
        let mut answers = answers.iter().map(|(to, vary)| (*to, answer(to, vary)));
        let mut variants = Variants::new(answers.next().unwrap().1);
        for (to, entry) in answers {
            variants = variants.with(entry, &request(to), Mono::ZERO);
        }
        variants
    }

    #[test]
    fn each_request_finds_its_own_and_a_new_one_replaces_only_its_like() {
        let variants = held(&[("1", "foo"), ("2", "foo"), ("1", "foo")]);
        assert_eq!(variants.iter().count(), 2);
        assert!(variants.select(&request("1")).is_some() && variants.select(&request("2")).is_some());
        assert!(variants.select(&request("3")).is_none() && variants.select(&[]).is_none());
        assert!(variants.selecting().is_some());
    }

    #[test]
    fn the_number_of_variants_is_bounded_and_the_oldest_go_first() {
        let values: Vec<_> = (0..MAX_VARIANTS + 2).map(|i| i.to_string()).collect();
        let variants = held(&values.iter().map(|value| (value.as_str(), "foo")).collect::<Vec<_>>());
        assert_eq!(variants.iter().count(), MAX_VARIANTS);
        assert!(variants.select(&request("1")).is_none() && variants.select(&request("2")).is_some());
    }

    #[test]
    fn one_that_varies_goes_before_one_that_forgot_to_by_rfc_9111_4_1() {
        let variants = held(&[("1", "foo"), ("2", "")]);
        assert!(!variants.select(&request("1")).unwrap().selecting().is_any());
        assert!(variants.select(&request("3")).unwrap().selecting().is_any());
    }

    #[test]
    fn what_answered_such_a_request_before_is_replaced_however_it_varied() {
        assert_eq!(held(&[("1", "foo"), ("1", "")]).iter().count(), 1);
        assert_eq!(held(&[("1", ""), ("1", "foo")]).iter().count(), 1);
    }
}
