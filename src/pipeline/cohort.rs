//! Which cohort of the visitors a request belongs to: when not all can be served, a visitor's whole
//! visit is, or none of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::passage::Passage;
use super::view::View;
use crate::admission::COHORTS;
use crate::clock::Now;

/// Session cookies of common shops and frameworks. Of a visitor without one, who is in no room either, each
/// request stands for itself: an address may be a whole town's.
const SESSIONS: [&str; 10] = [
    "PHPSESSID",
    "JSESSIONID",
    "ASP.NET_SessionId",
    "connect.sid",
    "sessionid",
    "session",
    "_session",
    "sid",
    "laravel_session",
    "frontend",
];
/// And those that end in a number of the site's own.
const BEGINNINGS: [&str; 2] = ["wp_woocommerce_session_", "wordpress_logged_in_"];
/// So that the unlucky are others each hour.
const TURN_MS: u64 = 3_600_000;

pub(super) fn of(passage: &Passage, view: &View<'_>, now: Now) -> u8 {
    let drawn = |visitor: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        (passage.site.seed(), now.unix_ms / TURN_MS).hash(&mut hasher);
        visitor(&mut hasher);
        hasher.finish()
    };
    let is_session = |name: &str| SESSIONS.contains(&name) || BEGINNINGS.iter().any(|known| name.starts_with(known));
    let lot = match (&passage.visit, view.cookies().find(|(name, _)| is_session(name))) {
        (Some(inside), _) => drawn(&|hasher| inside.session().hash(hasher)),
        (None, Some((_, value))) => drawn(&|hasher| value.hash(hasher)),
        (None, None) => passage.id.lot(),
    };
    (lot % u64::from(COHORTS)) as u8
}
