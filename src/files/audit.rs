//! What is wrong with a directory that the policy serves: for `seawall check`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::pattern;
use super::place::Place;
use crate::policy::Files;

/// Names that are secrets more often than not.
const SECRET: &[&str] = &[
    ".env*",
    ".git",
    ".svn",
    ".hg",
    ".ht*",
    ".ssh",
    ".aws",
    "*.key",
    "*.keys",
    "*.pem",
    "*.pfx",
    "*.p12",
    "*.token",
    "id_rsa*",
    "id_ed25519*",
    "*.sql",
    "*.sqlite*",
    "*.bak",
    "wp-config.php*",
    "seawall*.toml",
];
/// Entries looked at, and directories within directories: a check of a large tree is not to take minutes.
const ENTRIES_MAX: usize = 100_000;
const DEPTH_MAX: usize = 16;
/// Names told.
const TOLD_MAX: usize = 5;

/// Something to tell of a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Missing,
    NoDirectory,
    /// Anyone on this machine can put files there.
    WorldWritable,
    /// Names that look like secrets and would be served; at most so many.
    Secrets(Vec<String>),
}

/// Looks at a root.
pub fn look(rules: &Files) -> Vec<Finding> {
    let Ok(meta) = std::fs::metadata(&rules.root) else { return vec![Finding::Missing] };
    if !meta.is_dir() {
        return vec![Finding::NoDirectory];
    }
    let mut found = Vec::new();
    if meta.permissions().mode() & 0o002 != 0 {
        found.push(Finding::WorldWritable);
    }
    let (mut secrets, mut left) = (Vec::new(), ENTRIES_MAX);
    list(&rules.root, "", rules, &mut secrets, &mut left, 0);
    if !secrets.is_empty() {
        secrets.sort();
        found.push(Finding::Secrets(secrets));
    }
    found
}

fn list(dir: &Path, below: &str, rules: &Files, secrets: &mut Vec<String>, left: &mut usize, depth: usize) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if *left == 0 || secrets.len() >= TOLD_MAX {
            return;
        }
        *left -= 1;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let relative = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        // What can't be asked for, or is denied, is no worry; nor is what lies below it.
        if Place::named(&relative).is_none_or(|place| place.is_denied(rules)) {
            continue;
        }
        let lower = name.to_lowercase();
        if SECRET.iter().any(|secret| pattern::matches(secret, &lower)) {
            secrets.push(relative);
        } else if depth < DEPTH_MAX && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&entry.path(), &relative, rules, secrets, left, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::rules;

    #[test]
    fn secrets_that_would_be_served_are_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let put = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        let mut rules = Files { root: dir.path().to_owned(), ..rules() };
        put("index.html");
        assert_eq!(look(&rules), []);
        for name in [".env", "a/Server.KEY", "dump.sql", ".git/config"] {
            put(name);
        }
        assert_eq!(look(&rules), [Finding::Secrets(vec!["a/Server.KEY".into()])]);
        rules.deny = vec!["*.key".into()];
        let all = [".env", ".git", "dump.sql"].map(str::to_owned).to_vec();
        assert_eq!(look(&rules), [Finding::Secrets(all)]);
    }

    #[test]
    fn a_root_is_a_directory_that_not_everyone_may_write_to() {
        let dir = tempfile::tempdir().unwrap();
        let at = |root| look(&Files { root, ..rules() });
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(at(dir.path().to_owned()), [Finding::WorldWritable]);
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(at(dir.path().join("file")), [Finding::NoDirectory]);
        assert_eq!(at(dir.path().join("none")), [Finding::Missing]);
    }
}
