//! robots.txt (RFC 9309): what a site would rather not have taken.

use std::time::Duration;

/// Bytes of it that are read (RFC 9309 §2.5: at least 500 KiB).
pub const LENGTH_MAX: u64 = 512 << 10;
/// Redirects to it that are followed (§2.3.1.2: at least five).
pub const REDIRECTS_MAX: u32 = 5;
/// What robots.txt may call us.
const NAME: &str = "seawall";
/// The longest Crawl-delay that is heeded.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// The rules for us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Robots {
    /// Each with whether it allows.
    rules: Vec<(String, bool)>,
    /// Between two requests, at least.
    pub delay: Option<Duration>,
    pub sitemaps: Vec<String>,
}

impl Robots {
    /// By the answer to the question for it. One that is not there forbids nothing (RFC 9309 §2.3.1.3); None: it
    /// can't be had, and all is forbidden (§2.3.1.4).
    pub fn of_answer(status: u16, body: &[u8]) -> Option<Self> {
        match status {
            200 => Some(Self::parse(&String::from_utf8_lossy(whole_lines(body)))),
            300..500 => Some(Self::default()),
            _ => None,
        }
    }

    /// Reads it; lines that make no sense are skipped (RFC 9309 §2.2).
    pub fn parse(text: &str) -> Self {
        let (mut ours, mut all, mut sitemaps) = (None, Self::default(), Vec::new());
        let (mut for_us, mut for_all, mut naming) = (false, false, false);
        // A mark of the byte order is no part of the first key (§2.3).
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "sitemap" {
                sitemaps.push(value.to_owned());
                continue;
            }
            if key == "user-agent" {
                if !std::mem::replace(&mut naming, true) {
                    (for_us, for_all) = (false, false);
                }
                for_us |= value.eq_ignore_ascii_case(NAME);
                for_all |= value == "*";
                if for_us {
                    ours.get_or_insert_with(Self::default);
                }
                continue;
            }
            naming = false;
            let groups = ours.as_mut().filter(|_| for_us).into_iter().chain(for_all.then_some(&mut all));
            groups.for_each(|group| group.add(&key, value));
        }
        Self { sitemaps, ..ours.unwrap_or(all) }
    }

    fn add(&mut self, key: &str, value: &str) {
        match key {
            // An empty Disallow forbids nothing.
            "allow" | "disallow" if !value.is_empty() => self.rules.push((one_spelling(value), key == "allow")),
            "crawl-delay" => {
                let seconds = value.parse::<f64>().ok().filter(|s| s.is_finite() && *s >= 0.0);
                self.delay = seconds.map(|s| Duration::from_secs_f64(s.min(DELAY_MAX.as_secs_f64())));
            }
            _ => {}
        }
    }

    /// Whether a path with its query may be taken: the longest rule that fits says, and of two alike the one
    /// that allows (§2.2.2).
    pub fn allow(&self, target: &str) -> bool {
        let target = one_spelling(target);
        let fitting = self.rules.iter().filter(|(pattern, _)| fits(pattern, &target));
        fitting.max_by_key(|(pattern, allows)| (pattern.len(), *allows)).is_none_or(|(_, allows)| *allows)
    }
}

/// Without the half of a line at which it was cut.
fn whole_lines(body: &[u8]) -> &[u8] {
    if (body.len() as u64) < LENGTH_MAX {
        return body;
    }
    let end = body.iter().rposition(|b| *b == b'\n').unwrap_or_default();
    body.get(..end).unwrap_or_default()
}

/// As paths are compared (§2.2.2): what is not ASCII is encoded, and what need not be is not (RFC 3986 §6.2.2).
fn one_spelling(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let digits = rest.strip_prefix('%').and_then(|rest| rest.get(..2));
        let digits = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let encoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match encoded {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            Some(byte) => out.push_str(&format!("%{byte:02X}")),
            None if first.is_ascii() => out.push(first),
            None => first.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}"))),
        }
        rest = rest.get(if encoded.is_some() { 3 } else { first.len_utf8() }..).unwrap_or_default();
    }
    out
}

/// `*` stands for anything, `$` at the end for the end.
fn fits(pattern: &str, target: &str) -> bool {
    let (pattern, ends) = pattern.strip_suffix('$').map_or((pattern, false), |p| (p, true));
    let mut parts = pattern.split('*');
    let Some(mut rest) = target.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<_> = parts.collect();
    for (i, part) in parts.iter().enumerate() {
        if ends && i + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    !ends || rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_not_there_forbids_nothing_and_one_that_cannot_be_had_all() {
        let body = b"User-agent: *\nDisallow: /";
        let allows = |status| Robots::of_answer(status, body).map(|robots| robots.allow("/x"));
        assert_eq!([200, 404, 301, 503, 204].map(allows), [Some(false), Some(true), Some(true), None, None]);
    }

    #[test]
    fn the_longest_rule_of_our_group_decides_by_rfc_9309() {
        let text = "User-agent: other\nDisallow: /\n\nUser-agent: *\nUser-agent: third\nDisallow: /cart\n\
            Disallow: /*?sort=\nAllow: /cart/help # fine\nDisallow: /*.pdf$\nCrawl-delay: 2\n\
            Sitemap: https://shop.example/s.xml\nDisallow:\n";
        let robots = Robots::parse(text);
        for (target, allowed) in [
            ("/", true),
            ("/cart", false),
            ("/cart/1", false),
            ("/cart/help/x", true),
            ("/list?sort=a", false),
            ("/a.pdf", false),
            ("/a.pdf?x", true),
        ] {
            assert_eq!(robots.allow(target), allowed, "{target}");
        }
        assert_eq!(robots.delay, Some(Duration::from_secs(2)));
        assert_eq!(robots.sitemaps, ["https://shop.example/s.xml"]);
    }

    #[test]
    fn a_rule_means_a_path_however_either_is_spelled() {
        let robots =
            Robots::parse("\u{feff}User-agent: *\nDisallow: /priv\u{e9}/\nDisallow: /%70lain%2fx\nDisallow: /a%2a\n");
        for (target, allowed) in [
            ("/priv%C3%A9/x", false),
            ("/priv%c3%a9/x", false),
            ("/pl%61in%2Fx", false),
            ("/plain/x", true),
            ("/a%2A", false),
            ("/ab", true),
            ("/%", true),
            ("/%zz", true),
        ] {
            assert_eq!(robots.allow(target), allowed, "{target}");
        }
    }

    #[test]
    fn of_one_that_is_too_long_the_first_part_is_heeded_by_rfc_9309_2_5() {
        let mut text = "User-agent: *\nDisallow: /x\n".to_owned();
        while (text.len() as u64) < LENGTH_MAX {
            text.push_str("Disallow: /y\n");
        }
        let cut = &text.as_bytes()[..LENGTH_MAX as usize];
        let robots = Robots::of_answer(200, cut).unwrap();
        assert!(!robots.allow("/x") && !robots.allow("/y") && robots.allow("/"), "no half of a rule");
    }

    #[test]
    fn a_group_that_names_us_stands_for_all_others() {
        let robots = Robots::parse("User-agent: *\nDisallow: /\nUser-agent: Seawall\nAllow: /\nDisallow: /x\n");
        assert!(robots.allow("/") && !robots.allow("/x"));
        assert!(Robots::parse("nonsense\n:::").allow("/"));
    }
}
