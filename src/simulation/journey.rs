//! What a visitor asks for, page by page.

use std::fmt;
use std::str::FromStr;

use crate::pipeline::view::{BodyKind, Field, Scheme, Version, View};
use crate::policy::{PathPattern, Policy, Route};
use crate::route;

/// Things on sale: each `*` in a path becomes the number of one of them, the first more often.
const ITEMS: u64 = 100;
/// Visitors who go on from looking to buying.
const BUYERS: u8 = 30;
/// Pages in a journey that is made from a policy.
const STEPS_MAX: usize = 8;
/// What paths of those who buy are called.
const BUYING: [&str; 11] =
    ["login", "cart", "basket", "seat", "checkout", "order", "book", "pay", "buy", "purchase", "reserve"];
/// What is no page, or none that a visitor asks for.
const NOT_FOR_VISITORS: [&str; 10] =
    ["callback", "webhook", "notify", "admin", "health", "scan", "internal", "asset", "static", "favicon"];

/// One page: a method, a path, and who asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub method: String,
    /// With its query; `*` stands for an item's number.
    pub path: String,
    /// Of a hundred who come this far, so many ask for it; the others are done.
    pub share: u8,
}

/// The pages of a visit, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journey {
    pub steps: Vec<Step>,
    /// The host that is asked.
    pub host: String,
}

impl Journey {
    /// The front page, what can be looked at, and what is bought, as far as a policy's routes tell.
    pub fn of(policy: &Policy) -> Self {
        let host = policy.routes.iter().find_map(|r| r.matcher.hosts.first());
        let host = host.map_or("shop.example".to_owned(), |host| host.replace('*', "www"));
        let mut journey = Self { steps: vec![Step::get("/".to_owned())], host };
        let found = |step: &Step, route: &Route| {
            let path = step.path_of(1);
            route::find(policy, &view(&step.method, &path, &journey.host, &[]), |_| false)
                .is_some_and(|(_, r)| r.name == route.name)
        };
        let steps = policy.routes.iter().filter_map(|route| Some((step_of(route)?, route)));
        let mut steps: Vec<Step> = steps.filter(|(step, route)| found(step, route)).map(|(step, _)| step).collect();
        steps.retain(|step| step.path != "/");
        steps.sort_by_key(|step| step.buys());
        if let Some(first) = steps.iter_mut().find(|step| step.buys().is_some()) {
            first.share = BUYERS;
        }
        steps.truncate(STEPS_MAX - 1);
        journey.steps.extend(steps);
        journey
    }
}

impl Step {
    fn get(path: String) -> Self {
        Self { method: "GET".to_owned(), path, share: 100 }
    }

    /// The path of one item.
    pub fn path_of(&self, item: u64) -> String {
        let mut path = String::new();
        self.write_path(item, &mut path);
        path
    }

    /// The same, in place of what is in `path`.
    pub fn write_path(&self, item: u64, path: &mut String) {
        path.clear();
        for (index, part) in self.path.split('*').enumerate() {
            if index > 0 {
                path.push_str(itoa::Buffer::new().format(item));
            }
            path.push_str(part);
        }
    }

    /// Which part of buying it is; none: looking.
    fn buys(&self) -> Option<usize> {
        BUYING.iter().rposition(|word| self.path.contains(word))
    }
}

/// Which item: the cube of chance, so that a few are what everyone wants.
pub fn item(unit: f64) -> u64 {
    (ITEMS as f64 * unit * unit * unit) as u64
}

/// A page that the route takes, if visitors ask for such.
fn step_of(route: &Route) -> Option<Step> {
    let matcher = &route.matcher;
    if !matcher.headers.is_empty() || !matcher.cookies.is_empty() || !matcher.query.is_empty() {
        return None;
    }
    let path = match matcher.paths.iter().find(|p| !matches!(p, PathPattern::Exact(path) if path == "/")) {
        Some(PathPattern::Exact(path)) => path.clone(),
        Some(PathPattern::Below(dir)) => format!("{dir}/*"),
        Some(PathPattern::Glob(glob)) => glob.replace("**", "*"),
        None if matcher.paths.is_empty() => "/*".to_owned(),
        None => return None,
    };
    if NOT_FOR_VISITORS.iter().any(|word| path.contains(word) || route.name.contains(word)) {
        return None;
    }
    let read = matcher.methods.is_empty() || matcher.methods.iter().any(|m| m == "GET");
    let method = if read { "GET".to_owned() } else { matcher.methods.first()?.clone() };
    Some(Step { method, path, share: 100 })
}

/// A visitor's request.
pub fn view<'a>(method: &'a str, target: &'a str, host: &'a str, fields: &'a [Field<'a>]) -> View<'a> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    View {
        method,
        version: Version::Http11,
        scheme: Scheme::Https,
        host,
        path,
        raw_path: path,
        query,
        fields,
        client: std::net::IpAddr::from([192, 0, 2, 1]),
        trusted: false,
        body: if matches!(method, "GET" | "HEAD") { BodyKind::None } else { BodyKind::Length(100) },
    }
}

impl FromStr for Step {
    type Err = String;

    /// `[METHOD] /PATH [SHARE%]`
    fn from_str(text: &str) -> Result<Self, String> {
        let mut step = Self::get(String::new());
        for word in text.split_ascii_whitespace() {
            if word.starts_with('/') && step.path.is_empty() {
                word.clone_into(&mut step.path);
            } else if let Some(share) = word.strip_suffix('%').and_then(|w| w.parse().ok()).filter(|s| *s <= 100) {
                step.share = share;
            } else if word.bytes().all(|b| b.is_ascii_uppercase()) && step.path.is_empty() {
                word.clone_into(&mut step.method);
            } else {
                return Err(format!("`{word}` in `{text}` is no step; write one as \"POST /cart/* 30%\""));
            }
        }
        if step.path.is_empty() {
            return Err(format!("`{text}` has no path; write a step as \"/cart\" or \"POST /cart/* 30%\""));
        }
        Ok(step)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.method != "GET" {
            write!(f, "{} ", self.method)?;
        }
        f.write_str(&self.path)?;
        if self.share < 100 { write!(f, " {}%", self.share) } else { Ok(()) }
    }
}

impl fmt::Display for Journey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_written_as_it_is_read() {
        for text in ["/", "/p/*", "POST /cart/* 30%", "/search?q=*"] {
            assert_eq!(text.parse::<Step>().unwrap().to_string(), text);
        }
        assert_eq!("/p/*?x=*".parse::<Step>().unwrap().path_of(7), "/p/7?x=7");
        for (text, says) in [("", "no path"), ("cart", "`cart`"), ("/a 200%", "`200%`"), ("/a /b", "`/b`")] {
            assert!(text.parse::<Step>().unwrap_err().contains(says), "{text}");
        }
    }

    #[test]
    fn a_journey_follows_the_policys_routes_and_ends_with_buying() {
        let shop = crate::policy::file::load(std::path::Path::new("config/shop-drop.toml")).unwrap().0;
        let journey = Journey::of(&shop).to_string();
        assert!(journey.starts_with("/, "), "{journey}");
        assert!(journey.ends_with("POST /login 30%, /cart/*, /order-received/*"), "{journey}");
        assert!(!journey.contains("webhook") && !journey.contains("asset"), "{journey}");
    }

    #[test]
    fn a_few_items_are_what_everyone_wants() {
        assert_eq!((item(0.0), item(0.5), item(0.999_999)), (0, 12, 99));
    }
}
