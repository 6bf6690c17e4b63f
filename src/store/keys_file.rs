//! The file of the signing key, made on first run.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::{StoreError, sync_dir};
use crate::keys::Keys;

/// The id of the first key.
const FIRST_ID: u8 = 1;

/// The keys in the file at `path`; a file with a new secret if there is none.
///
/// Of two processes that start at once, the second takes the first one's file.
pub fn load_or_create(path: &Path) -> Result<Keys, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => create(path),
        Err(e) => Err(StoreError::io(path, "read the keys")(e)),
    }
}

fn parse(path: &Path, text: &str) -> Result<Keys, StoreError> {
    Keys::parse(text).map_err(|source| StoreError::Keys { path: path.to_owned(), source })
}

fn create(path: &Path) -> Result<Keys, StoreError> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(StoreError::Random)?;
    let dir = path.parent().unwrap_or(Path::new(""));
    if !dir.as_os_str().is_empty() {
        fs::create_dir_all(dir).map_err(StoreError::io(dir, "make the directory"))?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let temp = Path::new(&name);
    write_private(temp, Keys::file_text(FIRST_ID, &secret).as_bytes()).map_err(StoreError::io(temp, "write"))?;
    // A link, not a rename: it never replaces a file that has appeared meanwhile.
    let linked = fs::hard_link(temp, path);
    let _ = fs::remove_file(temp);
    match linked {
        Ok(()) => sync_dir(dir)?,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(path).map_err(StoreError::io(path, "read the keys"))?;
            return parse(path, &text);
        }
        Err(e) => return Err(StoreError::io(path, "make the key file")(e)),
    }
    Ok(Keys::from_bytes(FIRST_ID, &secret))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::keys::Purpose;

    #[test]
    fn made_once_then_read_again_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/seawall.keys");
        let made = load_or_create(&path).unwrap();
        let read = load_or_create(&path).unwrap();
        assert_eq!(made.mac(Purpose::Ticket, b"x"), read.mac(Purpose::Ticket, b"x"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing left lying about");
    }

    #[test]
    fn two_that_start_at_once_agree() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seawall.keys");
        let first = create(&path).unwrap();
        let second = create(&path).unwrap();
        assert_eq!(first.mac(Purpose::Ticket, b"x"), second.mac(Purpose::Ticket, b"x"));
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("seawall.keys");
        fs::write(&path, "hello").unwrap();
        let error = load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("seawall.keys") && error.contains("remove it"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello");
    }
}
