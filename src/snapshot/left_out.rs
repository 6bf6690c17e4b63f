//! Why a URL is not in a snapshot: the report's lines, and the manifest's words.

use serde::{Deserialize, Serialize};

/// Why a URL was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// robots.txt disallows it.
    Robots,
    /// The page says so of itself (`noindex`, `noarchive`).
    Noindex,
    /// Cache-Control: no-store.
    NoStore,
    /// Cache-Control: private.
    Private,
    /// It sets a cookie: it may be one visitor's.
    SetCookie,
    /// Its answer depends on cookies, or on nobody knows what.
    Varies,
    /// 302, 303, 307: where it leads is followed, what it says is not kept.
    Temporary,
    /// A redirect without a place, or one that leads out of the site.
    BadRedirect,
    /// 404, 410.
    NotFound,
    /// 401, 403, 407.
    Forbidden,
    /// The origin's own error: another 5xx than those that ask for patience.
    Failed,
    /// Another answer than 200.
    Status,
    /// No answer, again and again.
    Unreachable,
    /// It did not come to an end in time.
    Slow,
    /// A body beyond what is kept of one file.
    TooLarge,
    /// The body came in a coding that was not asked for.
    Coded,
    /// Too many clicks from the seeds.
    Deep,
    /// A path with too many different queries: a calendar, a filter.
    Queries,
    /// A path too long, or that repeats itself.
    Trap,
    /// Session ids in the query.
    Session,
    /// The bound of the snapshot, in pages or bytes, was reached.
    Full,
    /// The route never shows the snapshot.
    NotShown,
}

impl Why {
    /// For a report.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Robots => "robots.txt disallows it",
            Self::Noindex => "the page says noindex",
            Self::NoStore => "Cache-Control: no-store",
            Self::Private => "Cache-Control: private",
            Self::SetCookie => "it sets a cookie, so it may be one visitor's",
            Self::Varies => "it varies by Cookie, or by anything",
            Self::Temporary => "a temporary redirect",
            Self::BadRedirect => "a redirect that leads nowhere, or out of the site",
            Self::NotFound => "404 or 410",
            Self::Forbidden => "401, 403 or 407",
            Self::Failed => "the origin failed (5xx)",
            Self::Status => "another status than 200, 301 or 308",
            Self::Unreachable => "the origin gave no answer",
            Self::Slow => "the answer did not end in time",
            Self::TooLarge => "larger than one file may be",
            Self::Coded => "in a content coding that was not asked for",
            Self::Deep => "too many clicks from the seeds",
            Self::Queries => "one path with too many queries",
            Self::Trap => "a path that is too long or repeats itself",
            Self::Session => "a session id in the query",
            Self::Full => "the snapshot is full (max_pages, or its bytes)",
            Self::NotShown => "the route's at.static never shows the snapshot",
        }
    }
}
