//! What a visitor brings: cookies, the field of apps, an invitation in the link.

use super::{Room, TICKET_FIELD};
use crate::clock::Now;
use crate::pipeline::query;
use crate::pipeline::view::View;
use crate::waiting_room::invitation::{self, Invitation};
use crate::waiting_room::{Client, Invited, Presented, Session, Stub, Ticket};

/// Values of one visitor that are looked at: each costs a code.
const VALUES_MAX: usize = 4;

impl Room {
    /// What the visitor brought, with every signature checked. `client` is the keyed hash of the
    /// address.
    pub fn presented(&self, view: &View<'_>, client: u64, now: Now) -> Presented {
        let client = Client { hash: client, v6: view.client.to_canonical().is_ipv6() };
        let mut presented = Presented { client, ..Presented::default() };
        let cookies = view.cookies().filter(|(name, _)| cookie_room(name) == Some(&self.name)).map(|(_, value)| value);
        for text in view.field(TICKET_FIELD).into_iter().chain(cookies).take(VALUES_MAX) {
            let (text, keys, id) = (text.as_bytes(), &*self.keys, self.id);
            presented.session = presented.session.or_else(|| Session::parse(text, keys, id));
            presented.ticket = presented.ticket.or_else(|| Ticket::parse(text, keys, id));
            presented.stub = presented.stub.or_else(|| Stub::parse(text, keys, id));
        }
        presented.invited = self.invited(view, now);
        presented
    }

    /// The lane that a good invitation in the link opens.
    fn invited(&self, view: &View<'_>, now: Now) -> Option<Invited> {
        let query = view.query.filter(|query| query.contains(invitation::PARAMETER))?;
        let (_, text) = query::parameters(query).find(|(name, _)| *name == invitation::PARAMETER)?;
        let unix_s = now.unix_ms / 1000;
        self.rules.load().lanes.iter().find_map(|(lane, keys)| {
            let found = Invitation::parse(text.as_bytes(), keys, *lane)?;
            (unix_s < found.expires_unix_s).then_some(Invited { lane: *lane, id: found.id })
        })
    }
}

/// The room that a cookie is of.
fn cookie_room(name: &str) -> Option<&str> {
    name.strip_prefix("__Host-").unwrap_or(name).strip_prefix("seawall_")
}
