//! Files that the policy names: whether they are there, and are what it takes them for.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{FileError, LoadError, POLICY_FILE_MAX, read_text};
use crate::files::audit::{self, Finding};
use crate::policy::Files;
use crate::policy::diagnose::Diagnostic;
use crate::waiting_room::page::Page;

/// Every visitor in line is sent a room's page; a template larger than this is no page.
const PAGE_FILE_MAX: u64 = 256 << 10;

/// A file or directory that the policy names and that must be there before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    pub path: PathBuf,
    pub kind: FileKind,
    /// Where the policy names it.
    pub span: Range<usize>,
}

/// What a [`NamedFile`] is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A PEM chain.
    Certificate,
    /// A PEM private key.
    Key,
    /// The snapshot's directory, which may still come.
    Snapshot,
    /// A key file of ours, made on first run.
    OwnKeys,
    /// An admin token.
    Token,
    /// The template of a waiting room's page.
    Page { room: String },
    /// The root of `[files.NAME]`.
    Root(Box<Files>),
}

/// The files that a policy names and that are not there or cannot be what it says they are.
pub fn missing_files(files: &[NamedFile]) -> Vec<Diagnostic> {
    files.iter().flat_map(findings).collect()
}

/// Reads the template of a waiting room's page.
pub fn read_page(path: &Path) -> Result<String, LoadError> {
    read_text(path, PAGE_FILE_MAX).map_err(|FileError { why, help }| LoadError::Unreadable {
        path: path.to_owned(),
        why,
        help,
    })
}

fn findings(file: &NamedFile) -> Vec<Diagnostic> {
    match &file.kind {
        FileKind::Root(rules) => audit::look(rules).into_iter().map(|finding| root(file, rules, finding)).collect(),
        _ => missing_file(file).into_iter().collect(),
    }
}

/// What is wrong with a directory that is served.
fn root(file: &NamedFile, rules: &Files, finding: Finding) -> Diagnostic {
    let shown = file.path.display();
    let warn = |message: String, label: &str, help: String| {
        Diagnostic::warning(file.span.clone(), message).label(label).help(help)
    };
    match finding {
        Finding::Missing => warn(
            format!("there is no directory {shown}"),
            "nothing there to serve",
            "make it and put the files in it; until then they are answered with a 503".to_owned(),
        ),
        Finding::NoDirectory => {
            let message = format!("the root {shown} is no directory");
            Diagnostic::error(file.span.clone(), message)
                .label("expected a directory of files")
                .help("name a directory, or move the file away")
        }
        Finding::WorldWritable => warn(
            format!("anyone on this machine can put files in {shown}"),
            "and Seawall would serve them",
            format!("chmod o-w {shown}"),
        ),
        Finding::Secrets(names) => {
            let patterns: Vec<_> = rules.deny.iter().map(|pattern| format!("\"{pattern}\"")).collect();
            warn(
                format!("[files.{}] would serve what looks secret: {}", rules.name, names.join(", ")),
                "anyone can ask for it",
                format!("move it away, or deny it; denied are: {}", patterns.join(", ")),
            )
        }
    }
}

fn missing_file(file: &NamedFile) -> Option<Diagnostic> {
    let shown = file.path.display();
    let (mark, what) = match &file.kind {
        FileKind::OwnKeys => return damaged_keys(file),
        FileKind::Token => {
            let error = crate::store::token_file::read(&file.path).err()?;
            return Some(Diagnostic::error(file.span.clone(), error.to_string()).label("named here"));
        }
        FileKind::Snapshot if file.path.is_dir() => return None,
        FileKind::Snapshot if file.path.exists() => {
            let diagnostic = Diagnostic::error(file.span.clone(), format!("the snapshot {shown} is no directory"))
                .label("expected a directory of pages")
                .help("name a directory, or move the file away");
            return Some(diagnostic);
        }
        FileKind::Snapshot => {
            let diagnostic = Diagnostic::warning(file.span.clone(), format!("there is no snapshot at {shown}"))
                .label("nothing there to answer from")
                .help("take one: `seawall snapshot POLICY`; until then its pages are answered with an honest 503");
            return Some(diagnostic);
        }
        FileKind::Certificate => ("BEGIN CERTIFICATE-----", "certificate"),
        FileKind::Key => ("PRIVATE KEY-----", "private key"),
        FileKind::Page { room } => return unusable_page(file, room),
        FileKind::Root(_) => return None,
    };
    match read_text(&file.path, POLICY_FILE_MAX) {
        Ok(text) if text.contains(mark) => None,
        Ok(_) => Some(
            Diagnostic::error(file.span.clone(), format!("{shown} holds no {what}"))
                .label(format!("expected a PEM file with a {what}"))
                .help("are cert and key the wrong way round?"),
        ),
        Err(error) => unreadable(what, file, error),
    }
}

/// A template that cannot be read, or that makes no page.
fn unusable_page(file: &NamedFile, room: &str) -> Option<Diagnostic> {
    let text = match read_text(&file.path, PAGE_FILE_MAX) {
        Ok(text) => text,
        Err(error) => return unreadable("page", file, error),
    };
    let why = Page::new(room, Some(&text)).err()?;
    let diagnostic =
        Diagnostic::error(file.span.clone(), format!("the page {} cannot be used: {why}", file.path.display()));
    Some(diagnostic.label("named here").help("`seawall room preview` shows a page that can be used in every state"))
}

fn unreadable(what: &str, file: &NamedFile, FileError { why, help }: FileError) -> Option<Diagnostic> {
    let message = format!("the {what} {} cannot be read: {why}", file.path.display());
    Some(Diagnostic::error(file.span.clone(), message).label("named here").help(help))
}

/// A key file that is there and is none; one that is not there yet is made on first run.
fn damaged_keys(file: &NamedFile) -> Option<Diagnostic> {
    let opened = std::fs::File::open(&file.path).map_err(|error| error.kind());
    if matches!(opened, Err(ErrorKind::NotFound | ErrorKind::PermissionDenied)) {
        // It is the edge's own, and who checks may be another.
        return None;
    }
    let why = match read_text(&file.path, POLICY_FILE_MAX) {
        Ok(text) => crate::keys::Keys::parse(&text).err()?.to_string(),
        Err(FileError { why, .. }) => why,
    };
    let shown = file.path.display();
    let diagnostic = Diagnostic::error(file.span.clone(), format!("{shown} cannot be used: {why}"));
    Some(
        diagnostic
            .label("named here")
            .help("restore it from a backup; or move it away: a new one is made, and all that this one signed is void"),
    )
}
