//! `[clients.NAME]`: who is who.

use std::path::Path;

use ipnet::IpNet;

use super::reader::{Report, Table};
use super::{FileKind, Named, NamedFile, address, house};
use crate::clients::GROUPS_MAX;
use crate::policy::diagnose::Diagnostic;
use crate::policy::{Cache, Clients, ClientsId, Plans, Priority, RateLimit, Route, WaitingRoom};

/// `[clients.NAME]`.
pub(super) fn read(root: &mut Table<'_>, base: &Path, files: &mut Vec<NamedFile>) -> Named<Clients> {
    let groups = Named::read(root, "clients", |name, mut table| {
        let networks = table.take("networks").map(|v| v.one_or_many()).unwrap_or_default();
        let networks: Vec<_> = networks.iter().flat_map(|v| address::networks(v, base)).collect();
        let passes = table.take("passes").map(|v| {
            let path = house::path(&v, base)?;
            files.push(NamedFile { path: path.clone(), kind: FileKind::OwnKeys, span: v.span });
            Some(path)
        });
        if networks.is_empty() && passes.is_none() && !table.report.has_errors() {
            let diagnostic = table.error(format!("nobody can be one of `clients.{name}`"));
            let help = format!("add networks = [\"203.0.113.0/24\"], or passes = \"{name}.keys\" for signed links");
            table.report.add(diagnostic.label("neither networks nor passes").help(help));
        }
        table.finish();
        Some(Clients { name, networks: IpNet::aggregate(&networks), passes: passes.unwrap_or_default() })
    });
    if let Some(over) = groups.items.get(GROUPS_MAX) {
        let message = format!("more than {GROUPS_MAX} groups of clients");
        root.report.add(Diagnostic::error(over.span.clone(), message).label("one too many"));
    }
    groups
}

/// A room's cookie is `seawall_ROOM`, a pass's `seawall_pass_NAME`: one would overwrite the other.
pub(super) fn same_cookie(groups: &Named<Clients>, rooms: &Named<WaitingRoom>, report: &Report) {
    let has_passes = |name: &str| {
        groups.items.iter().any(|item| item.name == name && item.value.as_ref().is_some_and(|g| g.passes.is_some()))
    };
    for room in rooms.items.iter().filter(|room| room.name.strip_prefix("pass_").is_some_and(has_passes)) {
        let message = format!("the cookie of waiting room `{}` is that of a group's passes", room.name);
        let diagnostic = Diagnostic::error(room.span.clone(), message).label("the same name");
        report.add(diagnostic.help("give the room a name that does not begin with `pass_`"));
    }
}

/// A cache that remembers writes sets `seawall_version`: a room of that name would overwrite it.
pub(super) fn same_cookie_as_versions(caches: &Named<Cache>, rooms: &Named<WaitingRoom>, report: &Report) {
    let remembers = caches.items.iter().filter_map(|item| item.value.as_ref()).any(|cache| cache.read_your_writes);
    for room in rooms.items.iter().filter(|room| remembers && room.name == "version") {
        let message = "the cookie of waiting room `version` is that of `read_your_writes`";
        let diagnostic = Diagnostic::error(room.span.clone(), message).label("the same name");
        report.add(diagnostic.help("give the room another name"));
    }
}

/// Warns of groups that no rule asks for.
pub(super) fn unused(
    groups: &Named<Clients>,
    priority: &Priority,
    rate_limits: &Named<RateLimit>,
    rooms: &Named<WaitingRoom>,
    routes: &[Route],
    report: &Report,
) {
    let plans = rate_limits.items.iter().filter_map(|item| item.value.as_ref()?.plans.as_ref());
    let by_routes = routes.iter().flat_map(|route| route.matcher.clients.iter().copied());
    let by_rooms = rooms.items.iter().filter_map(|item| item.value.as_ref()).flat_map(|room| &room.bypass).copied();
    let by_priority = priority.from.iter().copied();
    let used: Vec<_> = plans.flat_map(Plans::groups).chain(by_routes).chain(by_rooms).chain(by_priority).collect();
    for (at, item) in groups.items.iter().enumerate() {
        if !used.contains(&ClientsId(at)) {
            let message = format!("nothing asks for [clients.{}]", item.name);
            let help = format!("add to a [[route]]: clients = [\"{}\"]", item.name);
            report.add(Diagnostic::warning(item.span.clone(), message).label("changes nothing").help(help));
        }
    }
}
