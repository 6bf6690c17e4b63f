//! `config/demo.toml` with the demo's own addresses: what a reader of the file sees is what runs.

use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use toml::Spanned;

const POLICY: &str = include_str!("../../../config/demo.toml");
const SNAPSHOT: [(&str, &str); 2] = [
    ("index.html", include_str!("../../../config/demo-snapshot/index.html")),
    ("search.html", include_str!("../../../config/demo-snapshot/search.html")),
];

/// Where everything of the demo listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) edge: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) origin: SocketAddr,
}

impl Addresses {
    /// Those that the file gives.
    pub(super) fn in_the_file() -> anyhow::Result<Self> {
        let file = File::parse()?;
        let first =
            |list: &Spanned<Vec<SocketAddr>>| list.as_ref().first().copied().context("an empty list of addresses");
        Ok(Self {
            edge: first(&file.edge.listen)?,
            admin: *file.admin.listen.as_ref(),
            origin: first(&file.origin.shop.servers)?,
        })
    }
}

/// Writes policy and snapshot below `directory`; gives the policy's path.
pub(super) fn write(directory: &Path, at: Addresses) -> anyhow::Result<PathBuf> {
    let snapshot = directory.join("demo-snapshot");
    fs::create_dir_all(&snapshot)?;
    for (name, page) in SNAPSHOT {
        fs::write(snapshot.join(name), page)?;
    }
    let path = directory.join("demo.toml");
    fs::write(&path, text(at)?).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The file's text with other addresses: each in its value's place, so that comments and line
/// numbers stay as they are.
fn text(at: Addresses) -> anyhow::Result<String> {
    let file = File::parse()?;
    let mut values = [
        (file.edge.listen.span(), format!("[\"{}\"]", at.edge)),
        (file.admin.listen.span(), format!("\"{}\"", at.admin)),
        (file.origin.shop.servers.span(), format!("[\"{}\"]", at.origin)),
    ];
    // From the end, so that the places before stay where they are.
    values.sort_by_key(|(Range { start, .. }, _)| std::cmp::Reverse(*start));
    let mut text = POLICY.to_owned();
    for (place, value) in values {
        text.replace_range(place, &value);
    }
    Ok(text)
}

/// What of the file depends on where it runs.
#[derive(Deserialize)]
struct File {
    edge: Edge,
    admin: Admin,
    origin: Origins,
}

#[derive(Deserialize)]
struct Edge {
    listen: Spanned<Vec<SocketAddr>>,
}

#[derive(Deserialize)]
struct Admin {
    listen: Spanned<SocketAddr>,
}

#[derive(Deserialize)]
struct Origins {
    shop: Origin,
}

#[derive(Deserialize)]
struct Origin {
    servers: Spanned<Vec<SocketAddr>>,
}

impl File {
    fn parse() -> anyhow::Result<Self> {
        toml::from_str(POLICY).context("the demo's own policy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addresses_change() {
        let at = Addresses {
            edge: "127.0.0.1:1111".parse().unwrap(),
            admin: "127.0.0.1:2222".parse().unwrap(),
            origin: "127.0.0.1:3333".parse().unwrap(),
        };
        let text = text(at).unwrap();
        assert_eq!(text.lines().count(), POLICY.lines().count());
        let changed: Vec<_> =
            text.lines().zip(POLICY.lines()).filter(|(new, old)| new != old).map(|(new, _)| new).collect();
        assert_eq!(
            changed,
            ["listen = [\"127.0.0.1:1111\"]", "listen = \"127.0.0.1:2222\"", "servers = [\"127.0.0.1:3333\"]"]
        );
    }
}
