//! Targeted cache control (RFC 9213): what the origin says to this cache, or to caches of its kind,
//! alone.

use std::time::Duration;

use sfv::{BareItem, Dictionary, ListEntry, Parser};

use super::{CacheControl, ResponseParts};

/// The fields that are for this cache, the most particular first (§2.2).
const TARGETS: [&str; 2] = ["seawall-cache-control", "cdn-cache-control"];

/// The first of the targeted fields that is not empty and is a dictionary whose directives have the
/// types that they must have; in its place Cache-Control and Expires mean nothing here (§2.2).
pub(super) fn of(response: &ResponseParts<'_>) -> Option<CacheControl> {
    TARGETS.iter().find_map(|name| {
        let lines: Vec<_> = response.values(name).collect();
        let list = lines.join(&b", "[..]);
        let dictionary: Dictionary = Parser::new(&list).parse().ok()?;
        if dictionary.is_empty() { None } else { read(&dictionary) }
    })
}

fn read(dictionary: &Dictionary) -> Option<CacheControl> {
    let mut control = CacheControl::default();
    for (name, entry) in dictionary {
        let ListEntry::Item(item) = entry else { return None };
        let name = name.as_str();
        let time = match name {
            "max-age" => &mut control.max_age,
            "s-maxage" => &mut control.s_maxage,
            "stale-while-revalidate" => &mut control.stale_while_revalidate,
            "stale-if-error" => &mut control.stale_if_error,
            _ => {
                match &item.bare_item {
                    BareItem::Boolean(true) => control.take(name.as_bytes(), None),
                    BareItem::Boolean(false) => {}
                    BareItem::String(names) => control.take(name.as_bytes(), Some(names.as_str().as_bytes())),
                    BareItem::Token(names) => control.take(name.as_bytes(), Some(names.as_str().as_bytes())),
                    _ => {}
                }
                continue;
            }
        };
        let seconds = i64::from(item.bare_item.as_integer()?);
        *time = Some(Duration::from_secs(u64::try_from(seconds).ok()?.min(super::cache_control::DELTA_MAX)));
    }
    Some(control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::view::Field;

    fn parse(fields: &[(&str, &str)]) -> Option<CacheControl> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        of(&ResponseParts { status: 200, fields: &fields })
    }

    #[test]
    fn the_most_particular_target_is_heard_by_rfc_9213_2_2() {
        let own = ("Seawall-Cache-Control", "max-age=5, stale-if-error=7");
        let cdn = ("CDN-Cache-Control", "max-age=60, no-store=?0, foo=1.5, private=\"x\"");
        let both = parse(&[cdn, own]).unwrap();
        assert_eq!((both.max_age, both.stale_if_error), (Some(Duration::from_secs(5)), Some(Duration::from_secs(7))));
        let one = parse(&[cdn]).unwrap();
        assert_eq!((one.max_age, one.no_store, one.private), (Some(Duration::from_secs(60)), false, false));
        assert_eq!(one.withheld, [b"x"]);
        assert!(parse(&[("CDN-Cache-Control", "no-store"), ("CDN-Cache-Control", "max-age=9")]).unwrap().no_store);
    }

    #[test]
    fn what_is_empty_or_no_dictionary_is_not_heard_by_rfc_9213_2_1() {
        for value in
            ["", "max-age=10000, &&&&&", "max-age=\"10\"", "max-age =100", "MaX-aGe=1", "max-age=(1 2)", "max-age=-1"]
        {
            assert_eq!(parse(&[("CDN-Cache-Control", value)]), None, "{value}");
            assert!(parse(&[("Seawall-Cache-Control", value), ("CDN-Cache-Control", "no-store")]).is_some(), "{value}");
        }
    }
}
