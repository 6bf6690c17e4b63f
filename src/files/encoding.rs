//! Which of a file's encodings a client likes best (RFC 9110 §12.5.3).

use smallvec::SmallVec;

use crate::pipeline::view::View;
use crate::policy::Coding;

/// Encodings to look for, the best first; none is the file as it is, which always ends the list.
pub type Order = SmallVec<[Option<Coding>; 4]>;

/// The order in which to look for the encodings that are offered. Of those a client likes alike, the
/// offered order decides, and any of them goes before the file as it is. One who takes nothing at all gets
/// the file as it is: that is better than a 406.
pub fn order(view: &View<'_>, offered: &[Coding]) -> Order {
    let mut named: SmallVec<[(&str, u16); 8]> = SmallVec::new();
    for item in view.fields_named("accept-encoding").flat_map(|line| line.split(',')) {
        let mut parts = item.split(';').map(str::trim);
        let token = parts.next().unwrap_or_default();
        let quality = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
        named.push((token, quality.map_or(1000, thousandths)));
    }
    let of = |token: &str| named.iter().find(|(name, _)| name.eq_ignore_ascii_case(token)).map(|(_, q)| *q);
    let rest = of("*");
    let mut liked: SmallVec<[(Option<Coding>, u16); 4]> = SmallVec::new();
    for coding in offered {
        let alias = if *coding == Coding::Gzip { of("x-gzip") } else { None };
        let quality = of(coding.token()).or(alias).or(rest).unwrap_or(0);
        if quality > 0 {
            liked.push((Some(*coding), quality));
        }
    }
    // It is acceptable without being named, but then liked less than what is.
    liked.push((None, of("identity").or(rest).unwrap_or(0)));
    liked.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
    let end = liked.iter().position(|(coding, _)| coding.is_none()).unwrap_or(liked.len());
    liked.into_iter().take(end + 1).map(|(coding, _)| coding).collect()
}

/// A quality value in thousandths; what is no number counts as none.
fn thousandths(quality: &str) -> u16 {
    let value: f32 = quality.parse().unwrap_or(0.0);
    // In 0..=1000, so the cast can't wrap.
    (value.clamp(0.0, 1.0) * 1000.0) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::view;

    #[test]
    fn the_best_that_a_client_takes_comes_first() {
        let offered = Coding::ALL;
        for (field, expected) in [
            (None, &[][..]),
            (Some(""), &[]),
            (Some("identity"), &[]),
            (Some("gzip"), &[Coding::Gzip]),
            (Some("x-gzip"), &[Coding::Gzip]),
            (Some("gzip, deflate, br, zstd"), &[Coding::Zstd, Coding::Brotli, Coding::Gzip]),
            (Some("GZIP;q=1.0, br;q=0.8, zstd;q=0"), &[Coding::Gzip, Coding::Brotli]),
            (Some("br;q=0.5, identity"), &[]),
            (Some("br;q=0.5, identity;q=0.2, *;q=0"), &[Coding::Brotli]),
            (Some("*"), &[Coding::Zstd, Coding::Brotli, Coding::Gzip]),
            (Some("gzip;q=0, *;q=0.1"), &[Coding::Zstd, Coding::Brotli]),
            (Some("gzip;q=nonsense"), &[]),
            (Some("identity;q=0"), &[]),
            (Some("br ; q=0.3 , gzip ;q=0.4"), &[Coding::Gzip, Coding::Brotli]),
        ] {
            let fields: Vec<_> = field.map(|value| ("Accept-Encoding", value)).into_iter().collect();
            let found = view(&fields, |view| order(view, &offered));
            let expected: Vec<_> = expected.iter().copied().map(Some).chain([None]).collect();
            assert_eq!(found.as_slice(), expected, "{field:?}");
        }
    }
}
