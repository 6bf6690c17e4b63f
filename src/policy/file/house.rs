//! What belongs to the edge itself: `[edge]`, `[tls.NAME]`, `[keys]`, `[state]`, `[snapshot]` and
//! `[log]`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use super::reader::{Problem, Table, Value};
use super::values::{byte_rate, duration_not_zero, size};
use super::{FileKind, Named, NamedFile, address};
use crate::policy::diagnose::Diagnostic;
use crate::policy::{AccessLog, Certificate, Edge, Listen, Log, LogFormat, Tls};

/// `edge.max_body_size` where it is left out.
pub(super) const MAX_BODY_SIZE: u64 = 10 << 20;

const MAX_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(49_999);
const MAX_CONNECTIONS_PER_CLIENT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// More than the kernel's open files can ever be.
const CONNECTIONS_MAX: u64 = 10_000_000;
const THREADS_MAX: u64 = 1024;
const HEADER_SIZE: std::ops::RangeInclusive<u64> = 1024..=1 << 20;
/// What is buffered is held in memory, for each request in flight.
const BUFFER_BODY_MAX: u64 = 16 << 20;

/// `[tls.NAME]`.
pub(super) fn tls(root: &mut Table<'_>, base: &Path, files: &mut Vec<NamedFile>) -> Named<Tls> {
    Named::read(root, "tls", |name, mut table| {
        let example = "certificates = [{ cert = \"shop.pem\", key = \"shop.key\" }]";
        let value = table.require("certificates", "what it shows to visitors", example);
        table.finish();
        let value = value?;
        let certificates: Vec<_> = value.list().into_iter().filter_map(|v| certificate(&v, base, files)).collect();
        if certificates.is_empty() {
            value.wrong(Problem::new("expected at least one certificate").help(example));
        }
        Some(Tls { name, certificates })
    })
}

fn certificate(value: &Value<'_>, base: &Path, files: &mut Vec<NamedFile>) -> Option<Certificate> {
    let mut table = value.table()?;
    let mut file = |key, kind, why, example| {
        let value = table.require(key, why, example)?;
        let path = path(&value, base)?;
        files.push(NamedFile { path: path.clone(), kind, span: value.span });
        Some(path)
    };
    let cert = file("cert", FileKind::Certificate, "the PEM file with the chain", "cert = \"shop.pem\"");
    let key = file("key", FileKind::Key, "the PEM file with its private key", "key = \"shop.key\"");
    table.finish();
    Some(Certificate { cert: cert?, key: key? })
}

/// `[edge]`.
pub(super) fn edge(root: &mut Table<'_>, base: &Path, tls: &Named<Tls>) -> Option<Edge> {
    let Some(value) = root.take("edge") else {
        let help = "add:\n[edge]\nlisten = [\"0.0.0.0:8080\"]";
        root.report.add(root.error("there is no [edge]: nowhere for visitors to arrive").help(help));
        return None;
    };
    let mut table = value.table()?;
    let listen = table.require("listen", "where visitors arrive", "listen = [\"0.0.0.0:8080\"]");
    let found_before = table.report.len();
    let listen = listen.map(|v| self::listen(&v, tls));
    if table.report.len() == found_before {
        unused_tls(listen.as_deref().unwrap_or_default(), tls, &table);
    }
    let proxies = table.take("trusted_proxies").map(|v| v.one_or_many()).unwrap_or_default();
    let mut count = |key, default, min, max| {
        table.read(key, default, |v| v.integer(min, max).and_then(|n| usize::try_from(n).ok()).map(non_zero))
    };
    let threads = count("threads", cores(), 0, THREADS_MAX);
    let max_connections = count("max_connections", MAX_CONNECTIONS, 1, CONNECTIONS_MAX);
    let max_connections_per_client =
        count("max_connections_per_client", MAX_CONNECTIONS_PER_CLIENT, 1, CONNECTIONS_MAX);
    let mut seconds =
        |key, default| table.read(key, Duration::from_secs(default), |v| v.parse("a duration", duration_not_zero));
    let header_timeout = seconds("header_timeout", 10);
    let body_timeout = seconds("body_timeout", 30);
    let idle_timeout = seconds("idle_timeout", 75);
    let body_min_rate = table.read("body_min_rate", 1024, |v| v.parse("a size a second such as \"1KiB/s\"", byte_rate));
    let max_header_size = table.read("max_header_size", 16 << 10, |v| bytes(v, &HEADER_SIZE, "between 1KiB and 1MiB"));
    let max_body_size = table.read("max_body_size", MAX_BODY_SIZE, body_size);
    let buffer_body = table.read("buffer_body", 64 << 10, |v| bytes(v, &(0..=BUFFER_BODY_MAX), "at most 16MiB"));
    table.finish();
    Some(Edge {
        listen: listen?,
        threads,
        trusted_proxies: IpNet::aggregate(&proxies.iter().flat_map(|v| address::networks(v, base)).collect()),
        max_connections,
        max_connections_per_client,
        header_timeout,
        body_timeout,
        body_min_rate,
        idle_timeout,
        max_header_size: usize::try_from(max_header_size).ok()?,
        max_body_size,
        buffer_body: usize::try_from(buffer_body).ok()?,
    })
}

fn unused_tls(listen: &[Listen], tls: &Named<Tls>, table: &Table<'_>) {
    for (at, item) in tls.items.iter().enumerate() {
        if listen.iter().all(|l| l.tls != Some(at)) {
            let message = format!("no listener uses [tls.{}]", item.name);
            let help = format!("write: listen = [{{ address = \"0.0.0.0:443\", tls = \"{}\" }}]", item.name);
            table.report.add(Diagnostic::warning(item.span.clone(), message).label("protects nothing").help(help));
        }
    }
}

/// 0 is as many as there are cores.
fn non_zero(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or_else(cores)
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn listen(value: &Value<'_>, tls: &Named<Tls>) -> Vec<Listen> {
    let mut found: Vec<(Listen, Range<usize>)> = Vec::new();
    let items = value.one_or_many();
    if items.is_empty() {
        value.wrong(Problem::new("expected at least one address such as \"0.0.0.0:8080\""));
    }
    for item in items {
        let Some(one) = listen_one(&item, tls) else { continue };
        if let Some((_, earlier)) = found.iter().find(|(l, _)| same_port(l.address, one.address)) {
            let diagnostic = item.error(format!("{} is listened on twice", one.address)).label("again here");
            let diagnostic = diagnostic.related(earlier.clone(), "first here");
            item.report.add(diagnostic.help("leave one of them out, or give it another port"));
        }
        found.push((one, item.span));
    }
    found.into_iter().map(|(one, _)| one).collect()
}

fn listen_one(value: &Value<'_>, tls: &Named<Tls>) -> Option<Listen> {
    const EXPECTED: &str = "an address such as \"0.0.0.0:8080\"";
    if !value.is_table() {
        return Some(Listen { address: value.parse(EXPECTED, address::listen)?, tls: None });
    }
    let mut table = value.table()?;
    let address = table.require("address", "where to listen", "address = \"0.0.0.0:443\"");
    let address = address.and_then(|v| v.parse(EXPECTED, address::listen));
    let tls = table.take("tls").map(|v| tls.refer(&v, "tls"));
    table.finish();
    Some(Listen { address: address?, tls: tls.flatten() })
}

/// True if the second could not be bound beside the first.
pub(super) fn same_port(a: SocketAddr, b: SocketAddr) -> bool {
    let every = |x: SocketAddr, y: SocketAddr| x.ip().is_unspecified() && x.is_ipv4() == y.is_ipv4();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || every(a, b) || every(b, a))
}

/// `keys.file`.
pub(super) fn keys_file(root: &mut Table<'_>, base: &Path, files: &mut Vec<NamedFile>) -> PathBuf {
    let Some(mut table) = root.take_table("keys") else { return base.join("seawall.keys") };
    let value = table.take("file");
    let file = value.as_ref().and_then(|v| path(v, base)).unwrap_or_else(|| base.join("seawall.keys"));
    let span = value.map_or(table.span.clone(), |v| v.span);
    files.push(NamedFile { path: file.clone(), kind: FileKind::OwnKeys, span });
    table.finish();
    file
}

/// `state.dir`; `state.store` says nothing but `memory` yet.
pub(super) fn state_dir(root: &mut Table<'_>, base: &Path) -> PathBuf {
    let Some(mut table) = root.take_table("state") else { return base.join("state") };
    let dir = table.read("dir", base.join("state"), |v| path(v, base));
    if let Some(value) = table.take("store") {
        match value.string("\"memory\"") {
            None | Some("memory") => {}
            Some(url) if url.starts_with("redis") => {
                value.unbuilt(
                    "a Redis store",
                    "write store = \"memory\", or leave it out: one node holds its own state",
                );
            }
            Some(_) => value.wrong(Problem::new("expected \"memory\" (Redis is not built yet)")),
        }
    }
    table.finish();
    dir
}

/// `[log]`.
pub(super) fn log(root: &mut Table<'_>, base: &Path) -> Log {
    let mut log = Log { format: LogFormat::Json, access: AccessLog::Stdout };
    let Some(mut table) = root.take_table("log") else { return log };
    log.format = table.read("format", log.format, log_format);
    log.access = table.read("access", log.access, |value| match (value.as_bool(), value.as_str()) {
        (Some(false), _) => Some(AccessLog::Off),
        (_, Some("stdout")) => Some(AccessLog::Stdout),
        (Some(true), _) => {
            value.wrong(
                Problem::new("expected where to").help("write \"stdout\", a file such as \"access.log\", or false"),
            );
            None
        }
        _ => path(value, base).map(AccessLog::File),
    });
    table.finish();
    log
}

fn log_format(value: &Value<'_>) -> Option<LogFormat> {
    match value.string("\"json\" or \"text\"")? {
        "json" => return Some(LogFormat::Json),
        "text" => return Some(LogFormat::Text),
        "combined" => value.unbuilt("log format \"combined\"", "write \"json\" or \"text\""),
        _ => value.wrong(Problem::new("expected \"json\" or \"text\"")),
    }
    None
}

/// A size of a body; zero lets none through.
pub(super) fn body_size(value: &Value<'_>) -> Option<u64> {
    value.parse("a size such as \"10MiB\"", size)
}

fn bytes(value: &Value<'_>, range: &std::ops::RangeInclusive<u64>, expected: &str) -> Option<u64> {
    let bytes = value.parse("a size such as \"64KiB\"", size)?;
    if !range.contains(&bytes) {
        value.wrong(Problem::new(format!("expected a size {expected}")));
    }
    Some(bytes)
}

/// A path, relative to the policy file.
pub(super) fn path(value: &Value<'_>, base: &Path) -> Option<PathBuf> {
    value.parse("a path", |text| match text {
        "" => Err(Problem::new("expected a path, relative to this file")),
        _ => Ok(base.join(text)),
    })
}
