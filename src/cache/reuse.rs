//! Whether a copy answers a request (RFC 9111 §4).

use super::directives::Directives;
use super::entry::{Entry, State};
use super::status::Forward;
use crate::clock::Mono;
use crate::policy::{Level, RequestDirectives};

/// What is done with a copy that is for this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It answers. If it is stale within the window for that, a new one is fetched meanwhile.
    Serve(State),
    /// The origin is asked first, for this reason.
    Ask(Forward),
}

/// A request's wishes, as far as they are granted: at a level above normal the origin is not asked for more
/// because someone wishes so (`request_directives`). Those that ask it for less are always granted.
pub fn granted(wishes: Directives, rule: RequestDirectives, level: Level) -> Directives {
    match rule {
        RequestDirectives::Always => wishes,
        RequestDirectives::Normal if level == Level::Normal => wishes,
        RequestDirectives::Normal | RequestDirectives::Never => wishes.harmless(),
    }
}

/// Whether this copy answers one who wishes this. `stretch`: how many times as long as usual it may be
/// stale while a new one is fetched.
pub fn reuse(entry: &Entry, wishes: &Directives, stretch: u32, now: Mono) -> Reuse {
    if wishes.no_cache {
        return Reuse::Ask(Forward::Request);
    }
    let state = entry.state_within(now, entry.terms().stale_while_revalidate.saturating_mul(stretch));
    let is_fresh = state == State::Fresh;
    // RFC 8246 §2: what does not change while it is fresh is not asked about because someone reloads.
    let too_old = wishes.max_age.is_some_and(|max| entry.age(now) > max) && !(is_fresh && entry.terms().immutable);
    let too_soon_stale = wishes.min_fresh.is_some_and(|min| entry.fresh_left(now) < min);
    if too_old || too_soon_stale {
        return Reuse::Ask(if is_fresh { Forward::Request } else { Forward::Stale });
    }
    match state {
        State::Fresh | State::StaleWhileRevalidate => Reuse::Serve(state),
        State::StaleIfError | State::Dead => match wishes.max_stale {
            Some(max) if entry.may_be_stale_for(max, now) => Reuse::Serve(State::StaleIfError),
            _ => Reuse::Ask(Forward::Stale),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::cache::freshness::{ResponseParts, Terms};
    use crate::clock::Now;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Fresh for 10 s, stale while revalidated for 20 s more, and 3 s old when it came.
    fn copy(terms: Terms) -> Entry {
        Entry::new(&ResponseParts { status: 200, fields: &[] }, Bytes::new(), terms, Now::default())
    }

    fn terms() -> Terms {
        Terms {
            fresh_for: seconds(10),
            initial_age: seconds(3),
            stale_while_revalidate: seconds(20),
            stale_if_error: seconds(60),
            ..Terms::default()
        }
    }

    fn at(second: u64, wishes: Directives) -> Reuse {
        reuse(&copy(terms()), &wishes, 1, Mono::ZERO.after(seconds(second)))
    }

    #[test]
    fn a_fresh_copy_answers_a_stale_one_while_it_is_renewed_and_then_the_origin_is_asked() {
        let plain = |second| at(second, Directives::default());
        assert_eq!(plain(9), Reuse::Serve(State::Fresh));
        assert_eq!(plain(29), Reuse::Serve(State::StaleWhileRevalidate));
        assert_eq!(plain(30), Reuse::Ask(Forward::Stale));
        let stretched = reuse(&copy(terms()), &Directives::default(), 2, Mono::ZERO.after(seconds(49)));
        assert_eq!(stretched, Reuse::Serve(State::StaleWhileRevalidate));
    }

    #[test]
    fn request_directives_ask_for_more_by_rfc_9111_5_2_1() {
        let none = Directives::default();
        assert_eq!(at(0, Directives { no_cache: true, ..none }), Reuse::Ask(Forward::Request));
        let max_age = Directives { max_age: Some(seconds(5)), ..none };
        assert_eq!(
            [2, 3].map(|second| at(second, max_age)),
            [Reuse::Serve(State::Fresh), Reuse::Ask(Forward::Request)]
        );
        assert_eq!(
            at(15, Directives { max_age: Some(seconds(60)), ..none }),
            Reuse::Serve(State::StaleWhileRevalidate)
        );
        let min_fresh = Directives { min_fresh: Some(seconds(7)), ..none };
        assert_eq!([3, 4].map(|s| at(s, min_fresh)), [Reuse::Serve(State::Fresh), Reuse::Ask(Forward::Request)]);
        assert_eq!(at(15, min_fresh), Reuse::Ask(Forward::Stale));
    }

    #[test]
    fn max_stale_takes_what_is_too_old_for_others_by_rfc_9111_5_2_1_2() {
        let wishes = Directives { max_stale: Some(seconds(100)), ..Directives::default() };
        assert_eq!([110, 111].map(|s| at(s, wishes)), [Reuse::Serve(State::StaleIfError), Reuse::Ask(Forward::Stale)]);
        let strict = copy(Terms { must_revalidate: true, fresh_for: seconds(10), ..Terms::default() });
        assert_eq!(reuse(&strict, &wishes, 1, Mono::ZERO.after(seconds(11))), Reuse::Ask(Forward::Stale));
    }

    #[test]
    fn a_reload_of_what_is_immutable_is_answered_while_it_is_fresh_by_rfc_8246_2() {
        let copy = copy(Terms { immutable: true, ..terms() });
        let wish = |wishes, second| reuse(&copy, &wishes, 1, Mono::ZERO.after(seconds(second)));
        let reload = Directives { max_age: Some(Duration::ZERO), ..Directives::default() };
        assert_eq!(wish(reload, 5), Reuse::Serve(State::Fresh));
        assert_eq!(wish(reload, 15), Reuse::Ask(Forward::Stale));
        assert_eq!(wish(Directives { no_cache: true, ..Directives::default() }, 5), Reuse::Ask(Forward::Request));
    }

    #[test]
    fn a_wish_for_more_is_granted_only_at_level_normal_unless_the_policy_says_otherwise() {
        let all = Directives {
            no_cache: true,
            no_store: true,
            only_if_cached: true,
            max_age: Some(seconds(1)),
            min_fresh: Some(seconds(1)),
            max_stale: Some(seconds(1)),
        };
        use RequestDirectives::{Always, Never, Normal};
        for (rule, level, expected) in [
            (Normal, Level::Normal, all),
            (Normal, Level::Elevated, all.harmless()),
            (Normal, Level::Static, all.harmless()),
            (Always, Level::Degraded, all),
            (Never, Level::Normal, all.harmless()),
        ] {
            assert_eq!(granted(all, rule, level), expected, "{rule:?} at {level:?}");
        }
        assert!(all.harmless().only_if_cached && all.harmless().max_stale.is_some() && !all.harmless().no_cache);
    }
}
