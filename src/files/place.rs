//! Where a path leads below a root: never out of it, whatever its spelling.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::pattern;
use crate::policy::Files;

/// All but the unreserved (RFC 3986 §2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A place below a root: names, of which none is empty, `.` or `..`, or holds a slash, a backslash or a
/// control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    relative: String,
    directory: bool,
}

impl Place {
    /// What a request's path means: the one that routes were matched on
    /// ([`crate::pipeline::path::normalise`]), without `strip`. Decoded to its end, once. None: there
    /// can't be such a file.
    pub fn of(path: &str, strip: &str) -> Option<Self> {
        let rest = path.strip_prefix(strip)?;
        if !rest.is_empty() && !rest.starts_with('/') {
            return None;
        }
        let directory = rest.ends_with('/');
        let mut place = Self { relative: String::with_capacity(rest.len()), directory };
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            place.push(&percent_decode_str(segment).decode_utf8().ok()?)?;
        }
        Some(place)
    }

    /// The place of a file by a name of the policy's: `index.html`, `errors/404.html`.
    pub fn named(name: &str) -> Option<Self> {
        let mut place = Self { relative: String::new(), directory: false };
        for segment in name.split('/') {
            place.push(segment)?;
        }
        Some(place)
    }

    /// The file of that name in this directory.
    pub fn join(&self, name: &str) -> Self {
        let slash = if self.relative.is_empty() { "" } else { "/" };
        Self { relative: format!("{}{slash}{name}", self.relative), directory: false }
    }

    fn push(&mut self, name: &str) -> Option<()> {
        let is_name = !matches!(name, "" | "." | "..");
        if !is_name || name.contains(['/', '\\']) || name.contains(|c: char| c.is_control()) {
            return None;
        }
        if !self.relative.is_empty() {
            self.relative.push('/');
        }
        self.relative.push_str(name);
        Some(())
    }

    /// Names with slashes between; empty for the root itself.
    pub fn relative(&self) -> &str {
        &self.relative
    }

    /// Whether it was asked for with a slash at its end.
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// The last of its names.
    pub fn name(&self) -> &str {
        self.relative.rsplit('/').next().unwrap_or_default()
    }

    /// Whether the policy forbids it, or a directory on the way to it.
    pub fn is_denied(&self, rules: &Files) -> bool {
        let lower = self.relative.to_lowercase();
        rules.deny.iter().any(|denied| {
            let denied = denied.to_lowercase();
            match denied.contains('/') {
                true => pattern::matches(denied.trim_start_matches('/'), &lower),
                false => lower.split('/').any(|name| pattern::matches(&denied, name)),
            }
        })
    }

    /// Whether its name says that its content never changes.
    pub fn is_immutable(&self, rules: &Files) -> bool {
        rules.immutable.iter().any(|named| match named.contains('/') {
            true => pattern::matches(named.trim_start_matches('/'), &self.relative),
            false => pattern::matches(named, self.name()),
        })
    }

    /// Whether its name ends as those of files do: who asks for `app.js` wants no page in its place.
    pub fn names_a_file(&self) -> bool {
        !self.directory && mime_guess::from_path(self.name()).first_raw().is_some()
    }

    /// Its URL as a directory. It begins with one slash and a name, so that it leads to no other host.
    pub fn directory_url(&self, strip: &str) -> String {
        let names = strip.split('/').chain(self.relative.split('/')).filter(|name| !name.is_empty());
        let mut url: String = names.map(|name| format!("/{}", utf8_percent_encode(name, ENCODED))).collect();
        url.push('/');
        url
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::files::tests::rules;
    use crate::pipeline::path::normalise;

    /// As a request's path is read.
    fn read(raw: &str) -> Option<Place> {
        Place::of(&normalise(raw).ok()?, "")
    }

    #[test]
    fn a_path_is_decoded_once_and_leads_below_the_root() {
        for (raw, expected) in [
            ("/", Some("")),
            ("/a/b.css", Some("a/b.css")),
            ("/a/", Some("a")),
            ("/caf%C3%A9%20x", Some("café x")),
            ("/100%25", Some("100%")),
            ("/a/../b", Some("b")),
            ("/../../etc/passwd", Some("etc/passwd")),
            ("/%2e%2e/%2e%2e/etc/passwd", Some("etc/passwd")),
            ("/%252e%252e/x", Some("%2e%2e/x")),
            ("/..%2fetc", None),
            ("/a%2fb", None),
            ("/a%5cb", None),
            ("/a\\b", None),
            ("/a%00b", None),
            ("/%c0%ae%c0%ae/x", None),
            ("/%ff", None),
            ("/a%C2%85b", None),
        ] {
            assert_eq!(read(raw).as_ref().map(Place::relative), expected, "{raw}");
        }
    }

    #[test]
    fn what_is_stripped_must_be_there_and_whole() {
        let of = |path| Place::of(path, "/assets").map(|place| (place.relative.clone(), place.directory));
        assert_eq!(of("/assets/x.css"), Some(("x.css".into(), false)));
        assert_eq!(of("/assets"), Some((String::new(), false)));
        assert_eq!(of("/assets/"), Some((String::new(), true)));
        assert_eq!(of("/assetsx/y"), None);
        assert_eq!(of("/other"), None);
    }

    #[test]
    fn what_is_denied_is_so_in_any_case_and_anywhere_on_the_way() {
        let rules = rules();
        for raw in ["/.env", "/a/.git/config", "/x.php", "/X.PHP", "/x.%50hp", "/%2eenv", "/a.php/b", "/;x/.env"] {
            assert!(read(raw).unwrap().is_denied(&rules), "{raw}");
        }
        for raw in ["/", "/a.css", "/x.phpx", "/a.b/c"] {
            assert!(!read(raw).unwrap().is_denied(&rules), "{raw}");
        }
        let of_path = Files { deny: vec!["private/*".into()], ..rules };
        assert!(read("/Private/x").unwrap().is_denied(&of_path) && !read("/a/private/x").unwrap().is_denied(&of_path));
    }

    #[test]
    fn the_url_of_a_directory_leads_to_no_other_host() {
        for (raw, url) in
            [("//evil.example/a", "/evil.example/a/"), ("/a%20b", "/a%20b/"), ("/x%22%3F", "/x%22%3F/"), ("/", "/")]
        {
            if let Some(place) = read(raw) {
                assert_eq!(place.directory_url(""), url, "{raw}");
            }
        }
        assert_eq!(read("/docs").unwrap().directory_url("/site"), "/site/docs/");
    }

    #[test]
    fn a_name_with_an_ending_is_a_file() {
        assert!(read("/a/app.js").unwrap().names_a_file() && read("/x.html").unwrap().names_a_file());
        assert!(!read("/users/john.doe").unwrap().names_a_file() && !read("/cart").unwrap().names_a_file());
    }

    proptest! {
        #[test]
        fn no_path_leads_out_of_the_root(raw in "/([a./\\\\;%]|%2[eEfF]|%5[cC]|%00|%25|%c0|%af|%[0-9a-f]{2}){0,24}") {
            if let Some(place) = read(&raw) {
                let place = place.join("index.html");
                prop_assert!(!place.relative.starts_with('/'));
                for name in place.relative.split('/') {
                    prop_assert!(!matches!(name, "" | "." | "..") && !name.contains(['\\', '\0']), "{}", name);
                }
                prop_assert!(!place.directory_url("").starts_with("//"));
            }
        }
    }
}
