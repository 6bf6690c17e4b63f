//! `seawall status`: what a running edge does, on one screen.

use std::process::ExitCode;

use hyper::Method;
use serde_json::Value;

use super::ask::Target;
use super::fail;
use super::room::show;

/// Shows what a running edge does. Exit code 1 if none answers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `seawall status`.
pub fn run(args: &Args) -> ExitCode {
    match args.target.ask(Method::GET, "/api/v1/status", None) {
        Ok(status) if args.json => println!("{status:#}"),
        Ok(status) => print!("{}", render(&status)),
        Err(error) => return fail(format_args!("{error:#}")),
    }
    ExitCode::SUCCESS
}

fn render(status: &Value) -> String {
    let mut out = format!(
        "{} · {} connections · up {} · version {}\n",
        text(status, "state"),
        text(status, "connections"),
        humantime::format_duration(std::time::Duration::from_secs(number(status, "uptime_seconds"))),
        text(status, "version"),
    );
    out.extend(status.get("edge").map(edge_line));
    list(status, "origins").for_each(|origin| out.push_str(&origin_lines(origin)));
    list(status, "waiting_rooms").for_each(|room| out.push_str(&show::room(room)));
    if let Some(cache) = status.get("cache") {
        out.push_str(&format!(
            "\ncache   {} entries   {} of {} bytes\n",
            text(cache, "entries"),
            text(cache, "bytes"),
            text(cache, "bytes_max")
        ));
    }
    out.extend(status.get("snapshot").filter(|snapshot| !snapshot.is_null()).map(snapshot_line));
    out.push_str("\nrequests");
    for (reason, count) in status.get("requests").and_then(Value::as_object).into_iter().flatten() {
        out.push_str(&format!("   {reason} {count}"));
    }
    out.push('\n');
    if number(status, "access_log_lost") > 0 {
        out.push_str(&format!("\n{} access log lines lost: is the disk full?\n", text(status, "access_log_lost")));
    }
    out
}

fn snapshot_line(snapshot: &Value) -> String {
    let mut line = match snapshot.get("urls").and_then(Value::as_u64) {
        Some(urls) => format!("\nsnapshot   {urls} URLs"),
        None => "\nsnapshot   none yet".to_owned(),
    };
    if let Some(age) = snapshot.get("age_seconds").and_then(Value::as_u64) {
        line.push_str(&format!("   taken {} ago", humantime::format_duration(std::time::Duration::from_secs(age))));
    }
    let told = |name: &str| snapshot.get(name).filter(|told| !told.is_null());
    if let Some(forming) = told("forming") {
        line.push_str(&format!(
            "   one is being taken: smaller forms of {} bodies, of {}",
            text(forming, "done"),
            text(forming, "of")
        ));
    } else if let Some(taking) = told("taking") {
        line.push_str(&format!("   one is being taken: {} URLs, {} to go", text(taking, "done"), text(taking, "left")));
    }
    line.push('\n');
    if let Some(error) = snapshot.get("last_error").and_then(Value::as_str) {
        line.push_str(&format!("  the last attempt failed: {error}\n"));
    }
    line
}

/// A line for the retries, and one for each server where there are several.
fn servers(origin: &Value) -> String {
    let mut out = match (number(origin, "retries"), number(origin, "retries_denied")) {
        (0, 0) => String::new(),
        (made, denied) => format!("  retries {made}   denied by the budget {denied}\n"),
    };
    if list(origin, "servers").count() < 2 {
        return out;
    }
    for server in list(origin, "servers") {
        let state = match (text(server, "state"), server.get("back_in_seconds").and_then(Value::as_u64)) {
            (state, Some(seconds)) => format!("out: {state}, for {seconds} s"),
            (state, None) if state == "returning" => format!("back with {} %", number(server, "share_percent")),
            (state, None) if state == "in" => state,
            (state, None) => format!("out: {state}, until its health check passes"),
        };
        out.push_str(&format!("  {}   in flight {}   {state}\n", text(server, "server"), text(server, "in_flight")));
    }
    out
}

/// `edge easy   cpu 12 %   …`: how Seawall itself does.
fn edge_line(edge: &Value) -> String {
    let figure = |name| edge.get(name).and_then(Value::as_f64).unwrap_or_default();
    format!(
        "edge {}   cpu {:.0} %   memory {:.0} %   connections {:.0} %   lag {:.0} ms\n",
        text(edge, "strain"),
        figure("cpu") * 100.0,
        figure("memory") * 100.0,
        figure("connections") * 100.0,
        figure("lag_seconds") * 1000.0,
    )
}

fn origin_lines(origin: &Value) -> String {
    let mut out = format!(
        "\norigin {}   level {}{}\n  pressure {}\n  in flight {} of {} (most so far {})   queued {}   streams {}   answers {}   unreached {}\n",
        text(origin, "name"),
        text(origin, "level"),
        aside(origin),
        pressure(origin),
        text(origin, "in_flight"),
        text(origin, "limit"),
        text(origin, "in_flight_peak"),
        text(origin, "queued"),
        text(origin, "streams"),
        text(origin, "answers"),
        text(origin, "unreached"),
    );
    out.push_str(&servers(origin));
    if text(origin, "health_check_never_passed") == "true" {
        out.push_str("  its health check has never passed: is the path right? Until it does, it is not believed\n");
    }
    if let Some(window) = origin.get("next_scheduled").filter(|window| window.is_object()) {
        out.push_str(&format!("  scheduled: {}\n", window_line(window)));
    }
    for set in list(origin, "overrides") {
        out.push_str(&format!("  {}\n", override_line(set)));
    }
    out
}

/// What the level would be by itself, where something else holds it.
fn aside(origin: &Value) -> String {
    match text(origin, "level_automatic") {
        same if same == text(origin, "level") => String::new(),
        automatic if text(origin, "level_dry_run") == "true" => format!("   (would be {automatic}: dry run)"),
        automatic => format!("   (by itself {automatic})"),
    }
}

/// `queue 1.30`; and how much of its traffic an origin gets that is on its way back.
fn pressure(origin: &Value) -> String {
    let figure = |name| origin.get(name).and_then(Value::as_f64).unwrap_or_default();
    let pressure = format!("{} {:.2}", text(origin, "pressure_leading"), figure("pressure"));
    match figure("allowance") {
        all if all >= 1.0 => pressure,
        share => format!("{pressure}   gets {:.0} % of its traffic", share * 100.0),
    }
}

/// `at least elevated from 2026-… until 2026-…`.
fn window_line(window: &Value) -> String {
    let time = |name| crate::telemetry::access_log::time(number(window, name));
    format!("at least {} from {} until {}", text(window, "at_least"), time("from_unix_ms"), time("until_unix_ms"))
}

/// `pinned at static by ops until 2026-…: payment provider down`.
pub(super) fn override_line(set: &Value) -> String {
    let kind = if set.get("exact").and_then(Value::as_bool) == Some(true) { "pinned at" } else { "at least" };
    let until = match set.get("until_unix_ms").and_then(Value::as_u64) {
        Some(ms) => format!("until {}", crate::telemetry::access_log::time(ms)),
        None => "until released".to_owned(),
    };
    let why = text(set, "why");
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    format!("{kind} {} by {} {until}{why}", text(set, "level"), text(set, "who"))
}

/// A member as people read it.
pub(super) fn text(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::String(s)) => s.clone(),
        Some(other) => other.to_string(),
        None => "?".to_owned(),
    }
}

pub(super) fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or_default()
}

pub(super) fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}
