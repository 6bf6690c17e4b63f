//! Who may do what on the admin listener.
//!
//! Without tokens it is on loopback, and whoever is on the machine may do everything. With tokens,
//! changes need one everywhere; reading needs one as soon as others can reach the listener. Whether
//! the process lives and is ready is told to all who ask: load balancers have no token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::rooms::Problem;
use crate::edge::Edge;
use crate::policy::{self, Right, Rights};
use crate::store::token_file::{self, TokenError};

/// The tokens, read from their files.
#[derive(Default)]
pub struct Tokens {
    known: Vec<Known>,
}

struct Known {
    name: Arc<str>,
    digest: [u8; 32],
    may: Rights,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Someone on this machine.
    Local,
    /// Whoever has this token.
    Token(Arc<str>),
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    Of(Right),
    /// A change that no right is named for.
    All,
}

/// Why a request is not let through.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// No token, or one that is none.
    Unknown,
    /// This one may not.
    Forbidden { name: Arc<str>, right: &'static str },
}

impl Tokens {
    /// Reads the policy's tokens.
    ///
    /// # Errors
    /// The first file that holds none.
    pub fn read(tokens: &[policy::Token]) -> Result<Self, TokenError> {
        let read = |token: &policy::Token| {
            let word = token_file::read(&token.file)?;
            Ok(Known { name: token.name.as_str().into(), digest: digest(&word), may: token.may })
        };
        Ok(Self { known: tokens.iter().map(read).collect::<Result<_, _>>()? })
    }

    /// Whose word it is. Takes the same time whichever it is, or none.
    fn of(&self, word: &str) -> Option<&Known> {
        let digest = digest(word);
        let (mut found, mut at) = (Choice::from(0), 0_u32);
        for (n, known) in (0..).zip(&self.known) {
            let same = known.digest.ct_eq(&digest);
            at.conditional_assign(&n, same);
            found |= same;
        }
        bool::from(found).then(|| self.known.get(at as usize)).flatten()
    }

    /// Whether a request may do what it asks; `shown` is its token, `reachable` whether others than
    /// this machine reach the listener.
    fn judge(&self, need: Need, shown: Option<&str>, reachable: bool) -> Result<Caller, Refused> {
        let needs_token = match need {
            Need::Nothing => false,
            Need::Of(Right::Read) => reachable,
            Need::Of(_) | Need::All => reachable || !self.known.is_empty(),
        };
        let Some(word) = shown.filter(|_| !self.known.is_empty()) else {
            return if needs_token { Err(Refused::Unknown) } else { Ok(Caller::Local) };
        };
        // One that is wrong is said to be so, also where none is needed.
        let known = self.of(word).ok_or(Refused::Unknown)?;
        let may = match need {
            Need::Nothing => true,
            Need::Of(right) => known.may.has(right),
            Need::All => known.may.is_all(),
        };
        let right = match need {
            Need::Of(right) => right.name(),
            Need::Nothing | Need::All => "all",
        };
        if needs_token && !may {
            return Err(Refused::Forbidden { name: known.name.clone(), right });
        }
        Ok(Caller::Token(known.name.clone()))
    }
}

impl Caller {
    /// The name that a change is kept under: the token's; else what the request says.
    ///
    /// # Errors
    /// Nobody says it.
    pub(super) fn who(&self, said: &str) -> Result<String, Problem> {
        match self {
            Self::Token(name) => Ok(name.to_string()),
            Self::Local if said.trim().is_empty() => Err(Problem::bad("`who` is missing: whose change is it?")),
            Self::Local => Ok(said.to_owned()),
        }
    }
}

/// What each URL needs. A change below a URL that is not listed needs every right.
fn needed(method: &Method, path: &str) -> Need {
    if matches!(path, "/healthz" | "/readyz") {
        return Need::Nothing;
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Need::Of(Right::Read);
    }
    let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let changes = [
        ("/api/v1/level", Right::Level),
        ("/api/v1/rooms", Right::Room),
        ("/api/v1/purge", Right::Purge),
        ("/api/v1/snapshot", Right::Snapshot),
    ];
    changes.into_iter().find(|(prefix, _)| below(prefix)).map_or(Need::All, |(_, right)| Need::Of(right))
}

/// Lets through what may be done, and says who does it.
pub(super) async fn guard(State(edge): State<Arc<Edge>>, mut request: Request, next: Next) -> Response {
    let tokens = edge.tokens();
    let shown = bearer(request.headers());
    let need = needed(request.method(), request.uri().path());
    let caller = match tokens.judge(need, shown, !edge.admin_address().ip().is_loopback()) {
        Ok(caller) => caller,
        Err(refused) => return refuse(&refused),
    };
    // A page that someone here happens to visit can have its own name lead here (DNS rebinding); it has no token.
    if caller == Caller::Local && need != Need::Nothing && !names_an_address(request.headers()) {
        let said = "the admin listener answers to its address or to localhost\n";
        return (StatusCode::MISDIRECTED_REQUEST, said).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn refuse(refused: &Refused) -> Response {
    let (status, detail, challenge) = match refused {
        Refused::Unknown => {
            let detail = "this needs a token of admin.tokens: Authorization: Bearer …, or seawall … --token-file FILE";
            (StatusCode::UNAUTHORIZED, detail.to_owned(), "Bearer realm=\"seawall\"")
        }
        Refused::Forbidden { name, right } => {
            let detail = format!("the token `{name}` may not do this: it needs the right \"{right}\"");
            tracing::warn!(token = &**name, right, "a token was used for what it may not do");
            (StatusCode::FORBIDDEN, detail, "Bearer realm=\"seawall\", error=\"insufficient_scope\"")
        }
    };
    let mut answer = Problem::of(status, detail).into_response();
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

/// RFC 6750 §2.1.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, word) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| word.trim())
}

fn names_an_address(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name.eq_ignore_ascii_case("localhost") || ip.is_ok() || host.parse::<SocketAddr>().is_ok()
}

fn digest(word: &str) -> [u8; 32] {
    *blake3::hash(word.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(of: &[(&str, Rights)]) -> Tokens {
        let known = |(name, may): &(&str, Rights)| Known { name: (*name).into(), digest: digest(name), may: *may };
        Tokens { known: of.iter().map(known).collect() }
    }

    fn some() -> Tokens {
        tokens(&[("cms", Rights::default().with(Right::Purge)), ("ops", Rights::ALL)])
    }

    #[test]
    fn without_tokens_whoever_is_here_may_do_everything() {
        for need in [Need::Nothing, Need::Of(Right::Read), Need::Of(Right::Purge), Need::All] {
            assert_eq!(tokens(&[]).judge(need, None, false), Ok(Caller::Local));
            assert_eq!(tokens(&[]).judge(need, Some("any"), false), Ok(Caller::Local));
        }
    }

    #[test]
    fn with_tokens_a_change_needs_one_everywhere_and_reading_where_others_reach_it() {
        assert_eq!(some().judge(Need::Of(Right::Read), None, false), Ok(Caller::Local));
        assert_eq!(some().judge(Need::Of(Right::Read), Some("cms"), false), Ok(Caller::Token("cms".into())));
        for (need, reachable) in [(Need::Of(Right::Purge), false), (Need::All, false), (Need::Of(Right::Read), true)] {
            assert_eq!(some().judge(need, None, reachable), Err(Refused::Unknown));
            assert_eq!(some().judge(need, Some("cm"), reachable), Err(Refused::Unknown));
            assert_eq!(some().judge(need, Some("ops"), reachable), Ok(Caller::Token("ops".into())));
        }
        assert_eq!(some().judge(Need::Nothing, None, true), Ok(Caller::Local));
    }

    #[test]
    fn a_token_does_what_it_may_and_nothing_else() {
        assert_eq!(some().judge(Need::Of(Right::Purge), Some("cms"), true), Ok(Caller::Token("cms".into())));
        for (need, right) in [(Need::Of(Right::Level), "level"), (Need::All, "all"), (Need::Of(Right::Read), "read")] {
            let refused = Refused::Forbidden { name: "cms".into(), right };
            assert_eq!(some().judge(need, Some("cms"), true), Err(refused));
        }
    }

    #[test]
    fn every_change_needs_a_right_of_its_own() {
        let post = |path| needed(&Method::POST, path);
        assert_eq!(post("/api/v1/purge"), Need::Of(Right::Purge));
        assert_eq!(post("/api/v1/rooms/launch"), Need::Of(Right::Room));
        assert_eq!(post("/api/v1/snapshot/refresh"), Need::Of(Right::Snapshot));
        assert_eq!(post("/api/v1/purges"), Need::All, "unknown: all of them");
        assert_eq!(needed(&Method::DELETE, "/api/v1/level"), Need::Of(Right::Level));
        assert_eq!(needed(&Method::GET, "/metrics"), Need::Of(Right::Read));
        assert_eq!(needed(&Method::GET, "/healthz"), Need::Nothing);
    }

    #[test]
    fn the_name_of_a_token_stands_before_what_a_request_says() {
        assert_eq!(Caller::Token("cms".into()).who("alice").unwrap(), "cms");
        assert_eq!(Caller::Local.who("alice").unwrap(), "alice");
        assert!(Caller::Local.who(" ").is_err());
    }
}
