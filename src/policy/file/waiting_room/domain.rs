//! `waiting_room.NAME.cookie_domain`: the name under which several hosts share a room's cookie.

use std::net::IpAddr;

use crate::policy::WaitingRoom;
use crate::policy::file::address::is_host;
use crate::policy::file::reader::{Problem, Value};

pub(super) const EXPECTED: &str = "a domain such as \"shop.example\"";

/// A domain in lower case; empty: this host only.
pub(super) fn cookie_domain(text: &str) -> Result<Option<String>, Problem> {
    const ONE_HOST: &str = "leave it out: the cookie is for each host by itself";
    let problem = || Problem::new(format!("expected {EXPECTED}"));
    if text.is_empty() {
        return Ok(None);
    }
    if let Some((_, rest)) = text.split_once("://") {
        return Err(problem().help(format!("leave the scheme out: \"{rest}\"")));
    }
    if text.parse::<IpAddr>().is_ok() || text.starts_with('[') {
        return Err(Problem::new("an address has no hosts below it").help(ONE_HOST));
    }
    if let Some((name, port)) = text.split_once(':')
        && port.parse::<u16>().is_ok()
    {
        return Err(problem().help(format!("leave the port out: \"{name}\"")));
    }
    if let Some(bare) = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')) {
        return Err(problem().help(format!("write \"{bare}\": all hosts below it are meant")));
    }
    if !text.is_ascii() {
        return Err(problem().help("write the name in its ASCII form (xn--…)"));
    }
    match is_host(text) {
        true if text.contains('.') => Ok(Some(text.to_ascii_lowercase())),
        true => Err(Problem::new("browsers take no cookie for so wide a name").help(ONE_HOST)),
        false => Err(problem()),
    }
}

/// Reports a route for a host that the room's cookie never reaches: who asks there would wait for ever.
pub(in crate::policy::file) fn cookie_reaches(value: &Value<'_>, room: &WaitingRoom, hosts: &[String]) {
    let Some(domain) = &room.cookie_domain else { return };
    // Of `*.example`, some may lie below the domain.
    let below = |host: &str| host.strip_suffix(domain.as_str()).is_some_and(|r| r.is_empty() || r.ends_with('.'));
    let partly = |host: &str| host.strip_prefix('*').is_some_and(|parent| domain.ends_with(parent));
    for host in hosts.iter().filter(|host| !below(host) && !partly(host)) {
        let message = format!("the cookie of waiting room `{}` never reaches {host}", room.name);
        let help = format!("make a room for {host}, or leave cookie_domain out: each host then has a line of its own");
        value.report.add(value.error(message).label(format!("its cookie_domain is {domain}")).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_a_name_without_scheme_port_or_stars() {
        let hint = |text: &str| cookie_domain(text).unwrap_err().help.unwrap_or_default();
        assert_eq!(cookie_domain(""), Ok(None));
        assert_eq!(cookie_domain("Shop.example"), Ok(Some("shop.example".to_owned())));
        assert_eq!(hint("https://shop.example"), "leave the scheme out: \"shop.example\"");
        assert_eq!(hint("shop.example:8443"), "leave the port out: \"shop.example\"");
        assert_eq!(hint(".shop.example"), "write \"shop.example\": all hosts below it are meant");
        assert_eq!(hint("*.shop.example"), "write \"shop.example\": all hosts below it are meant");
        for address in ["192.0.2.1", "2001:db8::1", "[2001:db8::1]"] {
            assert!(cookie_domain(address).unwrap_err().label.contains("an address"), "{address}");
        }
        for bad in ["com", "shop.example.", "a b.example", "shop.example/cart", "bücher.example", "a;b.example"] {
            assert!(cookie_domain(bad).is_err(), "{bad}");
        }
    }
}
