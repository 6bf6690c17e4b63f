//! `seawall check`: is this policy good, and if not, where and why.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use crate::clock::Clock;
use crate::policy::diagnose::{Diagnostic, Findings, Severity};
use crate::policy::file::{self, LoadError, Loaded, NamedFile};
use crate::policy::{Admit, LogFormat, Order, Policy, Tls, Ttl, WaitingRoom};

/// Checks a policy file and the files that it names.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policy file.
    #[arg(default_value = "seawall.toml")]
    pub policy: PathBuf,
    /// Findings as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Checks and tells. 0: good, perhaps with warnings; 1: bad.
pub fn run(args: Args) -> ExitCode {
    let source = match file::read(&args.policy) {
        Ok(source) => source,
        Err(error) => return unreadable(&args, &error),
    };
    let Loaded { policy, mut diagnostics, files, ends } = file::parse(&source.text, file::base_of(&args.policy));
    diagnostics.extend(file::missing_files(&files));
    diagnostics.extend(policy.iter().flat_map(|policy| &policy.tls).filter_map(|tls| unfit(tls, &files)));
    diagnostics.extend(file::over(&ends, Clock::start().now().unix_ms));
    diagnostics.sort_by_key(|d| d.span.start);
    let findings = Findings { source, diagnostics };
    let good = policy.filter(|_| !findings.has_errors());
    if args.json {
        say(format_args!("{}", json!({ "ok": good.is_some(), "diagnostics": findings.to_json() })));
    } else {
        let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        eprint!("{}", findings.render(color));
        match &good {
            Some(policy) => say(format_args!("{}: good\n{}", findings.source.name, summary(policy))),
            None => eprintln!("{}: {}", findings.source.name, count(&findings)),
        }
    }
    if good.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Certificates that can't be served with, though each file is what it should be: a key of another, say.
fn unfit(tls: &Tls, files: &[NamedFile]) -> Option<Diagnostic> {
    let error = crate::front::tls::load(tls).err()?;
    let is_ours =
        |file: &&NamedFile| tls.certificates.iter().any(|pair| pair.cert == file.path || pair.key == file.path);
    let named: Vec<_> = files.iter().filter(is_ours).collect();
    if named.iter().any(|file| !file::missing_files(std::slice::from_ref(*file)).is_empty()) {
        // That has been said.
        return None;
    }
    let diagnostic =
        Diagnostic::error(named.first()?.span.clone(), format!("[tls.{}] can't be used: {error}", tls.name));
    Some(
        diagnostic
            .label("named here")
            .help("cert and key belong together, each as PEM: name the key that the certificate was made for"),
    )
}

fn unreadable(args: &Args, error: &LoadError) -> ExitCode {
    match error {
        LoadError::Unreadable { path, why, help } if args.json => {
            let finding = json!({
                "severity": "error", "message": why, "file": path, "line": null, "column": null,
                "end_line": null, "end_column": null, "label": null, "help": help,
            });
            say(format_args!("{}", json!({ "ok": false, "diagnostics": [finding] })));
        }
        _ => eprintln!("error: {error}"),
    }
    ExitCode::FAILURE
}

/// A line on standard output. Who reads it may have gone; the exit code still tells.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn count(findings: &Findings) -> String {
    let errors = findings.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
    format!("{errors} {}, not usable", if errors == 1 { "error" } else { "errors" })
}

/// What the policy comes to, a line a kind.
fn summary(policy: &Policy) -> String {
    let listen = policy.edge.listen.iter().map(|l| match l.tls {
        Some(_) => format!("{} (TLS)", l.address),
        None => l.address.to_string(),
    });
    let origins = policy.origins.iter().map(|o| {
        let servers: Vec<_> = o.servers.iter().map(ToString::to_string).collect();
        format!("{} at {}, {}", o.name, servers.join(" and "), o.concurrency.limit)
    });
    let limits = policy.rate_limits.iter().map(|l| {
        let dry_run = if l.dry_run { ", dry run" } else { "" };
        format!("{} ({} in {:?}, burst {}{dry_run})", l.name, l.quota.count, l.quota.period, l.burst)
    });
    let rooms = policy.waiting_rooms.iter().map(room);
    let caches = policy.caches.iter().map(|c| match c.ttl {
        Ttl::Origin => format!("{} (as the origin allows)", c.name),
        Ttl::Fixed(ttl) => format!("{} ({ttl:?})", c.name),
        Ttl::Heuristic => format!("{} (by the time since the last change)", c.name),
    });
    let files = policy.files.iter().map(|f| format!("{} (from {})", f.name, f.root.display()));
    let snapshot = policy.snapshot.iter().map(|s| match s.every {
        Some(every) => format!("{} (taken every {})", s.dir.display(), humantime::format_duration(every)),
        None => format!("{} (taken by hand)", s.dir.display()),
    });
    let routes = policy.routes.iter().map(|r| r.name.clone());
    let format = match policy.log.format {
        LogFormat::Json => "json",
        LogFormat::Text => "text",
    };
    let lines = [
        ("listen", listen.collect()),
        ("admin", vec![policy.admin.listen.to_string()]),
        ("origins", origins.collect()),
        ("rate limits", limits.collect()),
        ("rooms", rooms.collect()),
        ("caches", caches.collect()),
        ("files", files.collect()),
        ("snapshot", snapshot.collect()),
        ("routes", routes.collect()),
        ("log", vec![format.to_owned()]),
    ];
    let line = |(what, all): (&str, Vec<String>)| (!all.is_empty()).then(|| format!("  {what:<12} {}", all.join("; ")));
    lines.into_iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

fn room(room: &WaitingRoom) -> String {
    let admit = match room.admit {
        Admit::AsPlacesComeFree => String::new(),
        Admit::Quota(admit) => format!(", {} in {:?}", admit.count, admit.period),
        Admit::Auto => ", as many as the origin carries".to_owned(),
    };
    let lanes: String = room.lanes.iter().map(|lane| format!(", lane {} × {}", lane.name, lane.weight)).collect();
    let lottery = if room.order == Order::Lottery { ", by lot" } else { "" };
    let dry_run = if room.dry_run { ", dry run" } else { "" };
    format!("{} ({} inside{admit}{lottery}{lanes}{dry_run})", room.name, room.capacity)
}
