//! Which of a page's forms a request gets (RFC 9110 §12), and the head of each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, DATE, ETAG, VARY};
use http::{HeaderName, HeaderValue};

use super::File;
use super::disk::Disk;
use super::manifest::{Form, Page, Variant};
use crate::cache::encoded::OF_THE_BYTES;
use crate::cache::key::Encodings;
use crate::pipeline::view::View;

/// Where pages ask browsers for the width that a picture is to have. A hint counts in the screen's own pixels, so
/// that its density need not be known beside it.
const ACCEPT_CH: HeaderName = HeaderName::from_static("accept-ch");
const WIDTH_HINTS: [&str; 2] = ["sec-ch-width", "width"];
/// What a picture's width is chosen by.
const VARY_BY_WIDTH: &str = "Sec-CH-Width, Width, Save-Data";
/// The width for who wants to save data and says none, in pixels.
const MODERATE_WIDTH: u32 = 960;

/// What a request takes beside the origin's own form.
#[derive(Clone, Copy, Debug)]
pub struct Accepts {
    encodings: Encodings,
    webp: bool,
    avif: bool,
    /// Pixels that a picture's width need not exceed.
    width: Option<u32>,
}

impl Accepts {
    /// As Accept-Encoding, Accept and client hints say. A picture's form must be named: `*/*` is also what those
    /// send who can't show it. Parts are of the text as it came, as they are of a cached copy's.
    pub fn of(view: &View<'_>) -> Self {
        let asks_for_parts = view.method == "GET" && view.field("range").is_some();
        let encodings = if asks_for_parts { Encodings::of(&[]) } else { Encodings::of(view.fields) };
        Self { encodings, webp: names(view, "image/webp"), avif: names(view, "image/avif"), width: width(view) }
    }

    fn takes(self, variant: &Variant) -> bool {
        let is_known = match variant.form {
            Form::Gzip => self.encodings.accepts_gzip(),
            Form::Br => self.encodings.accepts_br(),
            Form::Zstd => self.encodings.accepts_zstd(),
            Form::Webp => self.webp,
            Form::Avif => self.avif,
        };
        is_known && variant.width.is_none_or(|has| self.width.is_some_and(|wanted| wanted <= has))
    }
}

/// Whether Accept names a media type.
fn names(view: &View<'_>, kind: &str) -> bool {
    let mut ranges = view.fields_named("accept").flat_map(|line| line.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(kind));
        let zero = |p: &str| p.strip_prefix("q=").is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        named && !parts.any(zero)
    })
}

/// The width that a picture is laid out in, by client hints; none where nothing is said.
fn width(view: &View<'_>) -> Option<u32> {
    let said = WIDTH_HINTS.iter().find_map(|name| view.field(name)?.parse().ok());
    let saves_data = || view.field("save-data").is_some_and(|said| said.eq_ignore_ascii_case("on"));
    said.or_else(|| saves_data().then_some(MODERATE_WIDTH))
}

/// An answer as the origin gave it, and in smaller forms.
#[derive(Debug)]
pub(super) struct Forms {
    own: Arc<File>,
    /// The smallest first.
    others: Vec<(Variant, Arc<File>)>,
}

impl Forms {
    /// Of a page in a snapshot that has pictures in several widths, or has not.
    pub(super) fn of(disk: &Disk, page: &Page, has_widths: bool) -> Self {
        let mut variants = page.variants.clone();
        variants.sort_by_key(|variant| variant.object.length);
        let others = variants.into_iter().map(|variant| {
            let hash = &variant.object.hash;
            let file = file(page, Some(variant.form), Some(disk.object(hash)), hash, has_widths);
            (variant, Arc::new(file))
        });
        let hash = page.object.as_ref().map_or("", |object| object.hash.as_str());
        let path = page.object.as_ref().map(|object| disk.object(&object.hash));
        Self { others: others.collect(), own: Arc::new(file(page, None, path, hash, has_widths)) }
    }

    /// The smallest in bytes that will do.
    pub(super) fn choose(&self, accepts: Accepts) -> &Arc<File> {
        let other = self.others.iter().find(|(variant, _)| accepts.takes(variant));
        other.map_or(&self.own, |(_, file)| file)
    }
}

/// A page in one of its forms.
fn file(page: &Page, form: Option<Form>, path: Option<PathBuf>, hash: &str, has_widths: bool) -> File {
    let parsed = page.fields.iter().filter_map(|(name, value)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    });
    let mut fields: Vec<_> = parsed.collect();
    let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(page.date_unix_ms));
    fields.extend(HeaderValue::from_str(&date).ok().map(|date| (DATE, date)));
    let has = |fields: &[(HeaderName, HeaderValue)], name: &HeaderName| fields.iter().any(|(n, _)| n == name);
    if !has(&fields, &CACHE_CONTROL) {
        // It is old already: how long it is good for, nobody is to guess.
        fields.push((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    }
    if form.is_some() || !has(&fields, &ETAG) {
        fields.retain(|(name, _)| *name != ETAG);
        let tag = format!("\"{}\"", hash.get(..24).unwrap_or_default());
        fields.extend(HeaderValue::from_str(&tag).ok().filter(|_| page.status == 200).map(|tag| (ETAG, tag)));
    }
    if let Some(form) = form {
        let (name, value) = match form {
            Form::Gzip => (CONTENT_ENCODING, "gzip"),
            Form::Br => (CONTENT_ENCODING, "br"),
            Form::Zstd => (CONTENT_ENCODING, "zstd"),
            Form::Webp => (CONTENT_TYPE, "image/webp"),
            Form::Avif => (CONTENT_TYPE, "image/avif"),
        };
        fields.retain(|(n, _)| *n != name && !OF_THE_BYTES.iter().any(|other| n == other));
        fields.push((name, HeaderValue::from_static(value)));
    }
    if page.status == 200 {
        fields.push((ACCEPT_RANGES, HeaderValue::from_static("bytes")));
    }
    if has_widths && page.kind().contains("html") {
        fields.push((ACCEPT_CH, HeaderValue::from_static("Sec-CH-Width, Width")));
    }
    fields.extend(vary(page).map(|by| (VARY, HeaderValue::from_static(by))));
    File {
        path,
        status: page.status,
        fields,
        since_unix_ms: page.asked_unix_ms.unwrap_or(page.date_unix_ms),
        date_unix_ms: page.date_unix_ms,
        any_host: page.host.is_empty(),
        any_query: false,
        tags: page.tags.clone(),
    }
}

/// What the choice among a page's forms goes by: each of them says so (RFC 9110 §12.5.5).
fn vary(page: &Page) -> impl Iterator<Item = &'static str> {
    let any = |is: fn(&Variant) -> bool| page.variants.iter().any(is);
    let by = [
        ("Accept", any(|variant| variant.form.is_picture())),
        (VARY_BY_WIDTH, any(|variant| variant.width.is_some())),
        ("Accept-Encoding", any(|variant| !variant.form.is_picture())),
    ];
    by.into_iter().filter_map(|(by, is_so)| is_so.then_some(by))
}
