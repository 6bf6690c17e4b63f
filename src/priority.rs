//! How much a request matters: its route says it first, then what the request says of itself.
//!
//! What nobody waits for, a prefetch or a crawler's visit, goes last. A header or a cookie may lower
//! any request; it raises one only where the policy believes it. Pure and without allocation: one
//! look at each field.

use crate::pipeline::view::View;
use crate::policy::{Class, Priority};

/// The class of a request on a route of that class.
///
/// `may_raise` says whether it comes from those whose word is believed: asked only if it makes a
/// difference. A trusted proxy is believed by its header, never by a cookie, which is the visitor's.
pub fn classify(view: &View<'_>, route: Class, rules: &Priority, mut may_raise: impl FnMut() -> bool) -> Class {
    let said = Said::by(view, rules);
    let by_itself = (said.prefetch && rules.prefetch_is_bulk) || (said.bot && rules.bots_are_bulk);
    // A critical route is one that programs use too: callbacks are made by them.
    let mut class = if by_itself && route != Class::Critical { Class::Bulk } else { route };
    // The header has the last word.
    for (word, believed) in [(said.cookie, false), (said.header, rules.from_proxies && view.trusted)] {
        let Some(word) = word else { continue };
        let lowers = word >= class;
        if lowers || believed || may_raise() {
            class = word;
        }
    }
    class
}

/// What a request says of itself.
#[derive(Debug, Default)]
struct Said {
    prefetch: bool,
    bot: bool,
    /// Of several, the least: of two fields, one may be a visitor's.
    header: Option<Class>,
    cookie: Option<Class>,
}

impl Said {
    fn by(view: &View<'_>, rules: &Priority) -> Self {
        let mut said = Self::default();
        for field in view.fields {
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            match field.name.len() {
                // Fetch's Sec-Purpose, and what browsers sent before it.
                11 | 7 | 5 if is("sec-purpose") || is("purpose") || is("x-moz") => {
                    said.prefetch |= starts(field.value.trim_ascii_start(), b"prefetch");
                }
                10 if is("user-agent") => said.bot |= is_crawler(field.value),
                _ => {}
            }
            if rules.header.as_deref().is_some_and(is) {
                said.header = said.header.max(class(field.value));
            }
        }
        let cookie = rules.cookie.as_deref().and_then(|name| view.cookie(name));
        said.cookie = cookie.and_then(|value| class(value.as_bytes()));
        said
    }
}

fn class(word: &[u8]) -> Option<Class> {
    Class::ALL.into_iter().find(|class| word.trim_ascii().eq_ignore_ascii_case(class.name().as_bytes()))
}

fn starts(text: &[u8], with: &[u8]) -> bool {
    text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with))
}

/// Whether a user agent declares itself a crawler.
fn is_crawler(agent: &[u8]) -> bool {
    agent.iter().enumerate().any(|(at, first)| {
        let names = crawlers(*first);
        if names.is_empty() {
            return false;
        }
        let (before, rest) = agent.split_at_checked(at).unwrap_or_default();
        names.iter().any(|name| starts(rest, name)) && !is_other_word(before, rest)
    })
}

/// Parts of names by which crawlers declare themselves, by their first letter.
const fn crawlers(first: u8) -> &'static [&'static [u8]] {
    match first.to_ascii_lowercase() {
        b'b' => &[b"bot"],
        b'c' => &[b"crawler"],
        b'e' => &[b"externalhit", b"externalagent"],
        b's' => &[b"spider", b"slurp"],
        _ => &[],
    }
}

/// "bot" as the beginning of a longer word, or as the end of a maker of phones (Cubot).
fn is_other_word(before: &[u8], rest: &[u8]) -> bool {
    starts(rest, b"bot")
        && (rest.get(3).is_some_and(u8::is_ascii_alphabetic)
            || before.last_chunk::<2>().is_some_and(|end| end.eq_ignore_ascii_case(b"cu")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::view::{BodyKind, Field, Scheme, Version};

    const BROWSER: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130 Safari/537.36";

    fn rules() -> Priority {
        Priority { cookie: Some("rank".to_owned()), ..Priority::default() }
    }

    fn of(fields: &[(&str, &str)], route: Class, rules: &Priority, trusted: bool, member: bool) -> Class {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        let view = View {
            method: "GET",
            version: Version::Http11,
            scheme: Scheme::Http,
            host: "shop.example",
            path: "/",
            raw_path: "/",
            query: None,
            fields: &fields,
            client: [192, 0, 2, 1].into(),
            trusted,
            body: BodyKind::None,
        };
        classify(&view, route, rules, || member)
    }

    fn by_itself(fields: &[(&str, &str)], route: Class) -> Class {
        of(fields, route, &rules(), false, false)
    }

    #[test]
    fn a_request_that_says_nothing_is_of_its_routes_class() {
        for class in Class::ALL {
            assert_eq!(by_itself(&[("User-Agent", BROWSER), ("Accept", "*/*")], class), class);
        }
    }

    #[test]
    fn what_nobody_waits_for_is_bulk_but_on_a_critical_route() {
        let bots = [
            ("User-Agent", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
            ("user-agent", "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2)"),
            ("User-Agent", "facebookexternalhit/1.1"),
            ("User-Agent", "Mozilla/5.0 (compatible; Baiduspider/2.0)"),
            ("User-Agent", "Slackbot-LinkExpanding 1.0"),
            ("User-Agent", "ACME CRAWLER"),
            ("User-Agent", "bot"),
        ];
        let prefetches = [("Sec-Purpose", "prefetch;prerender"), ("Purpose", "Prefetch"), ("X-Moz", " prefetch")];
        for field in bots.into_iter().chain(prefetches) {
            assert_eq!(by_itself(&[field], Class::Normal), Class::Bulk, "{field:?}");
            assert_eq!(by_itself(&[field], Class::Critical), Class::Critical, "{field:?}");
            let as_the_route = Priority { bots_are_bulk: false, prefetch_is_bulk: false, ..rules() };
            assert_eq!(of(&[field], Class::Normal, &as_the_route, false, false), Class::Normal, "{field:?}");
        }
    }

    #[test]
    fn people_are_no_bots() {
        let people = [BROWSER, "Mozilla/5.0 (Linux; Android 9; CUBOT) Chrome/130", "Bottles/51 (both; robotic)", ""];
        for agent in people {
            assert_eq!(by_itself(&[("User-Agent", agent)], Class::Normal), Class::Normal, "{agent}");
        }
        assert_eq!(by_itself(&[("Sec-Purpose", "none"), ("Purpose", "no prefetch")], Class::Normal), Class::Normal);
    }

    #[test]
    fn anybody_may_lower_and_only_the_believed_may_raise() {
        for name in [("Seawall-Priority", ""), ("Cookie", "a=b; rank=")] {
            let (name, before) = name;
            let said = |word: &str| format!("{before}{word}");
            let (bulk, critical) = (said("bulk"), said(" CRITICAL "));
            assert_eq!(by_itself(&[(name, &bulk)], Class::Critical), Class::Bulk, "{name}");
            assert_eq!(by_itself(&[(name, &critical)], Class::Normal), Class::Normal, "{name}");
            assert_eq!(of(&[(name, &critical)], Class::Bulk, &rules(), false, true), Class::Critical, "{name}");
            assert_eq!(by_itself(&[(name, &said("urgent"))], Class::Normal), Class::Normal, "{name}");
        }
    }

    #[test]
    fn a_trusted_proxy_raises_by_its_header_where_the_policy_says_so() {
        let believing = Priority { from_proxies: true, ..rules() };
        let header = [("Seawall-Priority", "critical"), ("User-Agent", "probe-bot/1")];
        assert_eq!(of(&header, Class::Normal, &believing, true, false), Class::Critical);
        assert_eq!(of(&header, Class::Normal, &rules(), true, false), Class::Bulk);
        assert_eq!(of(&header, Class::Normal, &believing, false, false), Class::Bulk);
        let cookie = [("Cookie", "rank=critical")];
        assert_eq!(of(&cookie, Class::Normal, &believing, true, false), Class::Normal, "a cookie is the visitor's");
        let both = [("Seawall-Priority", "normal"), ("seawall-priority", "critical")];
        assert_eq!(of(&both, Class::Bulk, &believing, true, false), Class::Normal, "the least of two");
    }

    #[test]
    fn nobody_is_asked_where_it_makes_no_difference() {
        let asked = |fields: &[(&str, &str)]| {
            let mut asked = false;
            let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
            let view = View {
                method: "GET",
                version: Version::Http11,
                scheme: Scheme::Http,
                host: "",
                path: "/",
                raw_path: "/",
                query: None,
                fields: &fields,
                client: [192, 0, 2, 1].into(),
                trusted: false,
                body: BodyKind::None,
            };
            classify(&view, Class::Normal, &rules(), || {
                asked = true;
                false
            });
            asked
        };
        assert!(!asked(&[("User-Agent", BROWSER), ("Seawall-Priority", "bulk")]));
        assert!(asked(&[("Seawall-Priority", "critical")]));
    }
}
