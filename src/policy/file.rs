//! The policy file: TOML text → a [`Policy`], or all that is wrong with it.

mod address;
mod admin;
mod clients;
mod files;
mod house;
mod level;
mod limits;
mod matcher;
mod moment;
mod named_file;
mod origin;
mod overlap;
mod priority;
mod rate_limits;
mod reader;
mod route;
mod snapshot;
mod unbuilt;
mod values;
mod waiting_room;

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use self::moment::parse as moment;
pub use self::named_file::{FileKind, NamedFile, missing_files, read_page};
use self::reader::{Report, Table};
use super::Policy;
use super::diagnose::{Diagnostic, Findings, Source};

/// A quota as the policy writes it (`120/min`), for those who take one elsewhere; or what to write
/// instead, where that can be said.
pub(super) fn quota(text: &str) -> Result<super::Quota, String> {
    values::quota(text).map_err(|problem| match problem.help {
        Some(help) => help,
        None => problem.label,
    })
}

/// A policy file larger than this is no policy file.
const POLICY_FILE_MAX: u64 = 4 << 20;

/// What came of a policy's text.
#[derive(Debug)]
pub struct Loaded {
    /// None as soon as one diagnostic is an error.
    pub policy: Option<Policy>,
    /// In the file's order.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that the policy names, for [`missing_files`].
    pub files: Vec<NamedFile>,
    /// What ends at a moment that the policy names, for [`over`].
    pub ends: Vec<Over>,
}

/// Something that the policy says until a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Where the policy names its end.
    pub span: Range<usize>,
    pub what: &'static str,
    /// Milliseconds since 1970 UTC.
    pub unix_ms: u64,
}

/// Why there is no policy.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file itself cannot be read.
    #[error("{}: {why}\n  help: {help}", path.display())]
    Unreadable { path: PathBuf, why: String, help: String },
    /// The file was read and is wrong.
    #[error("{0}")]
    Bad(Findings),
}

/// Reads a policy from its text; `base` is the directory that its paths are relative to.
pub fn parse(text: &str, base: &Path) -> Loaded {
    let (root, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        let diagnostics = syntax.iter().map(|e| syntax_error(e, text)).collect();
        return Loaded { policy: None, diagnostics, files: Vec::new(), ends: Vec::new() };
    }
    let report = Report::default();
    let (mut files, mut ends) = (Vec::new(), Vec::new());
    let table = Table::new(&report, String::new(), 0..0, root.get_ref());
    let policy = read_policy(table, base, &mut files, &mut ends).filter(|_| !report.has_errors());
    Loaded { policy, diagnostics: report.into_diagnostics(), files, ends }
}

/// Reads and parses a policy file; with the policy come the warnings.
pub fn load(path: &Path) -> Result<(Policy, Findings), LoadError> {
    let source = read(path)?;
    let loaded = parse(&source.text, base_of(path));
    let findings = Findings { source, diagnostics: loaded.diagnostics };
    match loaded.policy {
        Some(policy) => Ok((policy, findings)),
        None => Err(LoadError::Bad(findings)),
    }
}

/// Reads a policy file's text.
pub fn read(path: &Path) -> Result<Source, LoadError> {
    match read_text(path, POLICY_FILE_MAX) {
        Ok(text) => Ok(Source { name: path.display().to_string(), text }),
        Err(FileError { why, help }) => {
            let help = if path.exists() { help } else { "name the policy file, or make one from config/".to_owned() };
            Err(LoadError::Unreadable { path: path.to_owned(), why, help })
        }
    }
}

/// The directory that the paths in a policy file are relative to.
pub fn base_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Warns of what has ended before this moment (milliseconds since 1970 UTC).
pub fn over(ends: &[Over], unix_ms: u64) -> Vec<Diagnostic> {
    let past = ends.iter().filter(|end| end.unix_ms <= unix_ms);
    past.map(|end| {
        let diagnostic = Diagnostic::warning(end.span.clone(), format!("{} is over", end.what));
        diagnostic.label("in the past").help("take it out, or write the next one's date")
    })
    .collect()
}

fn read_policy(mut root: Table<'_>, base: &Path, files: &mut Vec<NamedFile>, ends: &mut Vec<Over>) -> Option<Policy> {
    let tls = house::tls(&mut root, base, files);
    let edge = house::edge(&mut root, base, &tls);
    let admin = admin::read(&mut root, edge.as_ref(), base, files);
    let keys_file = house::keys_file(&mut root, base, &mut *files);
    let state_dir = house::state_dir(&mut root, base);
    let clients = clients::read(&mut root, base, files);
    let priority = priority::read(&mut root, &clients);
    let origins = origin::read(&mut root);
    let rate_limits = rate_limits::read(&mut root, &clients);
    let waiting_rooms =
        waiting_room::Around { base, keys_file: &keys_file, clients: &clients, files: &mut *files, ends: &mut *ends }
            .read(&mut root);
    clients::same_cookie(&clients, &waiting_rooms, root.report);
    let cache_memory = limits::cache_memory(&mut root);
    let mut caches = limits::caches(&mut root, cache_memory);
    clients::same_cookie_as_versions(&caches, &waiting_rooms, root.report);
    let served = files::read(&mut root, base, files);
    let snapshot = snapshot::read(&mut root, base, files);
    let named = files.iter().find(|file| matches!(file.kind, FileKind::Snapshot)).map(|f| f.span.clone());
    let (level, dry_run) = level::read(&mut root, &origins, ends);
    let log = house::log(&mut root, base);
    let routes = route::Names {
        clients: &clients,
        origins: &origins,
        rate_limits: &rate_limits,
        waiting_rooms: &waiting_rooms,
        files: &served,
        snapshot: named,
        cache_memory,
        max_body_size: edge.as_ref().map_or(house::MAX_BODY_SIZE, |edge| edge.max_body_size),
    }
    .read(&mut root, &mut caches);
    if let Some(routes) = &routes {
        clients::unused(&clients, &priority, &rate_limits, &waiting_rooms, routes, root.report);
    }
    level::warn_of_dry_run(&level, dry_run, routes.as_deref().unwrap_or_default(), root.report);
    root.finish();

    Some(Policy {
        edge: edge?,
        admin,
        keys_file,
        state_dir,
        tls: tls.into_values()?,
        clients: clients.into_values()?,
        priority,
        origins: origins.into_values()?,
        rate_limits: rate_limits.into_values()?,
        waiting_rooms: waiting_rooms.into_values()?,
        caches: caches.into_values()?,
        files: served.into_values()?,
        cache_memory,
        snapshot,
        level,
        routes: routes?,
        log,
    })
}

/// The tables of one kind (`[origin.NAME]`), in the file's order. One that is wrong keeps its
/// place and its name, so that those who refer to it are not wrong as well.
struct Named<T> {
    items: Vec<NamedItem<T>>,
}

struct NamedItem<T> {
    name: String,
    span: Range<usize>,
    value: Option<T>,
}

impl<T> Named<T> {
    /// Reads every table under `key`.
    fn read(root: &mut Table<'_>, key: &'static str, mut one: impl FnMut(String, Table<'_>) -> Option<T>) -> Self {
        let mut items = Vec::new();
        let Some(mut section) = root.take_table(key) else { return Self { items } };
        for (name, key_span, value) in section.take_all() {
            if value.as_str().is_some() {
                let message = format!("`{key}.{name}` is a table: `{key}` is followed by a name of your choice");
                let help = format!("write [{key}.NAME], then {name} = … below it");
                section.report.add(Diagnostic::error(key_span, message).label("expected a table here").help(help));
                continue;
            }
            if let Err(problem) = values::name(name) {
                let message = format!("`{name}` is no name for a {key}");
                section.report.add(Diagnostic::error(key_span, message).label(problem.label));
            }
            let span = value.span.clone();
            let read = value.table().and_then(|table| one(name.to_owned(), table));
            items.push(NamedItem { name: name.to_owned(), span, value: read });
        }
        Self { items }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|item| item.name.as_str())
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.names().position(|n| n == name)
    }

    /// The index of what `value` names; reported if there is no such thing.
    fn refer(&self, value: &reader::Value<'_>, kind: &str) -> Option<usize> {
        let name = value.string(&format!("the name of a {kind}"))?;
        let found = self.position(name);
        if found.is_none() {
            let diagnostic = value.error(format!("there is no [{kind}.{name}]"));
            value.report.add(match nearest(name, self.names()) {
                Some(near) => diagnostic.label(format!("did you mean \"{near}\"?")),
                None if self.items.is_empty() => diagnostic.label("named here").help(format!("add [{kind}.{name}]")),
                None => diagnostic
                    .label("named here")
                    .help(format!("there is {}; or add [{kind}.{name}]", self.names().collect::<Vec<_>>().join(", "))),
            });
        }
        found
    }

    fn into_values(self) -> Option<Vec<T>> {
        self.items.into_iter().map(|item| item.value).collect()
    }
}

/// The name that was probably meant.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let known: Vec<_> = known.into_iter().collect();
    // `ipv6` for `ipv6_64`: the beginning, and of one only, says more than letters that are alike.
    let begins = |k: &&str| k.strip_prefix(lower.as_str()).is_some_and(|rest| rest.starts_with('_'));
    let mut longer = known.iter().copied().filter(begins);
    if let (Some(one), None) = (longer.next(), longer.next()) {
        return Some(one);
    }
    let close = |(distance, _): &(usize, &str)| *distance <= 1 + lower.len() / 4;
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_ascii_lowercase()), k))
        .filter(close)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| k)
}

fn syntax_error(error: &toml::de::Error, text: &str) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let (message, expected) = match error.message().split_once(", expected ") {
        Some((message, expected)) => (message, format!("expected {expected}")),
        None => (error.message(), String::new()),
    };
    let written = text.get(span.clone()).unwrap_or_default();
    let help = match message {
        "string values must be quoted" => Some(format!("write \"{written}\"")),
        "duplicate key" => Some("write it once; a table's keys stand together under one header".to_owned()),
        "key with no value" => Some("write it as: key = value".to_owned()),
        _ => None,
    };
    Diagnostic::error(span, format!("this is not TOML: {message}")).label(expected).maybe_help(help)
}

/// Why a file cannot be used, and what to do.
struct FileError {
    why: String,
    help: String,
}

/// A file's text, if it is a file, is text, and is not larger than `max`.
fn read_text(path: &Path, max: u64) -> Result<String, FileError> {
    let failed = |why: String, help: &str| FileError { why, help: help.to_owned() };
    let from_io = |e: std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            failed("no such file".to_owned(), "check the path; it is relative to the policy file")
        }
        std::io::ErrorKind::PermissionDenied => {
            failed("permission denied".to_owned(), "let the user that runs seawall read it (chmod, chown)")
        }
        _ => failed(e.to_string(), "check the path and the disk"),
    };
    let mut file = File::open(path).map_err(from_io)?;
    if file.metadata().map_err(from_io)?.is_dir() {
        return Err(failed("it is a directory".to_owned(), "name the file in it"));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(max + 1).read_to_end(&mut bytes).map_err(from_io)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max {
        return Err(failed(format!("it is larger than {} KiB", max >> 10), "is it the right file?"));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        failed(format!("it is not UTF-8 text (byte {at})"), "save it as UTF-8; is it the right file?")
    })
}
