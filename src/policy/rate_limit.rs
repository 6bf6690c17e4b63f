//! Rate limits, as the policy says them.

use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};

use super::{ClientsId, Quota};

/// One part of what a rate limit counts by. Names of fields are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateKey {
    /// The session of the route's waiting room; without one, the client's address.
    Visitor,
    /// The client's address.
    ClientIp,
    /// Its /24 (IPv4) or /64 (IPv6).
    ClientNet,
    /// The first field of that name.
    Header(String),
    /// The first cookie of that name.
    Cookie(String),
    /// The first parameter of that name.
    Query(String),
    /// The path, as routes compare it.
    Path,
    /// The host, without its port.
    Host,
}

impl fmt::Display for RateKey {
    /// As the policy writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Visitor => f.write_str("visitor"),
            Self::ClientIp => f.write_str("client_ip"),
            Self::ClientNet => f.write_str("client_net"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Path => f.write_str("path"),
            Self::Host => f.write_str("host"),
        }
    }
}

/// `[rate_limit.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    pub name: String,
    /// At least one; those of a list count together.
    pub key: Vec<RateKey>,
    pub quota: Quota,
    /// Tokens that a key may spend at once.
    pub burst: NonZeroU32,
    pub plans: Option<Plans>,
    pub max_keys: NonZeroUsize,
    /// Counts and logs, and refuses nothing.
    pub dry_run: bool,
}

impl RateLimit {
    /// The smallest burst that anyone has: what one request may cost at most.
    pub fn least_burst(&self) -> NonZeroU32 {
        let bursts = self.plans.iter().flat_map(Plans::plans).map(|plan| plan.burst);
        bursts.fold(self.burst, NonZeroU32::min)
    }
}

/// `plan` and `plans`: who has another quota than the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plans {
    /// The field that names the plan; believed from trusted proxies alone.
    Header(String, Vec<Plan>),
    /// The first plan whose group the client is one of.
    Clients(Vec<(ClientsId, Plan)>),
}

impl Plans {
    /// The groups of clients that have one.
    pub fn groups(&self) -> impl Iterator<Item = ClientsId> {
        let by_group = match self {
            Self::Header(..) => [].as_slice(),
            Self::Clients(plans) => plans.as_slice(),
        };
        by_group.iter().map(|(group, _)| *group)
    }

    /// All plans, in the file's order.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        let (by_name, by_group) = match self {
            Self::Header(_, plans) => (plans.as_slice(), [].as_slice()),
            Self::Clients(plans) => ([].as_slice(), plans.as_slice()),
        };
        by_name.iter().chain(by_group.iter().map(|(_, plan)| plan))
    }
}

/// One of `plans`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub name: String,
    pub quota: Quota,
    pub burst: NonZeroU32,
}

/// The network a client is counted in: /24 for IPv4, /64 for IPv6.
pub fn client_net(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}
