//! One browser's requests: cookies, a timeout, and nothing followed by itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// A visitor who has seen nothing for so long reloads.
const TIMEOUT: Duration = Duration::from_secs(5);
const BODY_MAX: usize = 1 << 20;
/// Networks (/24) the visitors come from.
const NETWORKS: u8 = 16;
/// Requests under way at most, whatever the system would allow.
const OUTSTANDING_MAX: usize = 4_000;

/// Addresses to send from: Linux answers on all of 127.0.0.0/8, others on one alone.
pub(super) fn networks() -> Vec<Option<IpAddr>> {
    let spread: Vec<_> = (1..=NETWORKS).map(|net| IpAddr::from([127, 0, net, 1])).filter(usable).map(Some).collect();
    if spread.is_empty() { vec![None] } else { spread }
}

/// The scraper's address, in a network of its own.
pub(super) fn scraper() -> Option<IpAddr> {
    Some(IpAddr::V4(Ipv4Addr::new(127, 0, 99, 1))).filter(usable)
}

fn usable(address: &IpAddr) -> bool {
    TcpListener::bind((*address, 0)).is_ok()
}

/// How many requests may be under way: each takes up to four descriptors of this process, which
/// is crowd, edge and shop at once.
pub(super) fn outstanding_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let soft =
        limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse().ok());
    let open_files: usize = soft.unwrap_or(1_024);
    (open_files.saturating_sub(128) / 4).clamp(64, OUTSTANDING_MAX)
}

/// What is asked for.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) accept: &'static str,
    pub(super) form: Option<&'a str>,
}

impl<'a> Ask<'a> {
    pub(super) const fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, accept: "text/html,*/*;q=0.8", form: None }
    }

    pub(super) const fn json(path: &'a str) -> Self {
        Self { method: Method::GET, path, accept: "application/json", form: None }
    }

    pub(super) const fn post(path: &'a str, form: &'a str) -> Self {
        Self { method: Method::POST, path, accept: "text/html,*/*;q=0.8", form: Some(form) }
    }
}

/// What came back.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Page {
    /// The page asked for, or the way to it.
    pub(super) fn is_wanted(&self) -> bool {
        self.status.is_success() || self.status == StatusCode::SEE_OTHER
    }

    /// Retry-After in seconds.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

/// Why nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Timeout,
    Broken,
}

/// Connections from one address, kept alive and shared by those who sit behind it.
#[derive(Clone)]
pub(super) struct Browser {
    client: Client<HttpConnector, Full<Bytes>>,
    target: SocketAddr,
}

impl Browser {
    pub(super) fn new(target: SocketAddr, from: Option<IpAddr>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_local_address(from);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(10))
            .build(connector);
        Self { client, target }
    }

    pub(super) async fn fetch(&self, ask: &Ask<'_>, jar: &Jar) -> Result<Page, Failure> {
        tokio::time::timeout(TIMEOUT, self.exchange(ask, jar)).await.unwrap_or(Err(Failure::Timeout))
    }

    async fn exchange(&self, ask: &Ask<'_>, jar: &Jar) -> Result<Page, Failure> {
        let uri = format!("http://{}{}", self.target, ask.path);
        let mut request = Request::builder().method(&ask.method).uri(uri).header(ACCEPT, ask.accept);
        if let Some(cookies) = jar.header() {
            request = request.header(COOKIE, cookies);
        }
        if ask.form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let body = Full::from(ask.form.unwrap_or_default().to_owned());
        let request = request.body(body).map_err(|_| Failure::Broken)?;
        let response = self.client.request(request).await.map_err(|_| Failure::Broken)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_MAX).collect().await.map_err(|_| Failure::Broken)?;
        Ok(Page { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

/// A visitor's cookies.
#[derive(Default)]
pub(super) struct Jar(Vec<(String, String)>);

impl Jar {
    /// Keeps what an answer sets, forgets what it takes back.
    pub(super) fn absorb(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE).into_iter().filter_map(|line| line.to_str().ok()) {
            let (pair, attributes) = line.split_once(';').unwrap_or((line, ""));
            let Some((name, value)) = pair.trim().split_once('=') else { continue };
            self.0.retain(|(known, _)| known != name);
            let gone = attributes.split(';').any(|a| a.trim().eq_ignore_ascii_case("max-age=0"));
            if !gone {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn header(&self) -> Option<String> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if pairs.is_empty() { None } else { Some(pairs.join("; ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_keeps_the_newest_and_forgets_what_is_taken_back() {
        let mut jar = Jar::default();
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "a=1; Path=/".parse().unwrap());
        headers.append(SET_COOKIE, "b=2".parse().unwrap());
        headers.append(SET_COOKIE, "a=3; HttpOnly".parse().unwrap());
        jar.absorb(&headers);
        assert_eq!(jar.header().as_deref(), Some("b=2; a=3"));
        let mut headers = HeaderMap::new();
        headers.append(SET_COOKIE, "b=; Max-Age=0".parse().unwrap());
        jar.absorb(&headers);
        assert_eq!(jar.header().as_deref(), Some("a=3"));
    }
}
