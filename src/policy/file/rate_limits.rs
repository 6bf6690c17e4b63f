//! `[rate_limit.NAME]`.

use std::num::{NonZeroU32, NonZeroUsize};

use super::Named;
use super::limits::{ENTRIES_MAX, narrow, size_of};
use super::reader::{Problem, Table, Value};
use super::values::{is_token, quota};
use crate::policy::diagnose::Diagnostic;
use crate::policy::{Clients, ClientsId, Plan, Plans, Quota, RateKey, RateLimit};

const MAX_KEYS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999_999);
/// Parts of a key.
const PARTS_MAX: usize = 8;
/// Plans of a limit: they are looked through for every request.
const PLANS_MAX: usize = 64;
const KEYS: [&str; 8] =
    ["visitor", "client_ip", "client_net", "header:NAME", "cookie:NAME", "query:NAME", "path", "host"];

/// All rate limits.
pub(super) fn read(root: &mut Table<'_>, clients: &Named<Clients>) -> Named<RateLimit> {
    Named::read(root, "rate_limit", |name, mut table| {
        let key = table.require("key", "what is counted by", "key = \"client_ip\"").and_then(|v| keys(&v));
        let quota_value = table.require("quota", "how many requests in which time", "quota = \"20/s\"");
        let quota = quota_value.and_then(|v| v.parse("a quota such as \"20/s\"", quota));
        let burst = table.take("burst").map(|v| burst(&v));
        let plans = plans(&mut table, clients);
        let max_keys = table.read("max_keys", MAX_KEYS, |v| v.integer(1, ENTRIES_MAX).and_then(size_of));
        let dry_run = table.read("dry_run", false, Value::bool);
        if let Some(value) = table.take("scope") {
            scope(&value);
        }
        table.finish();
        let quota = quota?;
        let burst = burst.unwrap_or(Some(quota.count))?;
        Some(RateLimit { name, key: key?, quota, burst, plans, max_keys, dry_run })
    })
}

fn burst(value: &Value<'_>) -> Option<NonZeroU32> {
    value.integer(1, u32::MAX.into()).and_then(narrow)
}

/// What is counted by: one part, or a list of them.
fn keys(value: &Value<'_>) -> Option<Vec<RateKey>> {
    let items = value.one_or_many();
    if items.is_empty() || items.len() > PARTS_MAX {
        value.wrong(Problem::new(format!("expected from 1 to {PARTS_MAX} of: {}", KEYS.join(", "))));
        return None;
    }
    let mut found: Vec<RateKey> = Vec::new();
    for item in &items {
        let part = item.parse("what to count by", key)?;
        if found.contains(&part) {
            item.wrong(Problem::new("named twice: it makes no difference the second time"));
        }
        found.push(part);
    }
    Some(found)
}

fn key(text: &str) -> Result<RateKey, Problem> {
    let (kind, name) = text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
    let named = |good: bool, make: fn(String) -> RateKey, name: &str| {
        let problem = || Problem::new(format!("expected a name after the colon, such as \"{kind}:id\""));
        if good { Ok(make(name.to_owned())) } else { Err(problem()) }
    };
    match (kind, name) {
        ("visitor", None) => Ok(RateKey::Visitor),
        ("client_ip", None) => Ok(RateKey::ClientIp),
        ("client_net", None) => Ok(RateKey::ClientNet),
        ("path", None) => Ok(RateKey::Path),
        ("host", None) => Ok(RateKey::Host),
        ("header", Some(name)) => named(is_token(name), RateKey::Header, &name.to_ascii_lowercase()),
        ("cookie", Some(name)) => named(is_token(name), RateKey::Cookie, name),
        ("query", Some(name)) => named(!name.is_empty(), RateKey::Query, name),
        ("header" | "cookie" | "query", None) => Err(Problem::new(format!("expected \"{kind}:NAME\""))),
        _ => {
            let problem = Problem::new(format!("expected one of: {}", KEYS.join(", ")));
            Err(match super::nearest(text, KEYS) {
                Some(near) => problem.help(format!("did you mean \"{near}\"?")),
                None => problem,
            })
        }
    }
}

fn scope(value: &Value<'_>) {
    match value.string("\"node\"") {
        None | Some("node") => {}
        Some("cluster") => value.unbuilt("scope \"cluster\"", "write scope = \"node\", or leave it out"),
        Some(_) => value.wrong(Problem::new("expected \"node\" (\"cluster\" is not built yet)")),
    }
}

/// What says which plan a request is of.
enum By {
    Header(String),
    Clients,
}

/// `plan` and `plans`, which need each other.
fn plans(table: &mut Table<'_>, clients: &Named<Clients>) -> Option<Plans> {
    const EXAMPLE: &str = "plans.gold = \"100/s\"";
    let plan = table.take("plan");
    let plans = table.take("plans");
    let (plan, plans) = match (plan, plans) {
        (None, None) => return None,
        (Some(plan), Some(plans)) => (plan, plans),
        (Some(plan), None) => {
            let diagnostic = plan.error(format!("`{}` chooses among plans, and there are none", plan.path));
            plan.report.add(diagnostic.label("no plans").help(format!("add: {EXAMPLE}")));
            return None;
        }
        (None, Some(plans)) => {
            let diagnostic = plans.error(format!("nothing says which of `{}` a request is of", plans.path));
            let help = "add: plan = \"header:X-Plan\", or plan = \"clients\"";
            plans.report.add(diagnostic.label("no plan").help(help));
            return None;
        }
    };
    let by = plan.parse("\"header:NAME\" or \"clients\"", by);
    let items = plans.table()?.take_all();
    if items.is_empty() || items.len() > PLANS_MAX {
        plans.wrong(Problem::new(format!("expected from 1 to {PLANS_MAX} plans such as {EXAMPLE}")));
    }
    let mut by_name = Vec::new();
    let mut by_group = Vec::new();
    for (name, span, value) in items {
        let Some((quota, burst)) = rate(&value) else { continue };
        let plan = Plan { name: name.to_owned(), quota, burst };
        match (&by, clients.position(name)) {
            (Some(By::Clients), Some(group)) => by_group.push((ClientsId(group), plan)),
            (Some(By::Clients), None) => {
                let diagnostic = Diagnostic::error(span, format!("there is no [clients.{name}]"));
                let help = "with plan = \"clients\", a plan is named as the group whose plan it is";
                value.report.add(diagnostic.label("no such group").help(help));
            }
            _ => by_name.push(plan),
        }
    }
    Some(match by? {
        By::Header(name) => Plans::Header(name, by_name),
        By::Clients => Plans::Clients(by_group),
    })
}

fn by(text: &str) -> Result<By, Problem> {
    let problem = || Problem::new("expected \"header:NAME\" or \"clients\"");
    match text.split_once(':') {
        None if text == "clients" => Ok(By::Clients),
        Some(("header", name)) if is_token(name) => Ok(By::Header(name.to_ascii_lowercase())),
        Some(("cookie", _)) => Err(problem().help(
            "a visitor writes its own cookies and would choose its plan: \
             let a trusted proxy set a header, or give passes of a [clients.NAME]",
        )),
        _ => Err(problem()),
    }
}

/// `"100/s"` or `{ quota = "100/s", burst = 200 }`.
fn rate(value: &Value<'_>) -> Option<(Quota, NonZeroU32)> {
    const EXPECTED: &str = "a quota such as \"100/s\"";
    if !value.is_table() {
        let quota = value.parse(EXPECTED, quota)?;
        return Some((quota, quota.count));
    }
    let mut table = value.table()?;
    let quota = table.require("quota", "how many requests in which time", "quota = \"100/s\"");
    let quota = quota.and_then(|v| v.parse(EXPECTED, self::quota));
    let burst = table.take("burst").map(|v| burst(&v));
    table.finish();
    let quota = quota?;
    Some((quota, burst.unwrap_or(Some(quota.count))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["visitor", "client_ip", "client_net", "header:x-app", "cookie:Id", "query:a b", "path", "host"] {
            assert_eq!(key(text).unwrap().to_string(), text);
        }
        assert_eq!(key("header:X-App"), Ok(RateKey::Header("x-app".to_owned())));
        assert_eq!(key("clientip").unwrap_err().help.unwrap(), "did you mean \"client_ip\"?");
        for bad in ["", "header", "header:", "header:a b", "query:", "path:x", "cookie", "cookie:;"] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }
}
