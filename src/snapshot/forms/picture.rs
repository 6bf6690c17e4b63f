//! A picture as WebP and AVIF, in its own width and in narrower ones.
//!
//! A photograph is made anew. A drawing (PNG) keeps every pixel as it was in its own width, so that it is no AVIF
//! there, which would be lossy.

use std::io::Cursor;

use fast_image_resize::Resizer;
use image::codecs::avif::AvifEncoder;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};

use super::{Made, is_worth};
use crate::snapshot::manifest::Form;

/// Widths besides a picture's own, in pixels, for pictures that are wider.
const WIDTHS: [u32; 3] = [1600, 960, 480];
/// Of a photograph: where few see the difference.
const WEBP_QUALITY: f32 = 80.0;
/// About as near to the original as WebP is with its quality.
const AVIF_QUALITY: u8 = 70;
/// From 1 to 10, the fastest: one to two seconds for a megapixel.
const AVIF_SPEED: u8 = 9;
/// Pixels of one AVIF at most: more would take too long, and memory.
const AVIF_PIXELS_MAX: u64 = 4 << 20;
/// Pixels on a side of a picture, and bytes to unpack it into.
const SIDE_MAX: u32 = 16_383;
const UNPACKED_MAX: u64 = 256 << 20;

/// A picture that was read.
pub(super) struct Picture {
    /// RGB or RGBA, with 8 bits a channel.
    image: DynamicImage,
    is_drawing: bool,
}

impl Picture {
    /// None where it is none, moves, or its colours could come out otherwise than they were meant.
    pub(super) fn decode(kind: &str, body: &[u8]) -> Option<Self> {
        let format = match kind {
            "image/jpeg" => ImageFormat::Jpeg,
            "image/png" if !is_animated(body) => ImageFormat::Png,
            _ => return None,
        };
        let mut reader = ImageReader::with_format(Cursor::new(body), format);
        let mut limits = Limits::default();
        limits.max_image_width = Some(SIDE_MAX);
        limits.max_image_height = Some(SIDE_MAX);
        limits.max_alloc = Some(UNPACKED_MAX);
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
        let image = if image.color().has_alpha() { image.into_rgba8().into() } else { image.into_rgb8().into() };
        Some(Self { image, is_drawing: format == ImageFormat::Png })
    }

    /// Its own size, then narrower ones.
    fn sizes(&self) -> impl Iterator<Item = Size> {
        let (width, height) = (self.image.width(), self.image.height());
        let own = Size { width, height, is_own: true };
        let narrower = move |to: u32| {
            let height = (u64::from(height) * u64::from(to) + u64::from(width) / 2) / u64::from(width.max(1));
            Size { width: to, height: u32::try_from(height).unwrap_or(u32::MAX).max(1), is_own: false }
        };
        std::iter::once(own).chain(WIDTHS.into_iter().filter(move |to| *to < width).map(narrower))
    }

    fn is_avif_at(&self, size: Size) -> bool {
        size.pixels() <= AVIF_PIXELS_MAX && !(size.is_own && self.is_drawing)
    }

    /// Pixels of all its AVIFs.
    pub(super) fn avif_pixels(&self) -> u64 {
        self.sizes().filter(|size| self.is_avif_at(*size)).map(Size::pixels).sum()
    }

    /// The forms that are smaller than what they are in place of: its own, of this length, the next wider one and,
    /// of an AVIF, the WebP that is as wide.
    pub(super) fn forms(&self, length: usize, with_avif: bool) -> Vec<Made> {
        let (mut made, mut webp_length, mut avif_length) = (Vec::new(), length, length);
        for size in self.sizes() {
            let width = (!size.is_own).then_some(size.width);
            let narrower = if size.is_own { None } else { self.resized(size) };
            let image = narrower.as_ref().unwrap_or(&self.image);
            if !size.is_own && narrower.is_none() {
                continue;
            }
            if let Some(body) = webp(image, self.is_drawing).filter(|body| is_worth(body.len(), webp_length)) {
                webp_length = body.len();
                made.push(Made { form: Form::Webp, width, body });
            }
            let in_place_of = webp_length.min(avif_length);
            let body = if with_avif && self.is_avif_at(size) { avif(image) } else { None };
            if let Some(body) = body.filter(|body| is_worth(body.len(), in_place_of)) {
                avif_length = body.len();
                made.push(Made { form: Form::Avif, width, body });
            }
        }
        made
    }

    fn resized(&self, size: Size) -> Option<DynamicImage> {
        let mut to = DynamicImage::new(size.width, size.height, self.image.color());
        Resizer::new().resize(&self.image, &mut to, None).ok()?;
        Some(to)
    }
}

#[derive(Clone, Copy)]
struct Size {
    width: u32,
    height: u32,
    /// The picture's.
    is_own: bool,
}

impl Size {
    fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

fn webp(image: &DynamicImage, is_lossless: bool) -> Option<Vec<u8>> {
    let (pixels, width, height) = (image.as_bytes(), image.width(), image.height());
    let encoder = if image.color().has_alpha() {
        webp::Encoder::from_rgba(pixels, width, height)
    } else {
        webp::Encoder::from_rgb(pixels, width, height)
    };
    encoder.encode_simple(is_lossless, WEBP_QUALITY).ok().map(|made| made.to_vec())
}

fn avif(image: &DynamicImage) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    image.write_with_encoder(AvifEncoder::new_with_speed_quality(&mut out, AVIF_SPEED, AVIF_QUALITY)).ok()?;
    Some(out)
}

/// Whether a PNG moves (APNG): of that only one picture would be left.
fn is_animated(png: &[u8]) -> bool {
    memchr::memmem::find(png, b"acTL").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waves of colour with some grain, as a photograph has them.
    fn photograph(width: u32, height: u32) -> DynamicImage {
        let grain = |x: u32, y: u32| (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).wrapping_mul(97) >> 29;
        let wave = |at: u32, length: f32| ((at as f32 / length).sin() * 90.0 + 128.0) as u8;
        let pixel = |x, y| image::Rgb([wave(x, 70.0), wave(y, 50.0), wave(x + y, 90.0)].map(|c| c + grain(x, y) as u8));
        image::RgbImage::from_fn(width, height, pixel).into()
    }

    fn forms(kind: &str, image: &DynamicImage, with_avif: bool) -> (usize, Vec<Made>) {
        let mut file = Cursor::new(Vec::new());
        let format = if kind == "image/png" { ImageFormat::Png } else { ImageFormat::Jpeg };
        image.write_to(&mut file, format).unwrap();
        let length = file.get_ref().len();
        (length, Picture::decode(kind, file.get_ref()).unwrap().forms(length, with_avif))
    }

    #[test]
    fn a_drawing_becomes_a_smaller_one_with_the_same_pixels() {
        let picture = image::RgbaImage::from_fn(200, 100, |x, y| image::Rgba([(x / 20) as u8, (y / 9) as u8, 7, 255]));
        let (_, forms) = forms("image/png", &picture.clone().into(), true);
        let [Made { form: Form::Webp, width: None, body }] = &forms[..] else { panic!("{}", forms.len()) };
        let back = image::load_from_memory_with_format(body, ImageFormat::WebP).unwrap().into_rgba8();
        assert!(back == picture);
    }

    #[test]
    fn each_form_of_a_photograph_is_smaller_than_what_it_is_in_place_of() {
        let (length, made) = forms("image/jpeg", &photograph(1100, 200), true);
        let widths: Vec<_> = made.iter().map(|made| (made.form, made.width)).collect();
        for width in [None, Some(960), Some(480)] {
            assert!(widths.contains(&(Form::Avif, width)), "{widths:?}");
        }
        assert!(!widths.iter().any(|(_, width)| *width == Some(1600)), "no picture is made wider");
        for form in [Form::Webp, Form::Avif] {
            let lengths = made.iter().filter(|made| made.form == form).map(|made| made.body.len());
            let lengths: Vec<_> = std::iter::once(length).chain(lengths).collect();
            assert!(lengths.windows(2).all(|pair| is_worth(pair[1], pair[0])), "{form:?}: {lengths:?}");
        }
        for Made { form, width, body } in &made {
            if *form == Form::Webp {
                let back = image::load_from_memory_with_format(body, ImageFormat::WebP).unwrap();
                assert_eq!(back.width(), width.unwrap_or(1100));
            } else {
                assert_eq!(body.get(4..12), Some(&b"ftypavif"[..]));
            }
        }
        let (_, without) = forms("image/jpeg", &photograph(1100, 200), false);
        assert!(!without.is_empty() && without.iter().all(|made| made.form == Form::Webp));
    }

    #[test]
    fn a_picture_too_large_for_avif_has_it_in_narrower_widths() {
        let large = Picture { image: DynamicImage::new_rgb8(4000, 2000), is_drawing: false };
        assert_eq!(large.avif_pixels(), 1600 * 800 + 960 * 480 + 480 * 240);
        let flat = Picture { image: DynamicImage::new_rgb8(2000, 1), is_drawing: true };
        assert_eq!(flat.avif_pixels(), 1600 + 960 + 480, "a side has a pixel at least, and a drawing's own no AVIF");
    }
}
