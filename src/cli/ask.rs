//! Asking a running edge over its admin listener.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::watch;

use crate::policy::file;
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

    /// Asks; gives the JSON of the answer.
    ///
    /// # Errors
    /// No edge answers there, or it says no.
    pub fn ask(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let (address, token) = (self.address()?, token(self.token_file.as_deref())?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            match tokio::time::timeout(PATIENCE, exchange(address, token, method, path, body)).await {
                Ok(answer) => answer,
                Err(_) => bail!("the edge at {address} did not answer within {PATIENCE:?}"),
            }
        })
    }
}

/// The token of a file, else of the environment.
fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    match file {
        Some(file) => Ok(Some(token_file::read(file)?)),
        None => Ok(std::env::var(TOKEN).ok().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty())),
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
    let (status, text) = send(address, token, method, path, body)
        .await
        .with_context(|| format!("no edge answers at {address}; is it running, and is this its admin.listen?"))?;
    let value: Option<Value> = serde_json::from_slice(&text).ok();
    match value {
        Some(value) if status.is_success() => Ok(value),
        value => bail!("{}", refusal(address, status, value.as_ref(), &text)),
    }
}

/// What an answer comes to that is not what was asked for.
fn refusal(address: SocketAddr, status: StatusCode, value: Option<&Value>, text: &[u8]) -> String {
    let detail = value.and_then(|value| value.get("detail")).and_then(Value::as_str);
    let text = String::from_utf8_lossy(text);
    match (detail, text.trim()) {
        (Some(detail), _) => detail.to_owned(),
        (None, "") => format!("the edge at {address} answered {status}"),
        (None, text) if status.is_success() => format!("what answers at {address} is no Seawall: {text}"),
        (None, text) => format!("the edge at {address} answered {status}: {text}"),
    }
}

async fn send(
    address: SocketAddr,
    token: Option<String>,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let body = body.map(|b| b.to_string()).unwrap_or_default();
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"))
        .header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let answer = client.request(request.body(Full::from(body))?).await?;
    Ok((answer.status(), answer.into_body().collect().await?.to_bytes()))
}

/// Listens to what keeps the edge at an address busy: an origin above the level normal, people waiting, or so much
/// that it does not answer. Where no edge runs, nothing is in the way.
///
/// # Errors
/// The edge is there, and does not tell.
pub(super) async fn watch_busy(
    admin: SocketAddr,
    token_file: Option<&Path>,
) -> anyhow::Result<watch::Receiver<Option<String>>> {
    let token = token(token_file)?;
    let busy = async move |token| {
        let sent = send(admin, token, Method::GET, "/api/v1/status", None);
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(Ok((status, text))) if status.is_success() => {
                Ok(serde_json::from_slice(&text).ok().and_then(|status| busy_with(&status)))
            }
            Ok(Ok((status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN), text))) => {
                let value: Option<Value> = serde_json::from_slice(&text).ok();
                Err(refusal(admin, status, value.as_ref(), &text))
            }
            Ok(Ok((status, _))) => Ok(Some(format!("the edge at {admin} answers {status}"))),
            Ok(Err(error)) if is_nobody(&error) => Ok(None),
            Ok(Err(_)) | Err(_) => Ok(Some(format!("the edge at {admin} is too busy to answer"))),
        }
    };
    let first = busy(token.clone()).await.map_err(|why| {
        anyhow!(
            "the edge at {admin} does not tell whether visitors need the origin: {why}\nshow it a token that may read \
             (--token-file FILE, or SEAWALL_TOKEN), or take the snapshot whatever its level is (--regardless)"
        )
    })?;
    let (tell, told) = watch::channel(first);
    tokio::spawn(async move {
        while !tell.is_closed() {
            tokio::time::sleep(LISTEN_EVERY).await;
            let now = busy(token.clone()).await.unwrap_or_else(Some);
            tell.send_if_modified(|before| std::mem::replace(before, now.clone()) != now);
        }
    });
    Ok(told)
}

/// Whether nothing listens there at all.
fn is_nobody(error: &anyhow::Error) -> bool {
    error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(|error| error.is_connect())
}

/// Why a snapshot would be in visitors' way, by `/api/v1/status`.
fn busy_with(status: &Value) -> Option<String> {
    let list = |name: &str| status.get(name).and_then(Value::as_array).into_iter().flatten();
    let name = |of: &Value| of.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let origin = list("origins").find_map(|origin| {
        let level = origin.get("level").and_then(Value::as_str).filter(|level| *level != "normal")?;
        Some(format!("origin {} is at level {level}", name(origin)))
    });
    let room = || {
        list("waiting_rooms").find_map(|room| {
            let waiting = room.get("waiting").and_then(Value::as_u64).filter(|waiting| *waiting > 0)?;
            Some(format!("{waiting} wait in room {}", name(room)))
        })
    };
    origin.or_else(room)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_edge_is_busy_above_normal_and_while_people_wait() {
        let status = |level: &str, waiting: u64| json!({ "origins": [{ "name": "shop", "level": level }], "waiting_rooms": [{ "name": "drop", "waiting": waiting }] });
        assert_eq!(busy_with(&status("normal", 0)), None);
        assert_eq!(busy_with(&json!({})), None);
        assert_eq!(busy_with(&status("elevated", 0)).as_deref(), Some("origin shop is at level elevated"));
        assert_eq!(busy_with(&status("normal", 7)).as_deref(), Some("7 wait in room drop"));
    }

    /// An admin listener that says the same to all.
    async fn saying(answer: &'static str) -> SocketAddr {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn only_where_nobody_answers_is_nobody_in_the_way() {
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert_eq!(*watch_busy(free, None).await.unwrap().borrow(), None);
        let denied =
            saying("HTTP/1.1 401 Unauthorized\r\nContent-Length: 8\r\nConnection: close\r\n\r\na token\n").await;
        let error = watch_busy(denied, None).await.unwrap_err().to_string();
        assert!(
            error.contains("a token") && error.contains("--token-file") && error.contains("--regardless"),
            "{error}"
        );
        let short = saying("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
        assert!(watch_busy(short, None).await.unwrap().borrow().is_some());
    }

    #[tokio::test]
    async fn an_edge_on_its_way_out_is_a_seawall_still() {
        let leaving = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 23\r\nConnection: close\r\n\r\nanother takes over: ask";
        let error = exchange(saying(leaving).await, None, Method::POST, "/", None).await.unwrap_err().to_string();
        assert!(error.contains("answered 503") && error.contains("another takes over"), "{error}");
        let other = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";
        let error = exchange(saying(other).await, None, Method::GET, "/", None).await.unwrap_err().to_string();
        assert!(error.contains("is no Seawall: hello"), "{error}");
    }
}
