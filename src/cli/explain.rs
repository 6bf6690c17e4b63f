//! `seawall explain`: what would become of a request, without sending it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use super::fail;
use crate::clients::{Groups, Members};
use crate::clock::Clock;
use crate::files::{Asked, tree};
use crate::front::head::{parse, room_for_fields};
use crate::pipeline::STAGES;
use crate::pipeline::own;
use crate::pipeline::stages::Explained;
use crate::pipeline::view::{Scheme, View};
use crate::policy::{Clients, Level, Policy, Route, file};
use crate::priority::classify;
use crate::{route, store};

/// Says what would become of a request.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A URL (`https://shop.example/cart?x=1`) or a path (`/cart`)
    url: String,
    /// The policy file
    #[arg(long, default_value = "seawall.toml", value_name = "FILE")]
    policy: PathBuf,
    /// The method
    #[arg(long, short = 'X', default_value = "GET")]
    method: String,
    /// A header field, as often as needed ("Cookie: a=1")
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The visitor's address
    #[arg(long, default_value = "192.0.2.1", value_name = "ADDRESS")]
    client: IpAddr,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `seawall explain`.
pub fn run(args: &Args) -> ExitCode {
    let policy = match file::load(&args.policy) {
        Ok((policy, _)) => policy,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match explain(args, &policy) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(why),
    }
}

/// The request as it would come in: so it is held to the same hygiene.
fn raw(args: &Args) -> (Scheme, String) {
    let (scheme, rest) = match args.url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
        Some((_, rest)) => (Scheme::Http, rest),
        None => (Scheme::Http, args.url.as_str()),
    };
    let (host, path) = match rest.find('/') {
        Some(0) => ("localhost", rest),
        Some(at) => rest.split_at_checked(at).unwrap_or((rest, "/")),
        None => (rest, "/"),
    };
    let mut head = format!("{} {path} HTTP/1.1\r\n", args.method);
    if !args.headers.iter().any(|h| h.to_ascii_lowercase().starts_with("host:")) {
        head.push_str(&format!("Host: {host}\r\n"));
    }
    for header in &args.headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head.push_str("\r\n");
    (scheme, head)
}

/// The groups of clients; passes count where their key file is there already.
fn groups(policy: &Policy) -> Groups {
    let keys = |group: &Clients| {
        group.passes.as_deref().filter(|path| path.exists()).and_then(|path| store::load_or_create(path).ok())
    };
    Groups::new(policy.clients.iter().map(|group| (group, keys(group))))
}

/// The file that would be sent, where the route's answers are files.
fn file_of(policy: &Policy, route: &Route, view: &View<'_>) -> Result<Option<String>, String> {
    let Some(rules) = route.files.filter(|_| view.is_read()).and_then(|id| policy.files.get(id.0)) else {
        return Ok(None);
    };
    let chosen = tree::chosen(rules, &Asked::of(view, rules));
    let chosen = chosen.map_err(|error| format!("{} can't be read: {error}", rules.root.display()))?;
    Ok(Some(chosen.unwrap_or_else(|| "none: the answer is 404".to_owned())))
}

fn explain(args: &Args, policy: &Policy) -> Result<(), String> {
    let (scheme, raw) = raw(args);
    let mut fields = room_for_fields();
    let head = match parse(raw.as_bytes(), &mut fields) {
        Ok(Some(head)) => head,
        Ok(None) => return Err("the request is not whole".to_owned()),
        Err(bad) => return Err(format!("it would be refused with {}: {}", bad.reason.status(), bad.why)),
    };
    let view = head.view(scheme, args.client);
    if view.path.starts_with(own::PREFIX) {
        return Err(format!("{} is Seawall's own: it answers that by itself, whatever the routes say", view.path));
    }
    let groups = groups(policy);
    let (mut members, unix_s) = (Members::default(), Clock::start().now().unix_ms / 1000);
    let found = route::find(policy, &view, |id| members.has(id, &groups, &view, unix_s));
    let Some((_, route)) = found else {
        return Err("no route takes it: the answer is 404".to_owned());
    };
    let rules = &policy.priority;
    let may_raise = || rules.from.iter().any(|group| members.has(*group, &groups, &view, unix_s));
    let class = classify(&view, route.priority, rules, may_raise);
    let asked = Explained { policy, route, view: &view, class };
    let asked = &asked;
    let at = |level| STAGES.iter().map(move |stage| (stage.name, (stage.explain)(asked, level)));
    let file = file_of(policy, route, &view)?;
    if args.json {
        let levels = Level::ALL.map(|l| (l.name(), at(l).collect::<std::collections::BTreeMap<_, _>>()));
        let value = serde_json::json!({
            "method": view.method, "host": view.host, "path": view.path, "route": route.name, "class": class.name(),
            "file": file, "levels": levels.into_iter().collect::<std::collections::BTreeMap<_, _>>(),
        });
        println!("{value:#}");
        return Ok(());
    }
    println!("{} {}{}", view.method, view.host, view.path);
    if let Some(file) = &file {
        println!("  {:<13} {file}", "file");
    }
    // What is the same at every level is said once.
    for (i, stage) in STAGES.iter().enumerate() {
        let says: Vec<_> = Level::ALL.iter().filter_map(|l| at(*l).nth(i).map(|(_, says)| (l.name(), says))).collect();
        let first = says.first().map(|(_, s)| s.clone()).unwrap_or_default();
        if says.iter().all(|(_, s)| *s == first) {
            println!("  {:<13} {first}", stage.name);
            continue;
        }
        println!("  {}", stage.name);
        says.iter().for_each(|(level, says)| println!("    {level:<11} {says}"));
    }
    Ok(())
}
