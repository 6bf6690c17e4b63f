//! Static files: a directory of the policy's, served with everything that browsers and caches ask of one.
//!
//! What a request means, and how it is answered, is pure ([`Asked`], [`place`], [`encoding`],
//! [`conditional`], [`reply`]). [`tree`] finds it, and [`audit`] looks for what should not be there.

pub mod audit;
mod beneath;
mod body;
pub mod conditional;
mod disk;
pub mod encoding;
pub mod pattern;
pub mod place;
pub mod reply;
pub mod tree;

use compact_str::CompactString;

pub use body::Body;
pub use tree::Tree;

use conditional::Conditions;
use encoding::Order;
use place::Place;

use crate::pipeline::view::View;
use crate::policy::Files;

/// A request for a file, in a form that outlives its head.
#[derive(Clone, Debug)]
pub struct Asked {
    /// None: there can't be such a file, or it is denied.
    pub place: Option<Place>,
    pub order: Order,
    pub conditions: Conditions,
    pub query: Option<CompactString>,
    /// Only the head is wanted.
    pub head: bool,
    /// A room guards it, or a cookie goes with it: no cache but the visitor's own may keep it.
    pub personal: bool,
}

impl Asked {
    pub fn of(view: &View<'_>, rules: &Files) -> Self {
        Self {
            place: Place::of(view.path, &rules.strip).filter(|place| !place.is_denied(rules)),
            order: encoding::order(view, &rules.precompressed),
            conditions: Conditions::of(view),
            query: view.query.map(CompactString::from),
            head: view.method == "HEAD",
            personal: false,
        }
    }
}

/// What a file that changes can't keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since 1970 UTC; what is older counts as of then.
    pub modified_ns: u128,
}

impl Stamp {
    /// Seconds since 1970 UTC.
    pub fn modified_seconds(&self) -> u64 {
        u64::try_from(self.modified_ns / 1_000_000_000).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use crate::pipeline::view::{BodyKind, Field, Scheme, Version, View};
    use crate::policy::{Coding, Files};

    pub fn rules() -> Files {
        Files {
            name: "assets".into(),
            root: "public".into(),
            strip: String::new(),
            precompressed: Coding::ALL.to_vec(),
            immutable: vec!["*.????????.*".into()],
            deny: vec!["*.php".into(), "*.sql".into(), ".*".into()],
            index: Some("index.html".into()),
            fallback: None,
            not_found: None,
            max_age: Duration::from_secs(60),
        }
    }

    /// Lets one look at a GET with these fields.
    pub fn view<T>(fields: &[(&'static str, &str)], look: impl FnOnce(&View<'_>) -> T) -> T {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        look(&View {
            method: "GET",
            version: Version::Http11,
            scheme: Scheme::Http,
            host: "shop.example",
            path: "/",
            raw_path: "/",
            query: None,
            fields: &fields,
            client: [127, 0, 0, 1].into(),
            trusted: false,
            body: BodyKind::None,
        })
    }
}
