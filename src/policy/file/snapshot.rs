//! Reads `[snapshot]`.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use super::house::path;
use super::named_file::{FileKind, NamedFile};
use super::reader::{Problem, Table, Value};
use super::values::{duration, quota};
use crate::policy::{Quota, Snapshot};

const MAX_PAGES: usize = 5000;
/// Bounds of `every`.
const EVERY: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(366 * 86_400);
/// Seeds at most.
const SEEDS_MAX: usize = 10_000;

pub(super) fn read(root: &mut Table<'_>, base: &Path, files: &mut Vec<NamedFile>) -> Option<Snapshot> {
    let mut table = root.take_table("snapshot")?;
    let value = table.take("dir");
    let dir = value.as_ref().and_then(|v| path(v, base)).unwrap_or_else(|| base.join("snapshot"));
    let span = value.map_or(table.span.clone(), |v| v.span);
    files.push(NamedFile { path: dir.clone(), kind: FileKind::Snapshot, span });
    let seeds = table.read("seeds", vec!["/".to_owned(), "/sitemap.xml".to_owned()], seeds);
    let max_pages = NonZeroUsize::new(MAX_PAGES).unwrap_or(NonZeroUsize::MIN);
    let max_pages = table.read("max_pages", max_pages, |value| {
        let number = usize::try_from(value.integer(1, 100_000)?).ok()?;
        NonZeroUsize::new(number)
    });
    let rate = Quota { count: NonZeroU32::MIN.saturating_add(4), period: Duration::from_secs(1) };
    let rate = table.read("rate", rate, |value| value.parse("a rate such as \"5/s\"", quota));
    let every = table.take("every").and_then(|value| every(&value));
    table.finish();
    Some(Snapshot { dir, seeds, max_pages, rate, every })
}

fn seeds(value: &Value<'_>) -> Option<Vec<String>> {
    let items = value.list();
    if items.is_empty() || items.len() > SEEDS_MAX {
        value.wrong(Problem::new("expected from 1 to 10,000 seeds").help("write seeds = [\"/\", \"/sitemap.xml\"]"));
        return None;
    }
    let seed = |item: &Value<'_>| {
        item.parse("a path such as \"/\", or a URL such as \"https://shop.example/\"", |text| {
            let is_path = text.starts_with('/') && !text.starts_with("//");
            let is_url = || {
                let url = url::Url::parse(text).ok();
                url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            };
            if is_path || is_url() {
                Ok(text.to_owned())
            } else {
                Err(Problem::new("expected a path that begins with /, or a URL with http:// or https://"))
            }
        })
    };
    items.iter().map(seed).collect()
}

fn every(value: &Value<'_>) -> Option<Duration> {
    let every = value.parse("a duration such as \"6h\"", duration)?;
    if !EVERY.contains(&every) {
        value.wrong(Problem::new("expected from 1 minute to 366 days").help("leave it out to take one by hand alone"));
        return None;
    }
    Some(every)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::file::parse;

    fn read(lines: &str) -> (Option<Snapshot>, Vec<String>) {
        let text =
            format!("[edge]\nlisten = [\"127.0.0.1:0\"]\n[origin.a]\nservers = [\"127.0.0.1:1\"]\n[snapshot]\n{lines}");
        let loaded = parse(&text, Path::new("/base"));
        let told = loaded.diagnostics.iter().map(|d| format!("{} {}", d.message, d.label)).collect();
        (loaded.policy.and_then(|policy| policy.snapshot), told)
    }

    #[test]
    fn what_is_left_out_has_a_default_and_every_has_none() {
        let (snapshot, told) = read("");
        let snapshot = snapshot.unwrap();
        assert_eq!(told, Vec::<String>::new());
        assert_eq!(snapshot.dir, Path::new("/base/snapshot"));
        assert_eq!(snapshot.seeds, ["/", "/sitemap.xml"]);
        assert_eq!((snapshot.max_pages.get(), snapshot.rate.count.get(), snapshot.every), (5000, 5, None));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for lines in [
            "seeds = []",
            "seeds = [\"shop\"]",
            "seeds = [\"ftp://shop.example/\"]",
            "max_pages = 0",
            "rate = \"5\"",
            "every = \"1s\"",
        ] {
            let (snapshot, told) = read(lines);
            assert!(snapshot.is_none() && told.len() == 1, "{lines}: {told:?}");
        }
        let (snapshot, told) = read("seeds = [\"https://shop.example/\"]\nevery = \"6h\"\nrate = \"60/min\"");
        assert_eq!(told, Vec::<String>::new());
        assert_eq!(snapshot.unwrap().every, Some(Duration::from_secs(6 * 3600)));
    }
}
