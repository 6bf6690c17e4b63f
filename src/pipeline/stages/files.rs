//! Routes whose answers are files: what is asked for, which the shell then opens.

use super::{Explained, format, refusal};
use crate::clock::Now;
use crate::files::Asked;
use crate::pipeline::Flow;
use crate::pipeline::passage::Passage;
use crate::pipeline::reason::Reason;
use crate::pipeline::site::Site;
use crate::pipeline::view::View;
use crate::policy::{Files, Level, Policy, Route};

/// Which file answers.
pub fn files(passage: &mut Passage, site: &Site, view: &View<'_>, _: Now) -> Flow {
    let Some(rules) = of(&site.policy, site.route(passage.route_id())) else { return Flow::Continue };
    if !view.is_read() {
        return Flow::Respond(refusal(passage, view, Reason::MethodRefused).with("allow", "GET, HEAD"));
    }
    passage.format = format(passage.route(), view);
    let personal = passage.route().waiting_room.is_some() || !passage.cookies.is_empty();
    passage.file = Some(Box::new(Asked { personal, ..Asked::of(view, rules) }));
    Flow::Continue
}

pub fn explain_files(asked: &Explained<'_>, _: Level) -> String {
    let Some(rules) = of(asked.policy, asked.route) else { return "none".to_owned() };
    let name = &rules.name;
    if !asked.view.is_read() {
        return format!("`{name}`: 405, for files are only read");
    }
    match Asked::of(asked.view, rules).place {
        Some(place) => format!("`{name}`: {}", rules.root.join(place.relative()).display()),
        None => format!("`{name}`: denied, or no name of a file"),
    }
}

/// The files that a route's answers are.
pub(super) fn of<'p>(policy: &'p Policy, route: &Route) -> Option<&'p Files> {
    policy.files.get(route.files?.0)
}
