//! What a request wishes of a cache (RFC 9111 §5.2.1, §5.4).

use std::time::Duration;

use super::freshness::cache_control::{directive, members, seconds};
use crate::pipeline::view::View;

/// A request's directives. One that is malformed is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// Ask the origin, whatever is held.
    pub no_cache: bool,
    /// Keep nothing of the answer.
    pub no_store: bool,
    /// Don't ask the origin.
    pub only_if_cached: bool,
    /// No older than this.
    pub max_age: Option<Duration>,
    /// Fresh for at least so long.
    pub min_fresh: Option<Duration>,
    /// Stale for no longer than this.
    pub max_stale: Option<Duration>,
}

impl Directives {
    /// Of all Cache-Control fields as one list; of Pragma only where there is none (§5.4).
    pub fn of(view: &View<'_>) -> Self {
        let mut wishes = Self::default();
        let named = |name| view.fields.iter().filter(move |f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value);
        if named("cache-control").next().is_none() {
            wishes.no_cache = named("pragma").flat_map(members).any(|m| m.eq_ignore_ascii_case(b"no-cache"));
            return wishes;
        }
        for member in named("cache-control").flat_map(members) {
            let (name, argument) = directive(member);
            let time = argument.and_then(seconds);
            match name.as_slice() {
                b"no-cache" => wishes.no_cache = true,
                b"no-store" => wishes.no_store = true,
                b"only-if-cached" => wishes.only_if_cached = true,
                b"max-age" => wishes.max_age = time.or(wishes.max_age),
                b"min-fresh" => wishes.min_fresh = time.or(wishes.min_fresh),
                b"max-stale" if argument.is_none() => wishes.max_stale = Some(Duration::MAX),
                b"max-stale" => wishes.max_stale = time.or(wishes.max_stale),
                _ => {}
            }
        }
        wishes
    }

    /// Those that spare the origin work rather than ask for more of it.
    #[must_use]
    pub fn harmless(self) -> Self {
        Self { only_if_cached: self.only_if_cached, max_stale: self.max_stale, ..Self::default() }
    }

    /// What a cache further on is told, so that it grants the same.
    pub fn for_upstream(&self) -> Option<String> {
        match self.max_age {
            _ if self.no_cache => Some("no-cache".to_owned()),
            Some(age) => Some(format!("max-age={}", age.as_secs())),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::view;
    use super::*;
    use crate::pipeline::view::Field;

    fn wishes(fields: &[(&str, &str)]) -> Directives {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        Directives::of(&view(&fields))
    }

    #[test]
    fn request_directives_are_read_by_rfc_9111_5_2_1() {
        let all = "no-cache, No-Store, only-if-cached, max-age=5, min-fresh=\"6\", max-stale=7, x";
        let second = Duration::from_secs(1);
        let expected = Directives {
            no_cache: true,
            no_store: true,
            only_if_cached: true,
            max_age: Some(5 * second),
            min_fresh: Some(6 * second),
            max_stale: Some(7 * second),
        };
        assert_eq!(wishes(&[("Cache-Control", all)]), expected);
        assert_eq!(wishes(&[("cache-control", "max-stale")]).max_stale, Some(Duration::MAX));
        assert_eq!(wishes(&[("cache-control", "max-age=x, min-fresh, max-stale=-1")]), Directives::default());
        assert_eq!(expected.harmless().max_age, None);
    }

    #[test]
    fn pragma_counts_only_without_cache_control_by_rfc_9111_5_4() {
        assert!(wishes(&[("Pragma", "x, No-Cache")]).no_cache);
        assert!(!wishes(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=1")]).no_cache);
    }
}
