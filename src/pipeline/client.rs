//! Who the visitor is: the peer, or whom trusted proxies name.

use std::net::IpAddr;

use ipnet::IpNet;

use super::view::{Field, Scheme};
use crate::clients::holds_address;
use crate::policy;

/// Who sent a request, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub address: IpAddr,
    pub scheme: Scheme,
    /// The peer is a trusted proxy.
    pub trusted: bool,
}

/// The visitor's address and scheme.
///
/// X-Forwarded-For is read from its end, past every address that is trusted itself: what lies
/// before the first that is not was written by someone unknown and proves nothing. From a peer that
/// is not trusted, nothing is believed.
pub fn identify(peer: IpAddr, scheme: Scheme, trusted: &[IpNet], fields: &[Field<'_>]) -> Visitor {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return Visitor { address: peer, scheme, trusted: false };
    }
    let text = |field: &Field<'_>| std::str::from_utf8(field.value).map(str::to_owned).unwrap_or_default();
    let named = |name: &'static str| fields.iter().rev().filter(move |f| f.name.eq_ignore_ascii_case(name));
    let mut client = peer;
    'fields: for field in named("x-forwarded-for") {
        for hop in text(field).rsplit(',') {
            // A hop that is no address ends what can be believed.
            let Some(address) = address(hop) else { break 'fields };
            client = address;
            if !is_trusted(address, trusted) {
                break 'fields;
            }
        }
    }
    let scheme = match named("x-forwarded-proto").next().map(text).as_deref().map(str::trim) {
        Some(p) if p.eq_ignore_ascii_case("https") => Scheme::Https,
        Some(p) if p.eq_ignore_ascii_case("http") => Scheme::Http,
        _ => scheme,
    };
    Visitor { address: client, scheme, trusted: true }
}

/// Whom an address stands for: of IPv6 its /64, which one household or one machine has to itself.
pub fn one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        v6 @ IpAddr::V6(_) => policy::client_net(v6),
        v4 => v4,
    }
}

/// Whether an address is in one of the networks, which lie apart and in order.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    holds_address(trusted, address)
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop
        .parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let fields: Vec<_> = forwarded.iter().map(|v| Field { name: "X-Forwarded-For", value: v.as_bytes() }).collect();
        identify(peer.parse().unwrap(), Scheme::Http, &trusted, &fields).address.to_string()
    }

    #[test]
    fn a_stranger_is_who_its_address_says() {
        assert_eq!(client("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_visitor() {
        assert_eq!(client("10.1.1.1", &["6.6.6.6, 198.51.100.1, 10.2.2.2"]), "198.51.100.1");
        assert_eq!(client("10.1.1.1", &["6.6.6.6", "198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("10.1.1.1", &["[2001:db8::5], [2001:dba::1]:99"]), "2001:dba::1");
        assert_eq!(client("::ffff:10.1.1.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn nonsense_ends_what_is_believed() {
        assert_eq!(client("10.1.1.1", &["198.51.100.1, unknown"]), "10.1.1.1");
        assert_eq!(client("10.1.1.1", &["198.51.100.1, rubbish, 10.3.3.3"]), "10.3.3.3");
        assert_eq!(client("10.1.1.1", &[]), "10.1.1.1");
    }

    #[test]
    fn the_scheme_is_believed_from_trusted_peers_only() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let fields = [Field { name: "x-forwarded-proto", value: b"https" }];
        assert_eq!(identify([10, 0, 0, 1].into(), Scheme::Http, &trusted, &fields).scheme, Scheme::Https);
        assert_eq!(identify([11, 0, 0, 1].into(), Scheme::Http, &trusted, &fields).scheme, Scheme::Http);
    }
}
