//! Which URLs are the site's, and how they are written: one spelling for one page, as browsers make it.

use serde::{Deserialize, Serialize};
use url::Url;

use super::left_out::Why;

/// Bytes of path and query.
const TARGET_MAX: usize = 2048;
/// Directories within directories.
const SEGMENTS_MAX: usize = 24;
/// Times one name may come in a path.
const REPEATS_MAX: usize = 3;
/// Parameters by which a server knows a visitor who keeps no cookie.
const SESSIONS: [&str; 9] =
    ["phpsessid", "jsessionid", "sid", "sessid", "sessionid", "session_id", "cfid", "cftoken", "oscsid"];

/// A page of the site.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// Lower case, with a port that is not its scheme's own; empty: whatever host is asked.
    pub host: String,
    /// Path and query.
    pub target: String,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.host, self.target)
    }
}

impl Address {
    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// Why this would lead nowhere, if it would, by its looks alone.
    pub fn is_trap(&self) -> Option<Why> {
        let path = self.path();
        let segments: Vec<_> = path.split('/').filter(|s| !s.is_empty()).collect();
        let repeats = |name: &&str| segments.iter().filter(|s| *s == name).count() > REPEATS_MAX;
        if self.target.len() > TARGET_MAX || segments.len() > SEGMENTS_MAX || segments.iter().any(repeats) {
            return Some(Why::Trap);
        }
        let names = self
            .query()
            .into_iter()
            .flat_map(|query| query.split('&'))
            .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name).to_ascii_lowercase());
        let in_path = path.to_ascii_lowercase().contains(";jsessionid=");
        (in_path || names.into_iter().any(|name| SESSIONS.contains(&name.as_str()))).then_some(Why::Session)
    }
}

/// The hosts of a site.
#[derive(Clone, Debug)]
pub struct Site {
    /// What pages without a host of their own are relative to.
    own: Url,
    /// As in [`Address::host`]; empty: [`Site::own`] alone, which then stands for any host.
    named: Vec<(String, &'static str)>,
}

impl Site {
    /// The site of these seeds: the hosts that they name, or, where none does, the origin itself at
    /// `authority`.
    ///
    /// # Errors
    /// The seed that is no URL, and why.
    pub fn of(seeds: &[String], authority: &str) -> Result<(Self, Vec<Address>), String> {
        let own = Url::parse(&format!("http://{authority}/")).map_err(|e| format!("{authority:?}: {e}"))?;
        let mut site = Self { own, named: Vec::new() };
        for seed in seeds.iter().filter(|seed| !seed.starts_with('/')) {
            let url = Url::parse(seed).map_err(|e| format!("{seed:?} is no URL and no path: {e}"))?;
            let scheme = match url.scheme() {
                "http" => "http",
                "https" => "https",
                other => return Err(format!("{seed:?}: expected http or https, not {other}")),
            };
            let host = host_of(&url).ok_or_else(|| format!("{seed:?} has no host"))?;
            if !site.named.iter().any(|(named, _)| *named == host) {
                site.named.push((host, scheme));
            }
        }
        if let Some((host, scheme)) = site.named.first() {
            // Paths are of the first host that is named.
            site.own = Url::parse(&format!("{scheme}://{host}/")).map_err(|e| format!("{host:?}: {e}"))?;
        }
        let address = |seed: &String| {
            let url = site.own.join(seed).ok();
            url.and_then(|url| site.address(&url)).ok_or_else(|| format!("{seed:?} is no page of this site"))
        };
        let seeds = seeds.iter().map(address).collect::<Result<_, _>>()?;
        Ok((site, seeds))
    }

    /// The page that a URL means, if it is the site's.
    pub fn address(&self, url: &Url) -> Option<Address> {
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = host_of(url)?;
        let host = match self.named.as_slice() {
            [] => (Some(&host) == host_of(&self.own).as_ref()).then(String::new)?,
            named => named.iter().find(|(named, _)| *named == host)?.0.clone(),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Some(Address { host, target })
    }

    /// A page as an edge saw it, as one of this site's.
    pub fn adopt(&self, address: Address) -> Option<Address> {
        match self.named.as_slice() {
            [] => Some(Address { host: String::new(), ..address }),
            named => named.iter().any(|(host, _)| *host == address.host).then_some(address),
        }
    }

    /// The host that paths are of.
    pub fn first_host(&self) -> String {
        self.named.first().map(|(host, _)| host.clone()).unwrap_or_default()
    }

    /// The URL of a page.
    pub fn url(&self, address: &Address) -> Option<Url> {
        let base = match self.named.iter().find(|(named, _)| *named == address.host) {
            Some((host, scheme)) => Url::parse(&format!("{scheme}://{host}/")).ok()?,
            None => self.own.clone(),
        };
        base.join(&address.target).ok()
    }

    /// Whether the page is one of TLS.
    pub fn is_https(&self, address: &Address) -> bool {
        self.named.iter().any(|(named, scheme)| *named == address.host && *scheme == "https")
    }

    /// The page that a link on another means, if it is the site's.
    pub fn follow(&self, from: &Address, base: Option<&str>, link: &str) -> Option<Address> {
        let mut page = self.url(from)?;
        if let Some(base) = base.and_then(|base| page.join(base).ok()) {
            page = base;
        }
        self.address(&page.join(link.trim()).ok()?)
    }

    /// A redirect's place, as it is to be said: one that names the origin's own address, where pages stand for
    /// every host, by its path.
    pub fn location(&self, from: &Address, said: &str) -> String {
        match self.follow(from, None, said) {
            Some(to) if to.host.is_empty() => to.target,
            _ => said.to_owned(),
        }
    }
}

/// The host as keys have it.
fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?.to_ascii_lowercase();
    Some(url.port().map_or(host.clone(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, target: &str) -> Address {
        Address { host: host.to_owned(), target: target.to_owned() }
    }

    fn site(seeds: &[&str]) -> (Site, Vec<Address>) {
        Site::of(&seeds.iter().map(ToString::to_string).collect::<Vec<_>>(), "127.0.0.1:9000").unwrap()
    }

    #[test]
    fn seeds_that_name_no_host_stand_for_every_host() {
        let (site, seeds) = site(&["/", "/sitemap.xml"]);
        assert_eq!(seeds, [at("", "/"), at("", "/sitemap.xml")]);
        let follow = |link| site.follow(&at("", "/shop/list"), None, link);
        assert_eq!(follow("../a b?x=ü#f"), Some(at("", "/a%20b?x=%C3%BC")));
        assert_eq!(follow("http://127.0.0.1:9000/c"), Some(at("", "/c")));
        for out in ["http://other.example/", "mailto:a@b", "javascript:x()", "http://u@127.0.0.1:9000/", "//cdn/x"] {
            assert_eq!(follow(out), None, "{out}");
        }
        assert_eq!(site.location(&at("", "/a"), "http://127.0.0.1:9000/a/"), "/a/");
        assert_eq!(site.location(&at("", "/a"), "https://other.example/"), "https://other.example/");
    }

    #[test]
    fn seeds_that_name_hosts_make_the_site() {
        let (site, seeds) = site(&["https://Shop.example", "/x", "http://img.shop.example:8080/"]);
        assert_eq!(seeds[0], at("shop.example", "/"));
        assert_eq!(seeds[1], at("shop.example", "/x"));
        let follow = |link| site.follow(&seeds[0], Some("/dir/"), link);
        assert_eq!(follow("y"), Some(at("shop.example", "/dir/y")));
        assert_eq!(follow("http://shop.example:80/z"), Some(at("shop.example", "/z")));
        assert_eq!(follow("//img.shop.example:8080/i"), Some(at("img.shop.example:8080", "/i")));
        assert_eq!(follow("//img.shop.example/i"), None);
        assert!(site.is_https(&seeds[0]) && !site.is_https(&seeds[2]));
        assert!(Site::of(&["shop".to_owned()], "h").is_err());
    }

    #[test]
    fn traps_are_known_by_their_looks() {
        for (target, why) in [
            ("/a/b/a/b/a/b/a/b/", Some(Why::Trap)),
            ("/x?PHPSESSID=1", Some(Why::Session)),
            ("/x;jsessionid=1", Some(Why::Session)),
            ("/a/b/c?sid=2", Some(Why::Session)),
            ("/inside?q=sid", None),
        ] {
            assert_eq!(at("", target).is_trap(), why, "{target}");
        }
        assert_eq!(at("", &"/a".repeat(40)).is_trap(), Some(Why::Trap));
    }
}
