//! `[admin]`: the admin listener and its tokens.

use std::net::SocketAddr;
use std::path::Path;

use super::house::{path, same_port};
use super::reader::{Problem, Table, Value};
use super::{FileKind, Named, NamedFile, address};
use crate::policy::{Admin, Edge, Right, Rights, Token};

const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9180);
/// Each is compared with what every request shows.
const TOKENS_MAX: usize = 100;

/// `[admin]`.
pub(super) fn read(root: &mut Table<'_>, edge: Option<&Edge>, base: &Path, files: &mut Vec<NamedFile>) -> Admin {
    let (mut value, mut tokens) = (None, Vec::new());
    if let Some(mut table) = root.take_table("admin") {
        value = table.take("listen");
        tokens = self::tokens(&mut table, base, files);
        table.finish();
    }
    let mut listen = LISTEN;
    if let Some(value) = &value {
        listen = value.parse("an address such as \"127.0.0.1:9180\"", address::listen).unwrap_or(LISTEN);
        if !listen.ip().is_loopback() && tokens.is_empty() {
            let help = format!(
                "write \"127.0.0.1:{}\" and reach it through an SSH tunnel; or make a token,\n\
                 `(umask 077; head -c 32 /dev/urandom | base64 > ops.token)`, and add:\n\
                 tokens.ops = {{ file = \"ops.token\", may = [\"all\"] }}",
                listen.port()
            );
            let diagnostic = value.error("an admin listener that others can reach needs tokens");
            value.report.add(diagnostic.label("anyone who reaches it could change everything").help(help));
        }
    }
    if edge.is_some_and(|edge| edge.listen.iter().any(|l| same_port(l.address, listen))) {
        let diagnostic = match &value {
            Some(value) => value.error(format!("{listen} is already one of edge.listen")),
            None => root.error(format!("edge.listen takes {listen}, the admin listener's address")),
        };
        root.report
            .add(diagnostic.help("give the admin listener a port of its own:\n[admin]\nlisten = \"127.0.0.1:9181\""));
    }
    Admin { listen, tokens }
}

/// `admin.tokens.NAME`.
fn tokens(table: &mut Table<'_>, base: &Path, files: &mut Vec<NamedFile>) -> Vec<Token> {
    let named = Named::read(table, "tokens", |name, mut table| {
        let example = format!("file = \"{name}.token\"");
        let file = table.require("file", "the file with the token in it", &example);
        let may = table.require("may", "what it may be used for", "may = [\"purge\"]");
        table.finish();
        let file = file.and_then(|value| {
            let path = path(&value, base)?;
            files.push(NamedFile { path: path.clone(), kind: FileKind::Token, span: value.span });
            Some(path)
        });
        Some(Token { name, file: file?, may: rights(&may?)? })
    });
    if let Some(over) = named.items.get(TOKENS_MAX) {
        let message = format!("more than {TOKENS_MAX} tokens");
        table.report.add(
            crate::policy::diagnose::Diagnostic::error(over.span.clone(), message)
                .label("one too many")
                .help("take some out: one token may do several things"),
        );
    }
    named.items.into_iter().filter_map(|item| item.value).collect()
}

fn rights(value: &Value<'_>) -> Option<Rights> {
    let items = value.one_or_many();
    if items.is_empty() {
        value.wrong(Problem::new("a token that may do nothing").help("write [\"all\"], or some of the rights"));
        return None;
    }
    let mut rights = Some(Rights::default());
    for item in items {
        let right = item.parse("a right such as \"purge\"", |text| match text {
            "all" => Ok(Rights::ALL),
            _ => right(text).map(|right| Rights::default().with(right)),
        });
        rights = rights.zip(right).map(|(all, one)| all.and(one));
    }
    rights
}

fn right(text: &str) -> Result<Right, Problem> {
    Right::ALL.into_iter().find(|right| right.name() == text).ok_or_else(|| {
        let names = Right::ALL.map(Right::name).join("\", \"");
        Problem::new("no such right").help(format!("there are \"all\", \"{names}\""))
    })
}
