//! Which cohort of the visitors a request belongs to: when not all can be served, a visitor's whole
//! visit is, or none of it.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::passage::Passage;
use super::view::View;
use crate::admission::COHORTS;
use crate::clock::Now;

/// Session cookies of common shops and frameworks, by their beginning. Of a visitor without one
/// each request stands for itself: an address may be a whole town's.
const SESSIONS: [&str; 12] = [
    "PHPSESSID",
    "JSESSIONID",
    "ASP.NET_SessionId",
    "connect.sid",
    "sessionid",
    "session",
    "_session",
    "sid",
    "laravel_session",
    "wp_woocommerce_session_",
    "wordpress_logged_in_",
    "frontend",
];
/// So that the unlucky are others each hour.
const TURN_MS: u64 = 3_600_000;

pub(super) fn of(passage: &Passage, view: &View<'_>, now: Now) -> u8 {
    let session = view.cookies().find(|(name, _)| SESSIONS.iter().any(|known| name.starts_with(known)));
    let lot = match session {
        Some((_, value)) => {
            let mut hasher = DefaultHasher::new();
            (passage.site.seed(), now.unix_ms / TURN_MS, value).hash(&mut hasher);
            hasher.finish()
        }
        None => passage.id.lot(),
    };
    (lot % u64::from(COHORTS)) as u8
}
