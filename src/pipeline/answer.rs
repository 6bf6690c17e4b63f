//! What Seawall answers by itself, in a form that both doors can write.
//!
//! What does not vary by request is prepared once ([`Prepared`]): as bytes for HTTP/1, as fields
//! for HTTP/2. An answer of the fast path is then a few copies and one write.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use compact_str::{CompactString, ToCompactString, format_compact};
use smallvec::SmallVec;

use super::reason::Reason;
use super::view::View;
use crate::cache::entry::Entry;
use crate::cache::range::Partial;
use crate::snapshot::{File, Share};

/// Fields that vary by request: Retry-After, Set-Cookie, Cache-Status and their like.
pub type Fields = SmallVec<[(&'static str, CompactString); 4]>;

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub reason: Reason,
    pub content: Content,
    pub fields: Fields,
}

/// Where an answer's head and body come from.
#[derive(Clone, Debug)]
pub enum Content {
    /// A page of Seawall's own.
    Prepared(Arc<Prepared>),
    /// Made for this request.
    Made { status: u16, content_type: &'static str, cache_control: &'static str, body: Bytes },
    /// A copy held, whole.
    Copy(Arc<Entry>),
    /// A part of a copy, or the word that there is no such part.
    Part(Arc<Entry>, Box<Partial>),
    /// The copy the client has is still right: 304.
    NotModified(Arc<Entry>),
    /// A file of the snapshot, not read yet; with the Range field of a request that may be given parts.
    File(Arc<File>, Option<Box<[u8]>>),
    /// The same, read.
    FileRead(Arc<File>, Bytes),
    /// A part of it, or the word that there is no such part.
    FilePart(Arc<File>, Box<Partial>),
    /// The file of the snapshot that the client has is still right: 304.
    FileNotModified(Arc<File>),
}

impl Answer {
    /// Seawall's page for a reason, as the client asked for it.
    pub fn of(reason: Reason, pages: &Pages, format: Format) -> Self {
        Self { reason, content: Content::Prepared(pages.page(reason, format)), fields: Fields::new() }
    }

    /// With one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<CompactString>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// So much of a file of the snapshot; `detail` says in Cache-Status why.
    pub fn of_file(file: Arc<File>, share: Share, detail: &str, unix_ms: u64) -> Self {
        let age = file.age_seconds(unix_ms);
        let content = match share {
            Share::Whole => Content::File(file, None),
            Share::Parts(ranges) => Content::File(file, Some(ranges)),
            Share::None => Content::FileNotModified(file),
        };
        let mut fields = Fields::new();
        fields.extend(age.map(|age| ("age", age.to_compact_string())));
        fields.push(("cache-status", format_compact!("Seawall; hit; detail={detail}")));
        Self { reason: Reason::Snapshot, content, fields }
    }

    /// The status the client sees.
    pub fn status(&self) -> u16 {
        match &self.content {
            Content::Prepared(page) => page.status,
            Content::Made { status, .. } => *status,
            Content::Copy(entry) => entry.status(),
            Content::Part(_, part) | Content::FilePart(_, part) => part.status,
            Content::NotModified(_) | Content::FileNotModified(_) => 304,
            Content::File(file, _) | Content::FileRead(file, _) => file.status,
        }
    }
}

/// The shape of Seawall's own answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    Html,
    /// problem+json (RFC 9457): also for clients that take anything.
    #[default]
    Json,
}

impl Format {
    /// As the client asked (Accept, RFC 9110 §12.5.1): a page only where it names HTML and does
    /// not like JSON better.
    pub fn asked(view: &View<'_>) -> Self {
        let (mut html, mut json) = (0, 0);
        for range in view.fields_named("accept").flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default();
            let quality = parts.find_map(|p| p.strip_prefix("q=")).map_or(1000, thousandths);
            if kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml") {
                html = html.max(quality);
            } else if kind.eq_ignore_ascii_case("application/json")
                || kind.eq_ignore_ascii_case("application/problem+json")
            {
                json = json.max(quality);
            }
        }
        if html > 0 && html >= json { Self::Html } else { Self::Json }
    }
}

/// A quality value (RFC 9110 §12.4.2) in thousandths; what is no number counts as 1.
fn thousandths(quality: &str) -> u32 {
    let value: f32 = quality.parse().unwrap_or(1.0);
    // In 0..=1000, so the cast is exact enough and can't wrap.
    (value.clamp(0.0, 1.0) * 1000.0) as u32
}

/// An answer without what varies by request.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub status: u16,
    /// Status line and fields for HTTP/1.1, each with its line end, without the empty line.
    pub wire: Bytes,
    /// The same fields, names in lower case.
    pub fields: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl Prepared {
    /// A page that is never cached.
    pub fn new(status: u16, content_type: &str, proxy_status: Option<String>, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut fields = vec![
            ("content-type", content_type.to_owned()),
            ("content-length", body.len().to_string()),
            ("cache-control", "no-store".to_owned()),
        ];
        if let Some(value) = proxy_status {
            fields.push(("proxy-status", value));
        }
        let mut wire = BytesMut::new();
        status_line(status, &mut wire);
        for (name, value) in &fields {
            write_field(name, value, &mut wire);
        }
        Self { status, wire: wire.freeze(), fields, body }
    }
}

/// Every page of Seawall's own, made once.
#[derive(Clone, Debug)]
pub struct Pages {
    html: Vec<Arc<Prepared>>,
    json: Vec<Arc<Prepared>>,
}

impl Default for Pages {
    fn default() -> Self {
        Self {
            html: Reason::ALL.iter().map(|r| Arc::new(html_page(*r))).collect(),
            json: Reason::ALL.iter().map(|r| Arc::new(json_page(*r))).collect(),
        }
    }
}

impl Pages {
    /// The page for a reason.
    pub fn page(&self, reason: Reason, format: Format) -> Arc<Prepared> {
        let pages = match format {
            Format::Html => &self.html,
            Format::Json => &self.json,
        };
        // Reason::ALL is in the order of the discriminants (tested there), so this always finds one.
        pages.get(reason as usize).cloned().unwrap_or_else(|| Arc::new(json_page(reason)))
    }
}

fn proxy_status(reason: Reason) -> Option<String> {
    // RFC 9209 §2: the member is our name; `details` is for people.
    reason.proxy_error().map(|error| format!("Seawall; error={error}; details=\"{}\"", reason.label()))
}

fn json_page(reason: Reason) -> Prepared {
    let status = reason.status();
    let body = serde_json::json!({
        "type": "about:blank",
        "title": reason_phrase(status),
        "status": status,
        "detail": reason.detail(),
        "reason": reason.label(),
    });
    Prepared::new(status, "application/problem+json", proxy_status(reason), body.to_string())
}

fn html_page(reason: Reason) -> Prepared {
    let status = reason.status();
    let body = format!(
        include_str!("answer.html"),
        title = reason_phrase(status),
        detail = reason.detail(),
        status = status,
        label = reason.label()
    );
    Prepared::new(status, "text/html; charset=utf-8", proxy_status(reason), body)
}

/// The phrase of a status (RFC 9110 §15).
pub fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unknown")
}

/// Writes `HTTP/1.1 503 Service Unavailable` and its line end.
pub fn status_line(status: u16, out: &mut BytesMut) {
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(itoa::Buffer::new().format(status).as_bytes());
    out.put_u8(b' ');
    out.put_slice(reason_phrase(status).as_bytes());
    out.put_slice(b"\r\n");
}

/// Writes one field line.
pub fn write_field(name: &str, value: &str, out: &mut BytesMut) {
    out.reserve(name.len() + value.len() + 4);
    out.put_slice(name.as_bytes());
    out.put_slice(b": ");
    out.put_slice(value.as_bytes());
    out.put_slice(b"\r\n");
}

/// A request's id: sent to the origin and back to the client, and in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Sixteen hex digits of a number that the shell never uses twice in a process.
    pub fn new(number: u64) -> Self {
        let mut text = [0; 16];
        let (high, low) = text.split_at_mut(8);
        high.copy_from_slice(&hex(number >> 32));
        low.copy_from_slice(&hex(number & u64::from(u32::MAX)));
        Self(text)
    }

    /// A number that looks drawn by lot, the same for this request whenever asked.
    pub fn lot(&self) -> u64 {
        // FNV-1a: the low digits of neighbours differ.
        self.0.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The eight hex digits of 32 bits, all at once: every request has an id.
fn hex(bits: u64) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // One digit to a byte.
    let pairs = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (pairs | pairs << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    // Ten and more carry into the upper half once six is added.
    let letters = (digits + 6 * ONES) >> 4 & ONES;
    (digits + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::view::{BodyKind, Field, Scheme, Version};

    fn asked(accept: &str) -> Format {
        let fields = [Field { name: "Accept", value: accept.as_bytes() }];
        Format::asked(&View {
            method: "GET",
            version: Version::Http11,
            scheme: Scheme::Http,
            host: "shop.example",
            path: "/",
            raw_path: "/",
            query: None,
            fields: &fields,
            client: [127, 0, 0, 1].into(),
            trusted: false,
            body: BodyKind::None,
        })
    }

    #[test]
    fn a_browser_gets_a_page_and_a_program_gets_a_problem() {
        assert_eq!(asked("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Format::Html);
        assert_eq!(asked("*/*"), Format::Json);
        assert_eq!(asked("application/json"), Format::Json);
        assert_eq!(asked("application/json, text/html;q=0.5"), Format::Json);
        assert_eq!(asked("text/html;q=0"), Format::Json);
    }

    #[test]
    fn a_prepared_page_says_the_same_in_bytes_and_in_fields() {
        for reason in Reason::ALL {
            for format in [Format::Html, Format::Json] {
                let page = Pages::default().page(reason, format);
                let mut fields = [httparse::EMPTY_HEADER; 16];
                let mut head = httparse::Response::new(&mut fields);
                let mut wire = page.wire.to_vec();
                wire.extend_from_slice(b"\r\n");
                assert!(head.parse(&wire).unwrap().is_complete());
                assert_eq!(head.code, Some(reason.status()));
                assert_eq!(head.headers.len(), page.fields.len());
                for (sent, kept) in head.headers.iter().zip(&page.fields) {
                    assert_eq!((sent.name, sent.value), (kept.0, kept.1.as_bytes()));
                }
            }
        }
    }

    #[test]
    fn a_request_id_is_sixteen_digits() {
        assert_eq!(RequestId::new(0xab).as_str(), "00000000000000ab");
        for number in [0, 0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0x9900_aa99_0a90_a9ff, u64::MAX] {
            assert_eq!(RequestId::new(number).as_str(), format!("{number:016x}"));
        }
    }
}
