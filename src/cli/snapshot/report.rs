//! What a snapshot covers, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::snapshot::manifest::{LeftOut, Manifest, Variant};

/// URLs that are named for each reason.
const NAMED: usize = 5;

/// Numbers alone.
pub(super) fn summary(manifest: &Manifest) -> Value {
    let forms = forms(manifest);
    json!({
        "id": manifest.id, "taken_unix_ms": manifest.taken_unix_ms,
        "urls": manifest.pages.len(), "pages": html(manifest), "redirects": redirects(manifest),
        "bytes": manifest.bytes(), "forms": forms, "forms_bytes": manifest.forms_bytes(), "left_out": manifest.left_out_counts,
    })
}

/// With the URLs.
pub(super) fn json(manifest: &Manifest) -> Value {
    let mut report = summary(manifest);
    let covered: Vec<_> = manifest.pages.iter().map(|page| format!("{}{}", page.host, page.target)).collect();
    if let Some(report) = report.as_object_mut() {
        report.insert("covered".to_owned(), json!(covered));
        report.insert("left_out_urls".to_owned(), json!(manifest.left_out));
    }
    report
}

/// A few lines.
pub(super) fn lines(manifest: &Manifest) -> String {
    let left_out: u64 = manifest.left_out_counts.values().sum();
    format!(
        "snapshot {}: {} URLs ({} pages, {} redirects), {}, and {} in smaller forms; {left_out} left out\n",
        manifest.id,
        manifest.pages.len(),
        html(manifest),
        redirects(manifest),
        size(manifest.bytes()),
        size(manifest.forms_bytes()),
    )
}

/// The whole report.
pub(super) fn text(manifest: &Manifest, now_unix_ms: u64) -> String {
    let mut out = lines(manifest);
    let age = Duration::from_secs(now_unix_ms.saturating_sub(manifest.taken_unix_ms) / 1000);
    let _ = writeln!(out, "taken {} ago", humantime::format_duration(age));
    for (form, count) in forms(manifest) {
        let _ = writeln!(out, "  {count} also as {form}");
    }
    if !manifest.left_out_counts.is_empty() {
        out.push_str("\nNot covered: visitors get 503 there, with Retry-After.\n");
    }
    for (why, count) in &manifest.left_out_counts {
        let _ = writeln!(out, "{count:>7}  {}", why.sentence());
        let urls = manifest.left_out.iter().filter(|left| left.why == *why);
        for LeftOut { url, .. } in urls.clone().take(NAMED) {
            let _ = writeln!(out, "           {url}");
        }
        if urls.count() > NAMED {
            out.push_str("           … (--json names them)\n");
        }
    }
    out
}

fn html(manifest: &Manifest) -> usize {
    let is_html = |kind: &str| kind.contains("html");
    manifest.pages.iter().filter(|page| page.status == 200 && page.field("content-type").is_some_and(is_html)).count()
}

fn redirects(manifest: &Manifest) -> usize {
    manifest.pages.iter().filter(|page| page.status != 200).count()
}

/// How many URLs have each form; a picture in a narrower width as `webp 480`.
fn forms(manifest: &Manifest) -> BTreeMap<String, usize> {
    let mut forms = BTreeMap::new();
    for Variant { form, width, .. } in manifest.pages.iter().flat_map(|page| &page.variants) {
        let form = form.name();
        let name = width.map_or_else(|| form.to_owned(), |width| format!("{form} {width}"));
        *forms.entry(name).or_default() += 1;
    }
    forms
}

fn size(bytes: u64) -> String {
    indicatif::HumanBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::left_out::Why;

    #[test]
    fn a_report_names_reasons_with_their_first_urls() {
        let mut manifest = Manifest { id: "1".to_owned(), ..Manifest::default() };
        (0..7).for_each(|i| manifest.leave_out(&format!("/cart/{i}"), Why::Robots));
        let text = text(&manifest, 5000);
        assert!(text.contains("0 URLs (0 pages, 0 redirects)") && text.contains("7 left out"), "{text}");
        assert!(text.contains("      7  robots.txt disallows it\n           /cart/0\n"), "{text}");
        assert!(text.contains("taken 5s ago") && !text.contains("/cart/6"), "{text}");
        assert_eq!(json(&manifest)["left_out_urls"].as_array().unwrap().len(), 7);
        assert_eq!(json(&manifest)["left_out"]["robots"], 7);
    }
}
