//! Files around a policy: the policy itself, lists of networks, certificates, the snapshot.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that fails should say where")]

use std::path::Path;

use seawall::policy::diagnose::Severity;
use seawall::policy::file;

const MINIMAL: &str = "[edge]\nlisten = [\"127.0.0.1:8080\"]\n[origin.shop]\nservers = [\"127.0.0.1:9000\"]\nconcurrency = { mode = \"fixed\", limit = 4 }\n";

#[test]
fn a_bad_line_in_a_list_of_networks_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cdn.txt"), "# the CDN\n10.0.0.0/8 # all\n\n10.0.0.0/33\nfd00::/8\n").unwrap();
    let text = MINIMAL.replace("[origin", "trusted_proxies = \"file:cdn.txt\"\n[origin");
    let loaded = file::parse(&text, dir.path());
    assert_eq!(loaded.diagnostics.len(), 1, "{:?}", loaded.diagnostics);
    assert!(loaded.diagnostics[0].message.contains("cdn.txt, line 4: `10.0.0.0/33`"), "{:?}", loaded.diagnostics);
}

#[test]
fn a_key_file_of_passes_may_be_missing_but_not_be_something_else() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        format!("{MINIMAL}[clients.staff]\npasses = \"staff.keys\"\n[[route]]\nclients = \"staff\"\n[[route]]\n");
    let loaded = file::parse(&text, dir.path());
    assert!(loaded.policy.is_some() && loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    assert!(file::missing_files(&loaded.files).is_empty(), "it is made on first run");
    std::fs::write(dir.path().join("staff.keys"), "hello").unwrap();
    let wrong = file::missing_files(&loaded.files);
    assert!(wrong[0].message.contains("staff.keys cannot be used: this is not a Seawall key file"), "{wrong:?}");
}

#[test]
fn a_rooms_page_must_be_there_and_its_lanes_keys_may_be_missing() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "{MINIMAL}[waiting_room.a]\ncapacity = 5\npage = \"launch.html\"\nlanes.fans = {{ invitations = \"fans.keys\" }}\n\
         [[route]]\nwaiting_room = \"a\"\n"
    );
    let loaded = file::parse(&text, dir.path());
    assert!(loaded.policy.is_some() && loaded.diagnostics.is_empty(), "{:?}", loaded.diagnostics);
    let told = || file::missing_files(&loaded.files).into_iter().map(|d| d.message).collect::<Vec<_>>();
    assert!(matches!(told().as_slice(), [page] if page.ends_with("launch.html cannot be read: no such file")));
    std::fs::write(dir.path().join("launch.html"), "<title>{{ room }}</title>{{ refresh }}{{ script }}").unwrap();
    assert_eq!((told().len(), file::read_page(&dir.path().join("launch.html")).unwrap().len()), (0, 50));
    std::fs::write(dir.path().join("launch.html"), "<title>{{ room </title>").unwrap();
    assert!(matches!(told().as_slice(), [page] if page.contains("launch.html cannot be used: ")), "{:?}", told());
    std::fs::write(dir.path().join("fans.keys"), "hello").unwrap();
    std::fs::write(dir.path().join("launch.html"), vec![b' '; (256 << 10) + 1]).unwrap();
    assert!(
        matches!(told().as_slice(), [page, keys] if page.contains("larger than 256 KiB")
        && keys.contains("fans.keys cannot be used: this is not a Seawall key file")),
        "{:?}",
        told()
    );
}

#[test]
fn files_that_cannot_be_read_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let why = |path: &Path| file::load(path).unwrap_err().to_string();
    assert!(why(dir.path()).contains("it is a directory"));
    assert!(why(&dir.path().join("none.toml")).contains("none.toml: no such file"));
    let latin = dir.path().join("latin.toml");
    std::fs::write(&latin, b"[edge]\n# caf\xe9\n").unwrap();
    assert!(why(&latin).contains("not UTF-8 text (byte 12)"));
    let huge = dir.path().join("huge.toml");
    std::fs::write(&huge, vec![b'#'; (4 << 20) + 1]).unwrap();
    assert!(why(&huge).contains("larger than 4096 KiB"));
}

#[test]
fn files_the_policy_names_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("shop.key"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    let text = format!(
        "{MINIMAL}[snapshot]\n[tls.public]\ncertificates = [\n  {{ cert = \"shop.pem\", key = \"shop.key\" }},\n  \
         {{ cert = \"shop.key\", key = \"shop.key\" }},\n]\n"
    );
    let loaded = file::parse(&text, dir.path());
    assert!(loaded.policy.is_some(), "{:?}", loaded.diagnostics);
    let missing = file::missing_files(&loaded.files);
    let told: Vec<_> = missing.iter().map(|d| (d.severity, d.message.as_str())).collect();
    assert!(
        matches!(told.as_slice(), [(Severity::Error, gone), (Severity::Error, swapped), (Severity::Warning, snapshot)]
            if gone.ends_with("shop.pem cannot be read: no such file")
                && swapped.ends_with("shop.key holds no certificate")
                && snapshot.starts_with("there is no snapshot at")),
        "{told:#?}"
    );
    std::fs::write(dir.path().join("snapshot"), "a file").unwrap();
    let wrong = file::missing_files(&loaded.files);
    assert!(
        wrong.iter().any(|d| d.severity == Severity::Error && d.message.ends_with("is no directory")),
        "{wrong:#?}"
    );
}

#[test]
fn check_tells_of_a_key_that_does_not_fit_and_of_damaged_keys() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    let made = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (ours, other) = (made(), made());
    write("ours.pem", &ours.cert.pem());
    write("other.key", &other.signing_key.serialize_pem());
    write("our.key", &ours.signing_key.serialize_pem());
    write("seawall.keys", "nonsense");
    let check = |key: &str, keys: &str| {
        let tls = format!("[tls.public]\ncertificates = [{{ cert = \"ours.pem\", key = \"{key}\" }}]\n");
        write("policy.toml", &format!("{MINIMAL}{tls}[keys]\nfile = \"{keys}\"\n"));
        let seawall = env!("CARGO_BIN_EXE_seawall");
        let done =
            std::process::Command::new(seawall).arg("check").arg(dir.path().join("policy.toml")).output().unwrap();
        (done.status.success(), String::from_utf8(done.stderr).unwrap())
    };
    let (good, said) = check("our.key", "none-yet.keys");
    assert!(good, "{said}");
    let (good, said) = check("other.key", "none-yet.keys");
    assert!(!good && said.contains("does not fit the certificate"), "{said}");
    let (good, said) = check("our.key", "seawall.keys");
    assert!(!good && said.contains("restore it from a backup"), "{said}");
}

proptest::proptest! {
    /// Lines lost, doubled or cut: a policy or errors come out, never a panic and never neither.
    #[test]
    fn no_damage_to_a_policy_is_overlooked_or_fatal(seed in proptest::collection::vec((0usize..120, 0usize..40, 0u8..4), 1..6)) {
        for text in [include_str!("../config/tickets.toml"), include_str!("../config/shop-drop.toml")] {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            for (line, column, kind) in &seed {
                let at = line % lines.len();
                match kind {
                    0 => drop(lines.remove(at)),
                    1 => lines.insert(at, lines[at].clone()),
                    2 => lines[at] = lines[at].chars().take(*column).collect(),
                    _ => lines[at] = lines[at].replace(['"', '='], "ü"),
                }
            }
            let text = lines.join("\n");
            let loaded = file::parse(&text, Path::new(""));
            let errors = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
            assert_eq!(loaded.policy.is_none(), errors > 0, "{text}");
        }
    }
}
