//! The same page in smaller forms: text in content codings, pictures as WebP. Made when a snapshot is taken,
//! never when it is shown.

use std::io::{Cursor, Write as _};

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use super::manifest::Form;

/// Bodies that are worth it.
const LENGTH: std::ops::RangeInclusive<usize> = 256..=(16 << 20);
/// Percent of the own form's length that another may have at most.
const WORTH_PERCENT: usize = 95;
/// Of a photograph: where few see the difference.
const WEBP_QUALITY: f32 = 80.0;
/// Pixels on a side of a picture, and bytes to unpack it into.
const SIDE_MAX: u32 = 16_383;
const PIXELS_MAX: u64 = 256 << 20;

/// The forms of a body of this media type that are smaller, each with the body in it.
pub fn of(kind: &str, body: &[u8]) -> Vec<(Form, Vec<u8>)> {
    if !LENGTH.contains(&body.len()) {
        return Vec::new();
    }
    let mut forms = if is_text(kind) {
        vec![(Form::Gzip, gzip(body)), (Form::Br, br(body)), (Form::Zstd, zstd(body))]
    } else {
        vec![(Form::Webp, webp(kind, body))]
    };
    forms.retain(|(_, made)| made.as_ref().is_some_and(|made| made.len() * 100 <= body.len() * WORTH_PERCENT));
    forms.into_iter().filter_map(|(form, made)| Some((form, made?))).collect()
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

/// A photograph anew, a drawing with every pixel as it was. None where colours could come out otherwise than
/// they were meant.
fn webp(kind: &str, body: &[u8]) -> Option<Vec<u8>> {
    let format = match kind {
        "image/jpeg" => ImageFormat::Jpeg,
        "image/png" if !is_animated(body) => ImageFormat::Png,
        _ => return None,
    };
    let mut reader = ImageReader::with_format(Cursor::new(body), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(PIXELS_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let profile = decoder.icc_profile().ok()?;
    if profile.is_some_and(|profile| memchr::memmem::find(&profile, b"sRGB").is_none()) {
        return None;
    }
    let orientation = decoder.orientation().ok()?;
    let mut image = DynamicImage::from_decoder(decoder).ok()?;
    if image.color().bytes_per_pixel() / image.color().channel_count() > 1 {
        return None;
    }
    image.apply_orientation(orientation);
    let (width, height, is_drawing) = (image.width(), image.height(), format == ImageFormat::Png);
    let encoded = if image.color().has_alpha() {
        let pixels = image.into_rgba8();
        webp::Encoder::from_rgba(&pixels, width, height).encode_simple(is_drawing, WEBP_QUALITY)
    } else {
        let pixels = image.into_rgb8();
        webp::Encoder::from_rgb(&pixels, width, height).encode_simple(is_drawing, WEBP_QUALITY)
    };
    encoded.ok().map(|made| made.to_vec())
}

/// Whether a PNG moves (APNG): of that only one picture would be left.
fn is_animated(png: &[u8]) -> bool {
    memchr::memmem::find(png, b"acTL").is_some()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn text_comes_in_codings_that_give_it_back() {
        let text = "a page that says the same again and again. ".repeat(50);
        let forms = of("text/html", text.as_bytes());
        assert_eq!(forms.iter().map(|(form, _)| *form).collect::<Vec<_>>(), [Form::Gzip, Form::Br, Form::Zstd]);
        for (form, made) in forms {
            let mut back = Vec::new();
            match form {
                Form::Gzip => drop(flate2::read::GzDecoder::new(&made[..]).read_to_end(&mut back).unwrap()),
                Form::Br => drop(brotli::Decompressor::new(&made[..], 4096).read_to_end(&mut back).unwrap()),
                Form::Zstd => back = zstd::bulk::decompress(&made, 1 << 20).unwrap(),
                Form::Webp => unreachable!(),
            }
            assert_eq!(back, text.as_bytes(), "{form:?}");
        }
    }

    #[test]
    fn what_would_not_get_smaller_stays_as_it_is() {
        assert!(of("text/plain", b"short").is_empty());
        let noise: Vec<u8> =
            (0..4000_u32).flat_map(|i| blake3::hash(&i.to_le_bytes()).as_bytes()[..1].to_vec()).collect();
        assert!(of("text/plain", &noise).is_empty());
        assert!(of("image/jpeg", &noise).is_empty(), "nor is nonsense a picture");
        assert!(of("video/mp4", &vec![0; 10_000]).is_empty());
    }

    #[test]
    fn a_drawing_becomes_a_smaller_one_with_the_same_pixels() {
        let picture = image::RgbaImage::from_fn(200, 100, |x, y| image::Rgba([(x / 20) as u8, (y / 9) as u8, 7, 255]));
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        let forms = of("image/png", png.get_ref());
        let [(Form::Webp, webp)] = &forms[..] else { panic!("{}", forms.len()) };
        let back = image::load_from_memory_with_format(webp, ImageFormat::WebP).unwrap().into_rgba8();
        assert!(back == picture);
    }
}
