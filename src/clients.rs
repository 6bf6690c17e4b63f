//! Who belongs to which group of clients (`[clients.NAME]`): by network, or by a pass.
//!
//! Pure, and asked only where a rule wants to know: a network is looked up by bisection, and a pass
//! costs one code of BLAKE3, for at most three values a request and group.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::keys::Keys;
use crate::pipeline::query;
use crate::pipeline::view::{Scheme, View};
use crate::policy::{Clients, ClientsId};

pub mod pass;

use pass::{Pass, Tag};

/// The parameter that carries a pass in a link. It is taken out of what the origin, the cache's key
/// and the log get to see.
pub const PARAMETER: &str = "seawall_pass";
/// Groups at most: one bit each in [`Members`].
pub const GROUPS_MAX: usize = 64;
/// Cookies of one name that are looked at.
const COOKIES_MAX: usize = 2;

/// The policy's groups, with what their passes are checked by.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Vec<Group>,
    have_passes: bool,
}

#[derive(Debug)]
struct Group {
    /// Apart from each other and in order.
    networks: Vec<IpNet>,
    passes: Option<Passes>,
}

#[derive(Debug)]
struct Passes {
    keys: Keys,
    tag: Tag,
    /// The cookie's name, without `__Host-`.
    cookie: String,
}

impl Groups {
    /// The groups in the policy's order, each with the keys of its passes, if it has any.
    pub fn new<'a>(groups: impl IntoIterator<Item = (&'a Clients, Option<Keys>)>) -> Self {
        let group = |(group, keys): (&Clients, Option<Keys>)| Group {
            networks: group.networks.clone(),
            passes: keys.map(|keys| Passes {
                keys,
                tag: Tag::of(&group.name),
                cookie: format!("{PARAMETER}_{}", group.name),
            }),
        };
        let groups: Vec<_> = groups.into_iter().map(group).collect();
        Self { have_passes: groups.iter().any(|g| g.passes.is_some()), groups }
    }

    fn holds(&self, id: ClientsId, view: &View<'_>, unix_s: u64) -> bool {
        let Some(group) = self.groups.get(id.0) else { return false };
        holds_address(&group.networks, view.client)
            || group.passes.as_ref().is_some_and(|passes| passes.presented(view, unix_s))
    }

    /// The cookie that keeps up what a link began, if this request's link is a pass that is good.
    pub fn cookie(&self, view: &View<'_>, unix_s: u64) -> Option<String> {
        let text = self.have_passes.then(|| linked(view)).flatten()?;
        self.groups.iter().flat_map(|group| &group.passes).find_map(|passes| {
            let pass = passes.good(text, unix_s)?;
            // As the cookies of waiting rooms: `__Host-` where TLS allows (RFC 6265bis §4.1.3.2).
            let (prefix, secure) = match view.scheme {
                Scheme::Https => ("__Host-", "; Secure"),
                Scheme::Http => ("", ""),
            };
            let (name, seconds) = (&passes.cookie, pass.expires_unix_s.saturating_sub(unix_s));
            Some(format!("{prefix}{name}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"))
        })
    }
}

impl Passes {
    fn presented(&self, view: &View<'_>, unix_s: u64) -> bool {
        let is_ours = |name: &str| name.strip_prefix("__Host-").unwrap_or(name) == self.cookie;
        let cookies = view.cookies().filter(|(name, _)| is_ours(name)).map(|(_, value)| value).take(COOKIES_MAX);
        linked(view).into_iter().chain(cookies).any(|text| self.good(text, unix_s).is_some())
    }

    fn good(&self, text: &str, unix_s: u64) -> Option<Pass> {
        Pass::parse(text.as_bytes(), &self.keys, self.tag).filter(|pass| unix_s < pass.expires_unix_s)
    }
}

/// The pass in a request's link. The name as it is written alone: what is taken out must be what is
/// believed.
fn linked<'a>(view: &View<'a>) -> Option<&'a str> {
    query::parameters(view.query?).find(|(name, _)| *name == PARAMETER).map(|(_, value)| value)
}

/// Whether one of the networks, which lie apart and in order, has this address.
pub fn holds_address(networks: &[IpNet], address: IpAddr) -> bool {
    let before = networks.partition_point(|net| net.network() <= address);
    before.checked_sub(1).and_then(|last| networks.get(last)).is_some_and(|net| net.contains(&address))
}

/// What is known of one request's membership: each group is asked at most once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Members {
    asked: u64,
    found: u64,
}

impl Members {
    /// Whether the request is one of the group's.
    pub fn has(&mut self, id: ClientsId, groups: &Groups, view: &View<'_>, unix_s: u64) -> bool {
        let bit = u32::try_from(id.0).ok().and_then(|at| 1_u64.checked_shl(at)).unwrap_or(0);
        if self.asked & bit == 0 {
            self.asked |= bit;
            if groups.holds(id, view, unix_s) {
                self.found |= bit;
            }
        }
        self.found & bit != 0
    }
}

#[cfg(test)]
mod tests;
