//! What is to be purged, and how a person writes it.

use super::name;
use crate::pipeline::path::normalise;

/// One purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    pub target: Target,
    /// Stale from now on, rather than gone.
    pub soft: bool,
}

/// What a purge means. Of hosts the port makes no difference, of a path its spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// All variants of one URL, in every cache; without a query, those without one.
    Url {
        host: Box<str>,
        path_and_query: Box<str>,
    },
    /// The same, written to: stale, and not given again before the origin has said that it is right.
    Written {
        host: Box<str>,
        path_and_query: Box<str>,
    },
    /// The path and all below it: whole segments.
    Prefix {
        host: Box<str>,
        path: Box<str>,
    },
    Host(Box<str>),
    /// Whatever the origin marked with it: Surrogate-Key, Cache-Tag, Cache-Groups of any host.
    Tag(Box<[u8]>),
    /// A cache group of one host (RFC 9875).
    Group {
        host: Box<str>,
        group: Box<[u8]>,
    },
    Everything,
}

/// Why a text names nothing that can be purged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    #[error("`{0}` names no host: write https://HOST/PATH")]
    NoHost(String),
    #[error("`{0}` is no URL: {1}")]
    NoUrl(String, &'static str),
    #[error("`{0}` is no host: write it as browsers send it, such as shop.example (xn--… where it is not ASCII)")]
    NoHostName(String),
    #[error("a prefix has no query: `{0}`; purge the path before it")]
    Query(String),
    #[error("`{0}` is no tag: 1 to {max} letters, all of them ASCII", max = crate::cache::tags::LENGTH_MAX)]
    NoTag(String),
    #[error("it is longer than {} bytes", LENGTH_MAX)]
    TooLong,
}

/// Longer than any head that is accepted.
const LENGTH_MAX: usize = 16 << 10;

impl Target {
    /// One URL, as a browser's address line has it; the scheme makes no difference, and may be left
    /// out.
    ///
    /// # Errors
    /// [`BadTarget`]
    pub fn url(text: &str) -> Result<Self, BadTarget> {
        let (host, rest) = split(text)?;
        let (path, query) = rest.split_once('?').map_or((rest.as_str(), ""), |(path, query)| (path, query));
        normalise(path).map_err(|_| BadTarget::NoUrl(text.to_owned(), "its path is ambiguous"))?;
        let path_and_query = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        Ok(Self::Url { host, path_and_query: path_and_query.into() })
    }

    /// A path and all below it: `https://shop.example/blog`, `shop.example/blog/**`.
    ///
    /// # Errors
    /// [`BadTarget`]
    pub fn prefix(text: &str) -> Result<Self, BadTarget> {
        let (host, path) = split(text)?;
        if path.contains('?') {
            return Err(BadTarget::Query(text.to_owned()));
        }
        let path = path.trim_end_matches('*');
        normalise(path).map_err(|_| BadTarget::NoUrl(text.to_owned(), "its path is ambiguous"))?;
        Ok(Self::Prefix { host, path: path.into() })
    }

    /// A host; the port, if one is given, makes no difference.
    ///
    /// # Errors
    /// [`BadTarget`]
    pub fn host(text: &str) -> Result<Self, BadTarget> {
        host_name(text).map(Self::Host)
    }

    /// What the origin marked with this.
    ///
    /// # Errors
    /// [`BadTarget`]
    pub fn tag(text: &str) -> Result<Self, BadTarget> {
        // A cache group may have spaces and commas in it (RFC 9875 §2); a key or tag has none.
        let fits = (1..=crate::cache::tags::LENGTH_MAX).contains(&text.len())
            && text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if fits { Ok(Self::Tag(text.as_bytes().into())) } else { Err(BadTarget::NoTag(text.to_owned())) }
    }

    /// The number it goes by; none: everything.
    pub(super) fn name(&self) -> Option<u64> {
        match self {
            Self::Written { host, .. } => self.at(host).map(name::written),
            Self::Url { host, .. } | Self::Prefix { host, .. } | Self::Group { host, .. } | Self::Host(host) => {
                self.at(host)
            }
            Self::Tag(tag) => Some(name::tag(tag)),
            Self::Everything => None,
        }
    }

    /// The name of the URL that was written to, where it is that.
    pub(super) fn written_to(&self) -> Option<u64> {
        match self {
            Self::Written { host, .. } => self.at(host),
            _ => None,
        }
    }

    /// The number that it goes by on any host; none: it is of no host.
    pub(super) fn anywhere(&self) -> Option<u64> {
        self.at(name::ANY_HOST)
    }

    fn at(&self, host: &str) -> Option<u64> {
        match self {
            Self::Url { path_and_query, .. } | Self::Written { path_and_query, .. } => {
                let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
                Some(name::url(host, path, query.split('&')))
            }
            Self::Prefix { path, .. } => Some(name::prefix(host, path)),
            Self::Host(_) => Some(name::host(host)),
            Self::Group { group, .. } => Some(name::group(host, group)),
            Self::Tag(_) | Self::Everything => None,
        }
    }

    /// What it is, as the policy, the log and the API call it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Url { .. } | Self::Written { .. } => "url",
            Self::Prefix { .. } => "prefix",
            Self::Host(_) => "host",
            Self::Tag(_) => "tag",
            Self::Group { .. } => "group",
            Self::Everything => "everything",
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Url { host, path_and_query } | Self::Written { host, path_and_query } => {
                write!(f, "{host}{path_and_query}")
            }
            Self::Prefix { host, path } => write!(f, "{host}{}/**", path.trim_end_matches('/')),
            Self::Host(host) => f.write_str(host),
            Self::Tag(tag) => f.write_str(&String::from_utf8_lossy(tag)),
            Self::Group { host, group } => write!(f, "{} of {host}", String::from_utf8_lossy(group)),
            Self::Everything => f.write_str("everything"),
        }
    }
}

/// The host, and path and query as a client would send them.
fn split(text: &str) -> Result<(Box<str>, String), BadTarget> {
    if text.len() > LENGTH_MAX {
        return Err(BadTarget::TooLong);
    }
    let no_url = |why| BadTarget::NoUrl(text.to_owned(), why);
    let page = text.split('#').next().unwrap_or_default();
    let rest = match page.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => rest,
        Some(_) => return Err(no_url("its scheme must be http or https")),
        None => page,
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(at).unwrap_or((rest, ""));
    if host.is_empty() {
        return Err(BadTarget::NoHost(text.to_owned()));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if path.bytes().any(|b| b.is_ascii_control() || b == b' ') {
        return Err(no_url("it has spaces or control characters in it"));
    }
    Ok((host_name(host)?, encoded(&path)))
}

/// As clients send what is not ASCII (RFC 3986 §2.5).
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| out.push_str(&format!("%{b:02X}"))),
        }
    }
    out
}

fn host_name(text: &str) -> Result<Box<str>, BadTarget> {
    let fits = !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
    if fits { Ok(text.to_ascii_lowercase().into()) } else { Err(BadTarget::NoHostName(text.to_owned())) }
}
