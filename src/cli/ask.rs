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

use crate::policy::file;

/// How long the edge may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which edge to ask.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// The policy of the edge to ask: its admin.listen is used
    #[arg(long, default_value = "seawall.toml", value_name = "FILE", conflicts_with = "admin")]
    policy: PathBuf,
    /// The admin address of the edge to ask
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
}

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

    /// Asks; gives the JSON of the answer.
    ///
    /// # Errors
    /// No edge answers there, or it says no.
    pub fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let address = self.address()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match tokio::time::timeout(PATIENCE, exchange(address, method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => bail!("the edge at {address} did not answer within {PATIENCE:?}"),
            }
        })
    }
}

async fn exchange(address: SocketAddr, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let body = body.map(|b| b.to_string()).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("content-type", "application/json")
        .body(Full::from(body))?;
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
