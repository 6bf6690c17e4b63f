//! Sitemaps: the pages that a site names itself, and the sitemaps that an index names.

use std::io::Read as _;

use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// Bytes of one, unpacked (sitemaps.org: 50 MB).
const LENGTH_MAX: u64 = 50 << 20;
/// URLs of one (sitemaps.org: 50,000).
const URLS_MAX: usize = 50_000;

/// What a sitemap names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sitemap {
    pub pages: Vec<String>,
    /// Further sitemaps.
    pub sitemaps: Vec<String>,
}

impl Sitemap {
    /// Reads one, packed by gzip or not, as far as it makes sense; none if it is no sitemap.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut text = Vec::new();
        if bytes.starts_with(&[0x1f, 0x8b]) {
            // What a cut stream gave so far is good.
            let _ = flate2::read::MultiGzDecoder::new(bytes).take(LENGTH_MAX).read_to_end(&mut text);
        } else {
            text.extend_from_slice(bytes);
        }
        let text = String::from_utf8_lossy(&text);
        let mut reader = Reader::from_str(&text);
        let (mut found, mut is_sitemap, mut in_sitemap, mut loc) = (Self::default(), false, false, None::<String>);
        loop {
            match reader.read_event() {
                Ok(Event::Start(tag)) => match tag.local_name().as_ref() {
                    "urlset" | "sitemapindex" => is_sitemap = true,
                    "sitemap" => in_sitemap = true,
                    "url" => in_sitemap = false,
                    // Of an image or a video (`image:loc`) too: those are wanted as well.
                    "loc" => loc = Some(String::new()),
                    _ => {}
                },
                Ok(Event::Text(text)) => {
                    if let Some(loc) = &mut loc {
                        loc.push_str(&text);
                    }
                }
                Ok(Event::CData(text)) => {
                    if let Some(loc) = &mut loc {
                        loc.push_str(&text);
                    }
                }
                Ok(Event::GeneralRef(name)) => {
                    if let Some(loc) = &mut loc {
                        loc.push_str(entity(&name));
                    }
                }
                Ok(Event::End(tag)) if tag.local_name().as_ref() == "loc" => {
                    let into = if in_sitemap { &mut found.sitemaps } else { &mut found.pages };
                    into.extend(loc.take().map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()));
                }
                Ok(Event::Eof) | Err(_) => break,
                Ok(_) => {}
            }
            if found.pages.len() + found.sitemaps.len() >= URLS_MAX {
                break;
            }
        }
        is_sitemap.then_some(found)
    }
}

fn entity(name: &str) -> &'static str {
    match name {
        "amp" => "&",
        "lt" => "<",
        "gt" => ">",
        "quot" => "\"",
        "apos" => "'",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const PAGES: &str = "<?xml version='1.0'?><urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>\
        <url><loc> /a?x=1&amp;y=2 </loc><lastmod>2026</lastmod></url><url><loc><![CDATA[/b]]></loc></url></urlset>";

    #[test]
    fn pages_and_further_sitemaps_are_told_apart_packed_or_not() {
        let pages = Sitemap { pages: vec!["/a?x=1&y=2".to_owned(), "/b".to_owned()], sitemaps: vec![] };
        assert_eq!(Sitemap::parse(PAGES.as_bytes()), Some(pages.clone()));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(PAGES.as_bytes()).unwrap();
        assert_eq!(Sitemap::parse(&packed.finish().unwrap()), Some(pages));
        let index = Sitemap::parse(b"<sitemapindex><sitemap><loc>/s2.xml.gz</loc></sitemap></sitemapindex>").unwrap();
        assert_eq!(index.sitemaps, ["/s2.xml.gz"]);
    }

    #[test]
    fn what_is_none_or_is_cut_harms_nothing() {
        assert_eq!(Sitemap::parse(b"<html><loc>/x</loc></html>"), None);
        assert_eq!(Sitemap::parse(b"\x1f\x8bnonsense"), None);
        let cut = Sitemap::parse(&PAGES.as_bytes()[..130]).unwrap();
        assert_eq!(cut.pages, ["/a?x=1&y=2"]);
    }
}
