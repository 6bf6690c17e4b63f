//! `seawall room find`: the place behind the reference that a visitor reads out.

use std::process::ExitCode;

use hyper::Method;
use serde_json::Value;

use super::{path, room_name, show};
use crate::cli::ask::Target;
use crate::cli::status::{number, text};
use crate::waiting_room::Reference;

/// Looks up a visitor's place.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The room
    #[arg(value_parser = room_name)]
    room: String,
    /// The reference on the visitor's page ("A-3K7Q-9")
    reference: Reference,
    #[command(flatten)]
    target: Target,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = format!("{}/tickets/{}", path(&args.room), args.reference);
    let found = args.target.ask(Method::GET, &path, None)?;
    match args.json {
        true => println!("{found:#}"),
        false => print!("{}", shown(&found)),
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(found: &Value) -> String {
    let ago = |name| show::wait(number(found, name));
    let silent = if text(found, "here") == "false" { "; not heard of for a minute or more" } else { "" };
    let said = match text(found, "state").as_str() {
        "waiting" => {
            let position = match found.get("position").and_then(Value::as_u64) {
                Some(position) => format!("in line, at position {position}"),
                None => "in line, not drawn yet".to_owned(),
            };
            let wait = found.get("wait_seconds").filter(|wait| wait.is_object()).map_or(String::new(), |wait| {
                format!("; waits {} to {}", show::wait(number(wait, "low")), show::wait(number(wait, "high")))
            });
            format!("{position}{wait}{silent}")
        }
        "returning" => format!("was away when its turn came; comes in among the next{silent}"),
        "reserved" => format!("its turn: a place is kept for {}", ago("left_seconds")),
        "inside" => format!(
            "inside for {}; last seen {} ago; {} requests under way",
            ago("since_seconds"),
            ago("seen_ago_seconds"),
            number(found, "in_flight")
        ),
        _ => "used, or sent out".to_owned(),
    };
    format!("{}: {said}\n", text(found, "reference"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_place_is_told_in_a_sentence() {
        let of = |mut found: Value| {
            if let Some(found) = found.as_object_mut() {
                found.insert("reference".to_owned(), "A-7-X".into());
            }
            shown(&found)
        };
        assert_eq!(
            of(json!({ "state": "waiting", "position": 7, "wait_seconds": { "low": 60, "high": 180 }, "here": true })),
            "A-7-X: in line, at position 7; waits 60 s to 3 min\n"
        );
        assert_eq!(
            of(json!({ "state": "waiting", "position": null, "wait_seconds": null, "here": false })),
            "A-7-X: in line, not drawn yet; not heard of for a minute or more\n"
        );
        assert_eq!(of(json!({ "state": "done" })), "A-7-X: used, or sent out\n");
    }
}
