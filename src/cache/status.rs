//! The Cache-Status field (RFC 9211): what the cache did, for whoever looks.

use std::fmt;

use compact_str::{CompactString, ToCompactString};

/// What this cache did with a request; displays as the member to append to Cache-Status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// Answered from a copy. Seconds it is fresh for; negative: stale for so long (§2.4).
    Hit { ttl: i64 },
    /// Went to the origin, or followed one who did.
    Forward {
        why: Forward,
        /// What the origin said, where that is not what is given (§2.3).
        status: Option<u16>,
        /// The answer was kept (§2.5).
        stored: bool,
        /// It was another's request (§2.6).
        collapsed: bool,
    },
    /// The origin was asked and failed with this status (none: no answer), and a stale copy took
    /// the place of its answer.
    StaleIfError { status: Option<u16> },
}

/// Why a request went to the origin (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// The cache was not to be used.
    Bypass,
    /// The method is not kept.
    Method,
    /// Nothing is held under this key.
    UriMiss,
    /// Something is held, but for requests that say something else (RFC 9111 §4.1).
    VaryMiss,
    /// Something is held, but not for this request.
    Miss,
    /// What is held would do, but the request wishes for more.
    Request,
    /// What is held is stale.
    Stale,
}

impl Forward {
    const fn token(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
        }
    }
}

impl CacheStatus {
    /// As text; of a hit, which most answers are, without the ado of formatting.
    pub fn text(&self) -> CompactString {
        match *self {
            Self::Hit { ttl } => {
                let mut text = CompactString::const_new("Seawall; hit; ttl=");
                text.push_str(itoa::Buffer::new().format(ttl));
                text
            }
            _ => self.to_compact_string(),
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Hit { ttl } => write!(f, "Seawall; hit; ttl={ttl}"),
            Self::Forward { why, status, stored, collapsed } => {
                write!(f, "Seawall; fwd={}", why.token())?;
                if let Some(status) = status {
                    write!(f, "; fwd-status={status}")?;
                }
                f.write_str(if stored { "; stored" } else { "" })?;
                f.write_str(if collapsed { "; collapsed" } else { "" })
            }
            Self::StaleIfError { status: Some(status) } => {
                write!(f, "Seawall; fwd=stale; fwd-status={status}; detail=stale-if-error")
            }
            Self::StaleIfError { status: None } => f.write_str("Seawall; fwd=stale; detail=stale-if-error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_are_those_of_rfc_9211_and_structured_fields_parse_them() {
        let forward = |why, stored, collapsed| CacheStatus::Forward { why, status: None, stored, collapsed };
        for (status, text) in [
            (CacheStatus::Hit { ttl: 30 }, "Seawall; hit; ttl=30"),
            (CacheStatus::Hit { ttl: -412 }, "Seawall; hit; ttl=-412"),
            (forward(Forward::UriMiss, true, false), "Seawall; fwd=uri-miss; stored"),
            (forward(Forward::Miss, false, true), "Seawall; fwd=miss; collapsed"),
            (forward(Forward::Stale, true, true), "Seawall; fwd=stale; stored; collapsed"),
            (forward(Forward::Bypass, false, false), "Seawall; fwd=bypass"),
            (forward(Forward::Method, false, false), "Seawall; fwd=method"),
            (forward(Forward::Request, false, false), "Seawall; fwd=request"),
            (forward(Forward::VaryMiss, true, false), "Seawall; fwd=vary-miss; stored"),
            (
                CacheStatus::Forward { why: Forward::Stale, status: Some(304), stored: true, collapsed: false },
                "Seawall; fwd=stale; fwd-status=304; stored",
            ),
            (
                CacheStatus::StaleIfError { status: Some(503) },
                "Seawall; fwd=stale; fwd-status=503; detail=stale-if-error",
            ),
            (CacheStatus::StaleIfError { status: None }, "Seawall; fwd=stale; detail=stale-if-error"),
        ] {
            assert_eq!((status.to_string().as_str(), status.text().as_str()), (text, text));
            assert!(sfv::Parser::new(text).parse::<sfv::List>().is_ok(), "{text}");
        }
    }
}
