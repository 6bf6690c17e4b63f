//! The request as the core sees it: borrowed, parsed once, the same for both doors.

use std::net::IpAddr;

use super::query;

/// A header field, name and value as they came; names compare without case.
pub type Field<'a> = httparse::Header<'a>;

/// The protocol a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// `http` or `https`, as the visitor used it (a trusted proxy's X-Forwarded-Proto counts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Version {
    /// As the log writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

impl Scheme {
    /// As it follows a host.
    pub const fn default_port(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A request's body, as its head declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    None,
    /// Bytes, not zero.
    Length(u64),
    /// Length not known beforehand.
    Stream,
}

/// A request.
#[derive(Clone, Debug)]
pub struct View<'a> {
    pub method: &'a str,
    pub version: Version,
    pub scheme: Scheme,
    /// Lower case, with the port if it was given.
    pub host: &'a str,
    /// Decoded once, dot segments and doubled slashes resolved: for matching, never for sending on.
    pub path: &'a str,
    /// The path as it came (and as it goes on to the origin).
    pub raw_path: &'a str,
    /// Without the `?`.
    pub query: Option<&'a str>,
    pub fields: &'a [Field<'a>],
    /// The visitor's address: the peer's, or what trusted proxies say.
    pub client: IpAddr,
    /// It came through a trusted proxy.
    pub trusted: bool,
    pub body: BodyKind,
}

impl<'a> View<'a> {
    /// The first value of a field, trimmed; none if it is not valid UTF-8.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        self.fields_named(name).next()
    }

    /// Every value of a field, in order; those that are not UTF-8 are left out.
    pub fn fields_named<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |f| f.name.eq_ignore_ascii_case(name))
            .filter_map(|f| std::str::from_utf8(f.value).ok().map(str::trim))
    }

    /// Every cookie, as name and value, over all Cookie fields (RFC 6265 §5.4).
    pub fn cookies(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.fields_named("cookie")
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.trim(), value.trim()))
    }

    /// The first cookie of that name.
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.cookies().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// The host without its port.
    pub fn host_name(&self) -> &'a str {
        match self.host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => self.host,
        }
    }

    /// Path and query as they came, but for passes and invitations: secrets for neither logs nor origins.
    pub fn target(&self) -> String {
        match self.query.and_then(query::without_ours) {
            Some(query) => format!("{}?{query}", self.raw_path),
            None => self.raw_path.to_owned(),
        }
    }

    /// [`View::field`], or nothing where nobody wants to know.
    pub fn field_if(&self, wanted: bool, name: &str) -> &'a str {
        if wanted { self.field(name).unwrap_or_default() } else { "" }
    }

    /// GET or HEAD: what a copy may answer.
    pub fn is_read(&self) -> bool {
        matches!(self.method, "GET" | "HEAD")
    }
}
