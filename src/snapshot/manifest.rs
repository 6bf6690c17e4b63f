//! What a snapshot is made of, as it is written down: its pages, and what it left out.
//!
//! One line says what the rest is and what it adds up to, so that a file that was cut or changed is
//! never taken for a snapshot.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::left_out::Why;
use crate::cache::freshness::ResponseParts;
use crate::cache::purge::Tags;
use crate::cache::tags;

/// What the first line begins with.
const MAGIC: &str = "seawall-snapshot";
/// The version of the form.
const VERSION: u32 = 1;
/// URLs that are named as left out; the rest are only counted.
pub const LEFT_OUT_MAX: usize = 10_000;

/// A snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Sorts by age.
    pub id: String,
    /// Milliseconds since 1970 UTC.
    pub taken_unix_ms: u64,
    pub pages: Vec<Page>,
    /// At most [`LEFT_OUT_MAX`] of them.
    pub left_out: Vec<LeftOut>,
    pub left_out_counts: BTreeMap<Why, u64>,
}

/// One URL's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Lower case, without the scheme's own port; empty: whatever host is asked.
    pub host: String,
    /// Path and query, as they are sent.
    pub target: String,
    pub status: u16,
    /// Without those of the connection, its length and its date.
    pub fields: Vec<(String, String)>,
    /// None: a redirect, which has no body.
    pub object: Option<Object>,
    /// When the origin made it, in milliseconds since 1970 UTC.
    pub date_unix_ms: u64,
    /// When it was asked for: what was purged or written since is not in it. Not known of one that was taken by a
    /// Seawall that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_unix_ms: Option<u64>,
    /// By what purges by tag may mean it.
    #[serde(default, skip_serializing_if = "PageTags::is_empty")]
    pub tags: PageTags,
    /// The same in other forms, each smaller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<Variant>,
    /// The [`RECIPE`](super::forms::RECIPE) that they were made by; 0: not all of them were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recipe: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// The tags of a page, by which purges may mean it, as they are kept of a cached copy; none are known of one that
/// was taken by a Seawall that did not keep them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageTags {
    /// At most [`tags::COUNT_MAX`].
    names: Vec<u64>,
    /// It has more than are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

impl PageTags {
    /// As the head of an answer of this host has them.
    pub fn of(response: &ResponseParts<'_>, host: &str) -> Self {
        let (names, tags) = tags::of(response, host);
        Self { names: names.to_vec(), more: tags == Tags::Unknown }
    }

    pub fn names(&self) -> &[u64] {
        &self.names
    }

    /// Which purges by tag concern it beside those of its names.
    pub fn kind(&self) -> Tags {
        match (self.more, self.is_empty()) {
            (true, _) => Tags::Unknown,
            (_, true) => Tags::None,
            _ => Tags::Named,
        }
    }

    /// Whether no purge by tag concerns it.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.more
    }
}

/// A body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// BLAKE3, in hex: where it lies.
    pub hash: String,
    pub length: u64,
}

/// A page in another form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    pub form: Form,
    /// In pixels, of a picture that is less wide than its own form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    pub object: Object,
}

/// The forms besides the origin's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    Gzip,
    Br,
    Zstd,
    Webp,
    Avif,
}

impl Form {
    /// As reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Webp => "webp",
            Self::Avif => "avif",
        }
    }

    /// Whether it is chosen by Accept, rather than by Accept-Encoding.
    pub const fn is_picture(self) -> bool {
        matches!(self, Self::Webp | Self::Avif)
    }
}

/// A URL that was met and is not in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub url: String,
    pub why: Why,
}

/// Why a file is no manifest.
#[derive(Debug, Error)]
pub enum BadManifest {
    #[error("it is no snapshot of Seawall's")]
    Foreign,
    #[error("it is of version {0}, and this Seawall knows version {VERSION}: take a new snapshot")]
    Version(u32),
    #[error("it is damaged: its checksum is wrong; take a new snapshot, or `seawall snapshot rollback`")]
    Damaged,
    #[error("it can't be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Manifest {
    /// As it is written.
    ///
    /// # Errors
    /// None in practice: these types have no value that JSON lacks.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let mut out = format!("{MAGIC} {VERSION} {}\n", blake3::hash(&body).to_hex()).into_bytes();
        out.extend_from_slice(&body);
        Ok(out)
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// [`BadManifest`]
    pub fn decode(bytes: &[u8]) -> Result<Self, BadManifest> {
        let end = bytes.iter().take(256).position(|b| *b == b'\n').ok_or(BadManifest::Foreign)?;
        let (head, body) = bytes.split_at_checked(end + 1).ok_or(BadManifest::Foreign)?;
        let head = std::str::from_utf8(head).map_err(|_| BadManifest::Foreign)?;
        let mut words = head.split_ascii_whitespace();
        if words.next() != Some(MAGIC) {
            return Err(BadManifest::Foreign);
        }
        let version = words.next().and_then(|v| v.parse().ok()).ok_or(BadManifest::Foreign)?;
        if version != VERSION {
            return Err(BadManifest::Version(version));
        }
        if words.next() != Some(blake3::hash(body).to_hex().as_str()) {
            return Err(BadManifest::Damaged);
        }
        Ok(serde_json::from_slice(body)?)
    }

    /// Notes a URL that is not in it.
    pub fn leave_out(&mut self, url: &str, why: Why) {
        *self.left_out_counts.entry(why).or_default() += 1;
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push(LeftOut { url: url.to_owned(), why });
        }
    }

    /// Takes back that a URL is not in it.
    pub fn take_in(&mut self, url: &str) {
        let Some(at) = self.left_out.iter().position(|left| left.url == url) else { return };
        let LeftOut { why, .. } = self.left_out.remove(at);
        if let Some(count) = self.left_out_counts.get_mut(&why) {
            *count = count.saturating_sub(1);
        }
        self.left_out_counts.retain(|_, count| *count > 0);
    }

    /// The bodies it needs.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.pages.iter().flat_map(|page| page.object.iter().chain(page.variants.iter().map(|v| &v.object)))
    }

    /// Bytes of all smaller forms; what several pages share counts once.
    pub fn forms_bytes(&self) -> u64 {
        let variants = self.pages.iter().flat_map(|page| &page.variants).map(|variant| &variant.object);
        let distinct: HashMap<_, _> = variants.map(|object| (&object.hash, object.length)).collect();
        distinct.values().sum()
    }

    /// Bytes of the pages as the origin sent them.
    pub fn bytes(&self) -> u64 {
        self.pages.iter().filter_map(|page| page.object.as_ref()).map(|object| object.length).sum()
    }
}

impl Page {
    /// Whether it has a body: a redirect has none.
    pub const fn has_body(&self) -> bool {
        self.status == 200
    }

    /// Its media type, in lower case and without parameters.
    pub fn kind(&self) -> String {
        let kind = self.field("content-type").and_then(|kind| kind.split(';').next());
        kind.unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether nobody on its way may change its form (RFC 9110 §7.7).
    pub fn is_as_it_is(&self) -> bool {
        let fields = self.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cache-control"));
        let mut members = fields.flat_map(|(_, value)| value.split(','));
        members.any(|member| member.trim().eq_ignore_ascii_case("no-transform"))
    }

    /// The first value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let object = Object { hash: "ab".repeat(32), length: 5 };
        let page = Page {
            host: String::new(),
            target: "/a?b=1".to_owned(),
            status: 200,
            fields: vec![("content-type".to_owned(), "text/html".to_owned())],
            object: Some(object.clone()),
            date_unix_ms: 1,
            asked_unix_ms: Some(1),
            tags: PageTags { names: vec![u64::MAX], more: true },
            variants: vec![Variant { form: Form::Avif, width: Some(480), object }],
            recipe: 1,
        };
        let mut manifest = Manifest { id: "1".to_owned(), taken_unix_ms: 1, pages: vec![page], ..Manifest::default() };
        manifest.leave_out("/x", Why::NoStore);
        manifest
    }

    #[test]
    fn what_is_written_is_read_and_what_was_changed_is_not() {
        let bytes = manifest().encode().unwrap();
        assert_eq!(Manifest::decode(&bytes).unwrap(), manifest());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Manifest::decode(&changed).is_err(), "byte {at}");
            assert!(Manifest::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
        let untagged = r#"{"host":"","target":"/","status":200,"fields":[],"object":null,"date_unix_ms":1}"#;
        let untagged: Page = serde_json::from_str(untagged).unwrap();
        assert_eq!((untagged.tags.kind(), manifest().pages[0].tags.kind()), (Tags::None, Tags::Unknown));
        let other = b"seawall-snapshot 2 00\n{}";
        assert!(matches!(Manifest::decode(other), Err(BadManifest::Version(2))));
    }

    #[test]
    fn what_is_left_out_is_counted_without_end_and_named_within_a_bound() {
        let mut manifest = Manifest::default();
        (0..LEFT_OUT_MAX + 5).for_each(|i| manifest.leave_out(&format!("/{i}"), Why::Robots));
        assert_eq!(manifest.left_out.len(), LEFT_OUT_MAX);
        assert_eq!(manifest.left_out_counts.get(&Why::Robots), Some(&(LEFT_OUT_MAX as u64 + 5)));
    }
}
