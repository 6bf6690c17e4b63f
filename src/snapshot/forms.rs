//! The same page in smaller forms: text in content codings, pictures as WebP and AVIF, also less wide. Made when a
//! snapshot is taken, never when it is shown.

use std::io::Write as _;

use super::manifest::Form;

mod picture;

use picture::Picture;

/// How forms are made: counted up with each change, so that no snapshot goes on with what an older Seawall made.
pub const RECIPE: u32 = 1;

/// Bodies that are worth it.
const LENGTH: std::ops::RangeInclusive<usize> = 256..=(16 << 20);
/// Percent of the own form's length that another may have at most.
const WORTH_PERCENT: usize = 95;
/// Bytes of all forms of one snapshot.
const BYTES_MAX: u64 = 4 << 30;
/// Pixels that one snapshot has made into AVIF, which is slow: ten to twenty minutes' worth. What is beyond them has its
/// turn with the next snapshot.
const AVIF_PIXELS_MAX: u64 = 600_000_000;

/// A form of a body.
#[derive(Debug)]
pub struct Made {
    pub form: Form,
    /// In pixels, of a picture that is less wide than its own form.
    pub width: Option<u32>,
    pub body: Vec<u8>,
}

/// What may still be spent on the forms of one snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    bytes: u64,
    avif_pixels: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: BYTES_MAX, avif_pixels: AVIF_PIXELS_MAX }
    }
}

impl Budget {
    /// Whether there were so many bytes left; then they are spent.
    pub fn keep(&mut self, bytes: u64) -> bool {
        spend(&mut self.bytes, bytes)
    }
}

fn spend(left: &mut u64, wanted: u64) -> bool {
    let rest = left.checked_sub(wanted);
    *left = rest.unwrap_or(*left);
    rest.is_some()
}

/// The forms of a body of this media type that are smaller, and whether they are all that the budget has room for.
pub fn of(kind: &str, body: &[u8], budget: &mut Budget) -> (Vec<Made>, bool) {
    if !LENGTH.contains(&body.len()) {
        return (Vec::new(), true);
    }
    let (mut forms, with_avif) = match Picture::decode(kind, body) {
        Some(picture) => {
            let with_avif = spend(&mut budget.avif_pixels, picture.avif_pixels());
            (picture.forms(body.len(), with_avif), with_avif)
        }
        None if is_text(kind) => (texts(body), true),
        None => (Vec::new(), true),
    };
    let made = forms.len();
    forms.retain(|made| budget.keep(made.body.len() as u64));
    let is_whole = with_avif && forms.len() == made;
    (forms, is_whole)
}

/// Whether a form of this length is worth keeping beside one of that.
fn is_worth(length: usize, than: usize) -> bool {
    length * 100 <= than * WORTH_PERCENT
}

fn texts(body: &[u8]) -> Vec<Made> {
    let forms = [(Form::Gzip, gzip(body)), (Form::Br, br(body)), (Form::Zstd, zstd(body))];
    let made = forms.into_iter().filter_map(|(form, body)| Some(Made { form, width: None, body: body? }));
    made.filter(|made| is_worth(made.body.len(), body.len())).collect()
}

fn is_text(kind: &str) -> bool {
    const OTHERS: [&str; 8] = [
        "application/javascript",
        "application/json",
        "application/manifest+json",
        "application/wasm",
        "application/xml",
        "font/ttf",
        "font/otf",
        "image/x-icon",
    ];
    kind.starts_with("text/") || kind.ends_with("+xml") || kind.ends_with("+json") || OTHERS.contains(&kind)
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

fn br(body: &[u8]) -> Option<Vec<u8>> {
    let (quality, window) = (9, 22);
    let mut out = Vec::new();
    let mut encoder = brotli::CompressorWriter::new(&mut out, 64 << 10, quality, window);
    encoder.write_all(body).ok()?;
    drop(encoder);
    Some(out)
}

fn zstd(body: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(body, 12).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn all(kind: &str, body: &[u8]) -> Vec<Made> {
        of(kind, body, &mut Budget::default()).0
    }

    #[test]
    fn text_comes_in_codings_that_give_it_back() {
        let text = "a page that says the same again and again. ".repeat(50);
        let forms = all("text/html", text.as_bytes());
        assert_eq!(forms.iter().map(|made| made.form).collect::<Vec<_>>(), [Form::Gzip, Form::Br, Form::Zstd]);
        for Made { form, body, .. } in forms {
            let mut back = Vec::new();
            match form {
                Form::Gzip => drop(flate2::read::GzDecoder::new(&body[..]).read_to_end(&mut back).unwrap()),
                Form::Br => drop(brotli::Decompressor::new(&body[..], 4096).read_to_end(&mut back).unwrap()),
                Form::Zstd => back = zstd::bulk::decompress(&body, 1 << 20).unwrap(),
                Form::Webp | Form::Avif => unreachable!(),
            }
            assert_eq!(back, text.as_bytes(), "{form:?}");
        }
    }

    #[test]
    fn what_would_not_get_smaller_stays_as_it_is() {
        assert!(all("text/plain", b"short").is_empty());
        let noise: Vec<u8> =
            (0..4000_u32).flat_map(|i| blake3::hash(&i.to_le_bytes()).as_bytes()[..1].to_vec()).collect();
        assert!(all("text/plain", &noise).is_empty());
        assert!(all("image/jpeg", &noise).is_empty(), "nor is nonsense a picture");
        assert!(all("video/mp4", &vec![0; 10_000]).is_empty());
    }

    #[test]
    fn what_the_budget_has_no_room_for_is_left_for_the_next_snapshot() {
        let text = "the same again. ".repeat(100);
        let mut budget = Budget { bytes: 100, avif_pixels: 0 };
        let (forms, is_whole) = of("text/html", text.as_bytes(), &mut budget);
        let bytes: usize = forms.iter().map(|made| made.body.len()).sum();
        assert!(!is_whole && !forms.is_empty() && forms.len() < 3, "{forms:?}");
        assert_eq!(budget.bytes, 100 - bytes as u64);
    }
}
