//! `[priority]`: what raises or lowers a request beside its route.

use super::Named;
use super::reader::{Problem, Table, Value};
use super::values::is_token;
use crate::policy::{Clients, ClientsId, Priority};

/// The word of `priority.from` for `edge.trusted_proxies`.
const PROXIES: &str = "trusted_proxies";

/// `[priority]`.
pub(super) fn read(root: &mut Table<'_>, clients: &Named<Clients>) -> Priority {
    let mut priority = Priority::default();
    let Some(mut table) = root.take_table("priority") else { return priority };
    priority.header = table.read("header", priority.header, header);
    priority.cookie = table.read("cookie", None, |value| {
        value.parse("a cookie's name", |text| match is_token(text) {
            true => Ok(Some(text.to_owned())),
            false => Err(Problem::new("expected a cookie's name")),
        })
    });
    for item in table.take("from").map(|v| v.one_or_many()).unwrap_or_default() {
        if item.as_str() == Some(PROXIES) {
            priority.from_proxies = true;
        } else if let Some(group) = clients.refer(&item, "clients") {
            priority.from.push(ClientsId(group));
        }
    }
    priority.bots_are_bulk = table.read("bots", true, is_bulk);
    priority.prefetch_is_bulk = table.read("prefetch", true, is_bulk);
    table.finish();
    priority
}

/// A field name, or false for none.
fn header(value: &Value<'_>) -> Option<Option<String>> {
    if value.as_bool() == Some(false) {
        return Some(None);
    }
    value.parse("a field name, or false", |text| match is_token(text) {
        true => Ok(Some(text.to_ascii_lowercase())),
        false => Err(Problem::new("expected a field name such as \"Seawall-Priority\", or false")),
    })
}

fn is_bulk(value: &Value<'_>) -> Option<bool> {
    value.parse("\"bulk\" or \"route\"", |text| match text {
        "bulk" => Ok(true),
        "route" => Ok(false),
        _ => Err(Problem::new("expected \"bulk\", or \"route\": whatever the route says")),
    })
}
