//! Addresses: where to listen, where an origin is, which networks are trusted.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;

use super::reader::{Problem, Value};
use super::{FileError, read_text};
use crate::policy::Server;

/// A list of networks is read whole; past this it is no list of networks.
const NETWORKS_FILE_MAX: u64 = 1 << 20;

/// An address and a port to listen on. Port 0 is whichever is free.
pub(super) fn listen(text: &str) -> Result<SocketAddr, Problem> {
    text.parse().map_err(|_| {
        let problem = Problem::new("expected an address and a port such as \"0.0.0.0:8080\"");
        match listen_hint(text) {
            Some(hint) => problem.help(hint),
            None => problem,
        }
    })
}

fn listen_hint(text: &str) -> Option<String> {
    let port = text.strip_prefix('*').unwrap_or(text);
    if let Ok(port) = port.strip_prefix(':').unwrap_or(port).parse::<u16>() {
        return Some(format!(
            "write \"0.0.0.0:{port}\" for every IPv4 address, \"127.0.0.1:{port}\" for this machine only"
        ));
    }
    if let Some(rest) = text.strip_prefix("http://").or(text.strip_prefix("https://")) {
        return Some(format!("leave the scheme out: \"{rest}\"; TLS is {{ address = \"{rest}\", tls = \"NAME\" }}"));
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => return Some(format!("say the port: \"{text}:8080\"")),
        Ok(IpAddr::V6(_)) => return Some(format!("say the port: \"[{text}]:8080\"")),
        Err(_) => {}
    }
    match text.rsplit_once(':') {
        Some(("localhost", port)) => Some(format!("write \"127.0.0.1:{port}\"")),
        Some((_, port)) if port.parse::<u16>().is_err() => Some("a port is a number from 1 to 65535".to_owned()),
        Some(_) => Some("write one of this machine's IP addresses, not a name".to_owned()),
        None => None,
    }
}

/// `host:port`, `http://host[:port]` or `https://host[:port]`.
pub(super) fn server(text: &str) -> Result<Server, Problem> {
    let problem = || Problem::new("expected \"host:port\", \"http://host\" or \"https://host\"");
    let (tls, authority, implied) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest, Some(80)),
        Some(("https", rest)) => (true, rest, Some(443)),
        Some(_) => return Err(problem().help("the schemes are http and https")),
        None => (false, text, None),
    };
    if let Some((before, path)) = authority.split_once('/') {
        let fix = text.strip_suffix(path).and_then(|t| t.strip_suffix('/')).unwrap_or(before);
        return Err(problem().help(format!("leave the path out: \"{fix}\"")));
    }
    let (host, port) = split_port(authority).ok_or_else(problem)?;
    let port = match port {
        Some(digits) => match digits.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err(problem().help("a port is a number from 1 to 65535")),
        },
        None => implied.ok_or_else(|| problem().help(format!("say the port: \"{text}:80\"")))?,
    };
    Ok(Server { tls, host: host.to_owned(), port })
}

/// Host (without brackets) and port; none if it is no host.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return if after.is_empty() { Some((host, None)) } else { Some((host, Some(after.strip_prefix(':')?))) };
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    is_host(host).then_some((host, port))
}

/// A DNS name or an IPv4 address, as far as its letters go.
pub(super) fn is_host(host: &str) -> bool {
    let label =
        |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    host.len() <= 253 && host.split('.').all(label)
}

/// One of `trusted_proxies`: a network, an address, or `file:NAME` with one a line.
pub(super) fn networks(value: &Value<'_>, base: &Path) -> Vec<IpNet> {
    let Some(text) = value.string("a network such as \"10.0.0.0/8\", an address, or \"file:NAME\"") else {
        return Vec::new();
    };
    let Some(file) = text.strip_prefix("file:") else {
        return network(text).map_err(|problem| value.wrong(problem)).ok().into_iter().collect();
    };
    let path = base.join(file);
    let text = match read_text(&path, NETWORKS_FILE_MAX) {
        Ok(text) => text,
        Err(FileError { why, help }) => {
            let message = format!("the list of networks {} cannot be read: {why}", path.display());
            value.report.add(value.error(message).label("named here").help(help));
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match network(entry) {
            Ok(net) => found.push(net),
            Err(problem) => {
                let message = format!("{}, line {}: `{entry}` is no network", path.display(), at + 1);
                value.report.add(value.error(message).label(problem.label).maybe_help(problem.help));
            }
        }
    }
    found
}

fn network(text: &str) -> Result<IpNet, Problem> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let problem = || Problem::new("expected a network such as \"10.0.0.0/8\" or an address");
    let net = text.parse::<IpNet>().map_err(|_| problem())?;
    if net.addr() != net.network() {
        return Err(problem().help(format!("the network is written \"{}\"", net.trunc())));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tls: bool, host: &str, port: u16) -> Result<Server, Problem> {
        Ok(Server { tls, host: host.to_owned(), port })
    }

    #[test]
    fn servers() {
        assert_eq!(server("127.0.0.1:9000"), of(false, "127.0.0.1", 9000));
        assert_eq!(server("https://shop.example"), of(true, "shop.example", 443));
        assert_eq!(server("http://shop.example:81"), of(false, "shop.example", 81));
        assert_eq!(server("[::1]:9000"), of(false, "::1", 9000));
        assert_eq!(server("https://[::1]"), of(true, "::1", 443));
        assert_eq!(server("shop").unwrap_err().help.unwrap(), "say the port: \"shop:80\"");
        assert_eq!(server("http://a/b").unwrap_err().help.unwrap(), "leave the path out: \"http://a\"");
        for bad in ["", ":80", "a:0", "a:99999", "a b:80", "ftp://a", "[::1", "[::1]x", "a:b:c", "http://"] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn listen_addresses_and_their_hints() {
        assert!(listen("[::]:443").is_ok());
        for bad in ["8080", ":8080", "*:8080"] {
            assert!(listen(bad).unwrap_err().help.unwrap().starts_with("write \"0.0.0.0:8080\""), "{bad}");
        }
        assert_eq!(listen("localhost:80").unwrap_err().help.unwrap(), "write \"127.0.0.1:80\"");
        assert_eq!(listen("::1").unwrap_err().help.unwrap(), "say the port: \"[::1]:8080\"");
    }

    #[test]
    fn networks_are_networks() {
        assert_eq!(network("10.1.2.3").unwrap().to_string(), "10.1.2.3/32");
        assert_eq!(network("10.1.2.3/8").unwrap_err().help.unwrap(), "the network is written \"10.0.0.0/8\"");
        assert!(network("10.0.0.0/33").is_err());
    }
}
