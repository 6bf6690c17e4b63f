//! The file of an admin token: one word, for its owner's eyes.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Letters of a token at least: 24 random bytes in base64.
const LENGTH_MIN: usize = 32;
const LENGTH_MAX: usize = 4096;
/// Whoever is not the owner may not change it, and others may not read it.
const FORBIDDEN: u32 = 0o027;
/// What makes one.
const MAKE: &str = "make one: (umask 077; head -c 32 /dev/urandom | base64 > FILE)";

/// Why a file holds no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token {path} cannot be read: {source}; {MAKE}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the token {path} may be read by others (mode {mode:o}): chmod 600 it")]
    Mode { path: PathBuf, mode: u32 },
    #[error(
        "{path} holds no token: it is one word of {LENGTH_MIN} to {LENGTH_MAX} letters, digits and -._~+/=; {MAKE}"
    )]
    Malformed { path: PathBuf },
}

/// The token in a file.
///
/// # Errors
/// [`TokenError`]
pub fn read(path: &Path) -> Result<String, TokenError> {
    let failed = |source| TokenError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & FORBIDDEN != 0 {
        return Err(TokenError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Vec::new();
    // Its line's end may come on top.
    file.take(LENGTH_MAX as u64 + 2).read_to_end(&mut text).map_err(failed)?;
    let word = text.trim_ascii();
    // RFC 6750 §2.1, `b64token`.
    let fits = word.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/=".contains(b));
    match String::from_utf8(word.to_vec()) {
        Ok(word) if fits && (LENGTH_MIN..=LENGTH_MAX).contains(&word.len()) => Ok(word),
        _ => Err(TokenError::Malformed { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_that_only_its_owner_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ops.token");
        let with = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&path).map_err(|error| error.to_string())
        };
        let word = "abcdefghijklmnopqrstuvwxyz012345+/=";
        assert_eq!(with(&format!("{word}\n"), 0o600), Ok(word.to_owned()));
        assert_eq!(with(word, 0o640), Ok(word.to_owned()), "a group's secret");
        for mode in [0o644, 0o660, 0o602] {
            assert!(with(word, mode).unwrap_err().contains("chmod 600"), "{mode:o}");
        }
        for text in ["", "short", &format!("{word} {word}"), &"ä".repeat(40), &"x".repeat(5000)] {
            assert!(with(text, 0o600).unwrap_err().contains("holds no token"), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("/dev/urandom"));
    }
}
