//! `POST /api/v1/purge`: takes what is held out of use.

use std::sync::Arc;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use super::access::Caller;
use super::rooms::Problem;
use crate::cache::purge::{BadTarget, Target};
use crate::edge::Edge;
use crate::pipeline::room::operator::{WHO_MAX, WHY_MAX};

/// Targets of one request.
const TARGETS_MAX: usize = 1000;
/// Targets that the log names.
const LOGGED: usize = 10;

/// What is to be purged: of each kind one or several, all at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPurge {
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub url: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub host: Vec<String>,
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    #[serde(default)]
    pub everything: bool,
    /// Stale from now on, rather than gone.
    #[serde(default)]
    pub soft: bool,
    /// A token says it, where one is shown.
    #[serde(default)]
    pub who: String,
    #[serde(default)]
    pub why: String,
    /// Says what would be purged, and purges nothing.
    #[serde(default)]
    pub dry_run: bool,
}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}

impl SetPurge {
    fn targets(&self) -> Result<Vec<Target>, String> {
        let count = self.url.len() + self.prefix.len() + self.host.len() + self.tag.len();
        if count > TARGETS_MAX {
            return Err(format!("more than {TARGETS_MAX} targets: send several requests, or purge a prefix or a tag"));
        }
        type Read = fn(&str) -> Result<Target, BadTarget>;
        let kinds: [(&[String], Read); 4] = [
            (&self.url, Target::url),
            (&self.prefix, Target::prefix),
            (&self.host, Target::host),
            (&self.tag, Target::tag),
        ];
        let named = kinds.into_iter().flat_map(|(texts, read)| texts.iter().map(move |text| read(text)));
        let everything = self.everything.then_some(Ok(Target::Everything));
        let targets: Vec<_> = named.chain(everything).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        if targets.is_empty() {
            return Err("nothing to purge: name `url`, `prefix`, `host`, `tag` or `everything`".to_owned());
        }
        Ok(targets)
    }
}

/// The URL of this page.
pub(super) fn routes() -> Router<Arc<Edge>> {
    Router::new().route("/api/v1/purge", post(purge))
}

async fn purge(
    State(edge): State<Arc<Edge>>,
    Extension(caller): Extension<Caller>,
    asked: Result<Json<SetPurge>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(asked) = asked?;
    let who = caller.who(&asked.who)?;
    for (name, text, max) in [("who", &who, WHO_MAX), ("why", &asked.why, WHY_MAX)] {
        if text.chars().count() > max {
            return Err(Problem::bad(format!("`{name}` is longer than {max} characters")));
        }
    }
    let targets = asked.targets().map_err(Problem::bad)?;
    let shown: Vec<_> = targets.iter().map(|t| json!({ "kind": t.kind(), "target": t.to_string() })).collect();
    if asked.dry_run {
        return Ok(Json(json!({ "dry_run": true, "soft": asked.soft, "purged": shown })));
    }
    let count = targets.len();
    let named: Vec<_> = targets.iter().take(LOGGED).map(|t| format!("{} {t}", t.kind())).collect();
    let (soft, why, more) = (asked.soft, &asked.why, count.saturating_sub(LOGGED));
    let (purged, kept) = edge.purge(&targets, soft).await;
    tracing::info!(who, why, soft, targets = named.join(", "), more, "purged");
    if purged.widened {
        crate::proxy::warn_of_widening();
    }
    if let Err(error) = &kept {
        tracing::error!(%error, "the purge is in force, but would not outlive a restart");
    }
    Ok(Json(json!({
        "dry_run": false, "soft": soft, "who": who, "purged": shown, "at_unix_ms": purged.at.unix_ms(),
        "kept_over_restart": kept.is_ok(),
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(json: &str) -> Result<Vec<String>, String> {
        let asked: SetPurge = serde_json::from_str(json).map_err(|error| error.to_string())?;
        Ok(asked.targets()?.iter().map(|t| format!("{} {t}", t.kind())).collect())
    }

    #[test]
    fn one_of_a_kind_or_several_and_several_kinds() {
        assert_eq!(targets(r#"{"url":"https://a.example/x?q#f"}"#).unwrap(), ["url a.example/x?q"]);
        let several = r#"{"url":["a.example/1","a.example/2"],"prefix":"a.example/blog/","host":"B.example","tag":["t"],"everything":true}"#;
        let expected = [
            "url a.example/1",
            "url a.example/2",
            "prefix a.example/blog/**",
            "host b.example",
            "tag t",
            "everything everything",
        ];
        assert_eq!(targets(several).unwrap(), expected);
    }

    #[test]
    fn what_names_nothing_or_too_much_is_refused() {
        assert!(targets("{}").unwrap_err().contains("nothing to purge"));
        assert!(targets(r#"{"everything":false}"#).unwrap_err().contains("nothing to purge"));
        assert!(targets(r#"{"urls":"a"}"#).unwrap_err().contains("unknown field"));
        assert!(targets(r#"{"url":["a.example/","/x"]}"#).unwrap_err().contains("names no host"));
        let many = serde_json::json!({ "tag": vec!["t"; TARGETS_MAX + 1] });
        assert!(targets(&many.to_string()).unwrap_err().contains("more than 1000"));
    }
}
