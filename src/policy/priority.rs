//! Who goes first, as the policy says it.

use super::ClientsId;

/// `[priority]`: what raises or lowers a request beside its route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priority {
    /// The field that names a class, in lower case; none: not asked.
    pub header: Option<String>,
    /// The cookie that names a class.
    pub cookie: Option<String>,
    /// Trusted proxies may raise, by the header.
    pub from_proxies: bool,
    /// Whose word raises; anybody's lowers.
    pub from: Vec<ClientsId>,
    /// `bots = "bulk"`: declared crawlers are bulk, but on critical routes.
    pub bots_are_bulk: bool,
    /// `prefetch = "bulk"`: so is what a browser asks for in advance.
    pub prefetch_is_bulk: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self {
            header: Some("seawall-priority".to_owned()),
            cookie: None,
            from_proxies: false,
            from: Vec::new(),
            bots_are_bulk: true,
            prefetch_is_bulk: true,
        }
    }
}
