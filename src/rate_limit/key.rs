//! Under which key a request is counted.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::pipeline::query::{decoded, parameter};
use crate::pipeline::view::View;
use crate::policy::{self, RateKey};
use crate::waiting_room::{RoomId, Session};

/// A key of a limit: a hash under the process's seed, so that nobody outside can choose two
/// visitors that share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub(super) u64);

/// A request, as limits look at it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub view: &'a View<'a>,
    /// The session of the route's waiting room, which the room takes for good.
    pub session: Option<(RoomId, Session)>,
}

impl Key {
    /// All parts together. Those who lack a field, a cookie or a parameter are counted together,
    /// apart from those who have it empty. Each plan has buckets of its own.
    pub(super) fn of(parts: &[RateKey], plan: usize, request: &Request<'_>, seed: u64) -> Self {
        // Std's SipHash has a fixed key; the secret goes in as the first block instead.
        let mut hasher = DefaultHasher::new();
        (seed, plan).hash(&mut hasher);
        for part in parts {
            hash(part, request, &mut hasher);
        }
        Self(hasher.finish())
    }
}

/// Adds one part so that its end can be told: no two parts together look like two others.
fn hash(part: &RateKey, request: &Request<'_>, to: &mut DefaultHasher) {
    let view = request.view;
    // A dual-stack listener sees IPv4 clients as ::ffff:a.b.c.d.
    let client = view.client.to_canonical();
    match part {
        RateKey::Visitor => {
            let session = request.session.map(|(room, session)| (room, session.slot, session.generation));
            session.hash(to);
            session.is_none().then_some(client).hash(to);
        }
        RateKey::ClientIp => client.hash(to),
        RateKey::ClientNet => policy::client_net(client).hash(to),
        RateKey::Header(name) => {
            view.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name)).map(|f| f.value.trim_ascii()).hash(to);
        }
        RateKey::Cookie(name) => view.cookie(name).hash(to),
        RateKey::Query(name) => {
            // Decoded, so that another spelling of a value is no other key.
            let value = view.query.and_then(|query| parameter(query, name)).map(|value| decoded(value.as_bytes()));
            value.clone().map(Iterator::count).hash(to);
            value.into_iter().flatten().for_each(|byte| to.write_u8(byte));
        }
        RateKey::Path => view.path.hash(to),
        RateKey::Host => {
            let host = view.host_name();
            host.strip_suffix('.').unwrap_or(host).hash(to);
        }
    }
}
