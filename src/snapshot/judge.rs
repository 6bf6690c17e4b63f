//! What becomes of an answer: kept, followed, asked for later, or left out.

use std::time::Duration;

use super::left_out::Why;
use super::links::robots_words;
use super::manifest::PageTags;
use crate::cache::freshness::ResponseParts;
use crate::pipeline::view::Field;

/// The longest Retry-After that is waited for.
const REST_MAX: Duration = Duration::from_secs(300);

/// An answer's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    /// Names in lower case. What was no UTF-8 in a value is U+FFFD: good to be judged by, not to be shown.
    pub fields: Vec<(String, String)>,
}

/// What to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// With these fields.
    Keep(Vec<(String, String)>),
    /// It leads there; kept as well, or why it is not.
    Redirect {
        to: String,
        keep: Result<Vec<(String, String)>, Why>,
    },
    /// The origin is busy: not before so long, if it says.
    Later(Option<Duration>),
    LeaveOut(Why),
}

impl Head {
    /// A field's first value.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    fn values<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.fields.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    /// Whether one of a field's comma-separated members is this, without its argument.
    fn lists(&self, name: &str, member: &str) -> bool {
        self.values(name)
            .flat_map(|line| line.split(','))
            .any(|m| m.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case(member))
    }

    /// Its media type, without parameters.
    pub fn kind(&self) -> String {
        let kind = self.field("content-type").and_then(|kind| kind.split(';').next());
        kind.unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// When the origin made it.
    pub fn date_unix_ms(&self) -> Option<u64> {
        let date = httpdate::parse_http_date(self.field("date")?).ok()?;
        u64::try_from(date.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// By what purges by tag may mean it; `host` answered it.
    pub fn tags(&self, host: &str) -> PageTags {
        let fields = self.fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() });
        let fields: Vec<_> = fields.collect();
        PageTags::of(&ResponseParts { status: self.status, fields: &fields }, host)
    }

    /// Whether its links are not to be followed.
    pub fn is_nofollow(&self) -> bool {
        self.values("x-robots-tag").any(|words| robots_words(words).1)
    }

    /// Why it is not for everyone, or not to be kept.
    fn forbids(&self) -> Option<Why> {
        let said = |word| ["cache-control", "cdn-cache-control"].iter().any(|name| self.lists(name, word));
        if said("no-store") {
            Some(Why::NoStore)
        } else if said("private") {
            Some(Why::Private)
        } else if self.field("set-cookie").is_some() {
            Some(Why::SetCookie)
        } else if ["cookie", "authorization", "*"].iter().any(|name| self.lists("vary", name)) {
            Some(Why::Varies)
        } else if self.values("x-robots-tag").any(|words| robots_words(words).0) {
            Some(Why::Noindex)
        } else {
            None
        }
    }

    /// What becomes of it.
    pub fn judge(&self) -> Judged {
        match self.status {
            200 if self.field("content-encoding").is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) => {
                Judged::LeaveOut(Why::Coded)
            }
            200 => self.forbids().map_or_else(|| Judged::Keep(self.kept()), Judged::LeaveOut),
            301 | 302 | 303 | 307 | 308 => {
                let to = self.field("location").filter(|to| !to.contains(char::REPLACEMENT_CHARACTER));
                let Some(to) = to else { return Judged::LeaveOut(Why::BadRedirect) };
                let forbids = if matches!(self.status, 301 | 308) { self.forbids() } else { Some(Why::Temporary) };
                Judged::Redirect { to: to.to_owned(), keep: forbids.map_or_else(|| Ok(self.kept()), Err) }
            }
            429 | 502 | 503 | 504 => {
                let seconds = self.field("retry-after").and_then(|after| after.trim().parse().ok());
                Judged::Later(seconds.map(|s| Duration::from_secs(s).min(REST_MAX)))
            }
            404 | 410 => Judged::LeaveOut(Why::NotFound),
            401 | 403 | 407 => Judged::LeaveOut(Why::Forbidden),
            500..600 => Judged::LeaveOut(Why::Failed),
            _ => Judged::LeaveOut(Why::Status),
        }
    }

    /// The fields that are the page's, rather than of the connection, the moment or the way here.
    fn kept(&self) -> Vec<(String, String)> {
        let named: Vec<_> = self.values("connection").flat_map(|line| line.split(',')).map(str::trim).collect();
        let is_kept = |name: &str| {
            !NOT_KEPT.contains(&name)
                && !name.starts_with("seawall-")
                && !named.iter().any(|n| n.eq_ignore_ascii_case(name))
        };
        // A field that forbids something still does without its odd letters; a tag is another's without them.
        let is_text =
            |(name, value): &&(String, String)| name != "etag" || !value.contains(char::REPLACEMENT_CHARACTER);
        let kept = self.fields.iter().filter(|(name, _)| is_kept(name)).filter(is_text);
        let text = |value: &str| value.replace(char::REPLACEMENT_CHARACTER, "_");
        let mut fields: Vec<_> = kept.map(|(name, value)| (name.clone(), text(value))).collect();
        // What a snapshot itself chooses by, it says itself.
        let others = self.values("vary").flat_map(|line| line.split(',')).map(str::trim);
        let others = others.filter(|n| !n.eq_ignore_ascii_case("accept-encoding") && !n.eq_ignore_ascii_case("accept"));
        let vary = others.collect::<Vec<_>>().join(", ");
        if !vary.is_empty() {
            fields.push(("vary".to_owned(), text(&vary)));
        }
        fields
    }
}

const NOT_KEPT: [&str; 32] = [
    "accept-ranges",
    "age",
    "alt-svc",
    "cache-status",
    "cdn-cache-control",
    "clear-site-data",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-connection",
    "proxy-status",
    "retry-after",
    "refresh",
    "server-timing",
    "set-cookie",
    "set-cookie2",
    "surrogate-control",
    "surrogate-key",
    "cache-tag",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "www-authenticate",
    "x-cache",
    "x-request-id",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, fields: &[(&str, &str)]) -> Judged {
        let fields = fields.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Head { status, fields }.judge()
    }

    #[test]
    fn what_may_be_somebodys_is_left_out() {
        for (field, why) in [
            (("cache-control", "max-age=5, no-store"), Why::NoStore),
            (("cache-control", "Private=\"x\""), Why::Private),
            (("set-cookie", "a=b"), Why::SetCookie),
            (("vary", "Accept, cookie"), Why::Varies),
            (("vary", "*"), Why::Varies),
            (("x-robots-tag", "noindex"), Why::Noindex),
            (("content-encoding", "gzip"), Why::Coded),
        ] {
            assert_eq!(judged(200, &[field]), Judged::LeaveOut(why), "{field:?}");
        }
        assert_eq!(judged(404, &[]), Judged::LeaveOut(Why::NotFound));
        assert_eq!(judged(403, &[]), Judged::LeaveOut(Why::Forbidden));
        assert_eq!(judged(206, &[]), Judged::LeaveOut(Why::Status));
        assert_eq!(judged(500, &[]), Judged::LeaveOut(Why::Failed));
    }

    #[test]
    fn lasting_redirects_are_kept_and_all_are_followed() {
        let moved = judged(301, &[("location", "/x"), ("date", "d")]);
        assert_eq!(moved, Judged::Redirect { to: "/x".into(), keep: Ok(vec![("location".into(), "/x".into())]) });
        let garbled = judged(301, &[("location", "/K\u{fffd}ln")]);
        assert_eq!(garbled, Judged::LeaveOut(Why::BadRedirect));
        let found = judged(302, &[("location", "/x")]);
        assert_eq!(found, Judged::Redirect { to: "/x".into(), keep: Err(Why::Temporary) });
        assert_eq!(judged(308, &[]), Judged::LeaveOut(Why::BadRedirect));
    }

    #[test]
    fn one_who_is_busy_is_asked_later() {
        assert_eq!(judged(503, &[("retry-after", "7")]), Judged::Later(Some(Duration::from_secs(7))));
        assert_eq!(judged(429, &[("retry-after", "99999999")]), Judged::Later(Some(REST_MAX)));
        assert_eq!(judged(502, &[]), Judged::Later(None));
    }

    #[test]
    fn a_page_keeps_its_own_fields_alone() {
        let fields = [
            ("content-type", "text/html"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("etag", "\"e\""),
            ("vary", "Accept-Encoding, Accept-Language"),
            ("seawall-room", "revoke"),
            ("content-length", "3"),
        ];
        let Judged::Keep(kept) = judged(200, &fields) else { panic!() };
        let kept: Vec<_> = kept.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(kept, [("content-type", "text/html"), ("etag", "\"e\""), ("vary", "Accept-Language")]);
    }
}
