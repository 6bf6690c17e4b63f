//! Asking a running edge over its admin listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::watch;

use crate::policy::file;
use crate::snapshot::gate::Gate;
use crate::store::token_file;

/// How long the edge may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an edge is asked whether it has time.
const LISTEN_EVERY: Duration = Duration::from_secs(1);

/// Which edge to ask.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The policy of the edge to ask: its admin.listen is used
    #[arg(long, default_value = "seawall.toml", value_name = "FILE", conflicts_with = "admin")]
    policy: PathBuf,
    /// The admin address of the edge to ask
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// The file with the token to show there; or the token itself in SEAWALL_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Who changes something, why, and at which edge.
#[derive(Debug, clap::Args)]
pub(super) struct Signed {
    /// Why, for whoever reads the log and the status
    #[arg(long, default_value = "")]
    pub(super) why: String,
    /// Who; a token's name goes before it
    #[arg(long, env = "USER", default_value = "operator")]
    pub(super) who: String,
    #[command(flatten)]
    pub(super) target: Target,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Where a token is taken from if no file is named: not an argument, which others could see.
const TOKEN: &str = "SEAWALL_TOKEN";

impl Target {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        match self.admin {
            Some(address) => Ok(address),
            None => match file::load(&self.policy) {
                Ok((policy, _)) => Ok(policy.admin.listen),
                Err(error) => Err(anyhow!("{error}\nname the edge with --policy FILE or --admin ADDRESS")),
            },
        }
    }

    fn token(&self) -> anyhow::Result<Option<String>> {
        match &self.token_file {
            Some(file) => Ok(Some(token_file::read(file)?)),
            None => Ok(std::env::var(TOKEN).ok().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty())),
        }
    }

    /// Asks; gives the JSON of the answer.
    ///
    /// # Errors
    /// No edge answers there, or it says no.
    pub fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (address, token) = (self.address()?, self.token()?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match tokio::time::timeout(PATIENCE, exchange(address, token, method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => bail!("the edge at {address} did not answer within {PATIENCE:?}"),
            }
        })
    }
}

/// Tells whoever changed something that a restart would undo it, where the edge says so.
pub(super) fn warn_if_forgotten(answer: &Value) {
    if answer.get("kept_over_restart").and_then(Value::as_bool) == Some(false) {
        eprintln!("seawall: in force, but it could not be written down: it would not outlive a restart");
    }
}

async fn exchange(
    address: SocketAddr,
    token: Option<String>,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> anyhow::Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let body = body.map(|b| b.to_string()).unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::from(body))?;
    let answer = client
        .request(request)
        .await
        .with_context(|| format!("no edge answers at {address}; is it running, and is this its admin.listen?"))?;
    let status = answer.status();
    let text = answer.into_body().collect().await?.to_bytes();
    let value: Value = serde_json::from_slice(&text)
        .with_context(|| format!("what answers at {address} is no Seawall: {}", String::from_utf8_lossy(&text)))?;
    if status.is_success() {
        return Ok(value);
    }
    bail!("{}", value.get("detail").and_then(Value::as_str).unwrap_or("the edge said no"))
}

/// Listens to whether the edge at an address has time: every origin at the level normal, and nobody waiting. Where
/// none answers, nobody is in its way.
pub(super) async fn watch_quiet(admin: SocketAddr) -> Gate {
    let quiet = async move |token| {
        let asked = exchange(admin, token, Method::GET, "/api/v1/status", None);
        let status = tokio::time::timeout(PATIENCE, asked).await.ok().and_then(Result::ok);
        status.is_none_or(|status| is_quiet(&status))
    };
    let token = std::env::var(TOKEN).ok().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty());
    let (tell, told) = watch::channel(quiet(token.clone()).await);
    tokio::spawn(async move {
        while !tell.is_closed() {
            tokio::time::sleep(LISTEN_EVERY).await;
            tell.send_replace(quiet(token.clone()).await);
        }
    });
    Gate::Told(told)
}

fn is_quiet(status: &Value) -> bool {
    let all = |list: &str, quiet: &dyn Fn(&Value) -> bool| {
        status.get(list).and_then(Value::as_array).is_none_or(|items| items.iter().all(quiet))
    };
    all("origins", &|origin| origin.get("level").and_then(Value::as_str).is_none_or(|level| level == "normal"))
        && all("waiting_rooms", &|room| room.get("waiting").and_then(Value::as_u64).unwrap_or_default() == 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_edge_has_time_while_all_is_normal_and_nobody_waits() {
        let status = |level: &str, waiting: u64| json!({ "origins": [{ "level": level }], "waiting_rooms": [{ "waiting": waiting }] });
        assert!(is_quiet(&status("normal", 0)) && is_quiet(&json!({})));
        assert!(!is_quiet(&status("elevated", 0)) && !is_quiet(&status("normal", 1)));
    }
}
