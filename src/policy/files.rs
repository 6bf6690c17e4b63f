//! `[files.NAME]`: a directory whose files are served.

use std::path::PathBuf;
use std::time::Duration;

/// A directory whose files are served, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub name: String,
    pub root: PathBuf,
    /// Left out of the request's path before it is looked up: empty, or `/assets`.
    pub strip: String,
    /// Siblings that may stand for a file, the one liked best first.
    pub precompressed: Vec<Coding>,
    /// Names that never change their content; `*` is any text, `?` one character.
    pub immutable: Vec<String>,
    /// Names that are never served, in whatever case.
    pub deny: Vec<String>,
    /// What answers for a directory.
    pub index: Option<String>,
    /// What answers where there is nothing, and the path names no file by its ending.
    pub fallback: Option<String>,
    /// The page of a 404.
    pub not_found: Option<String>,
    /// How long others may keep what is not immutable; zero: they ask each time.
    pub max_age: Duration,
}

/// A content coding (RFC 9110 §8.4.1) that files are held in beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    pub const ALL: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// The ending of such a file, which is how the policy names it.
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Brotli => "br",
            Self::Gzip => "gz",
        }
    }

    /// As Content-Encoding names it.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}
