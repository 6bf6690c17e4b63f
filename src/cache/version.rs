//! What a visitor carries who has written something: a signed moment. What was asked of the origin
//! before it is never their answer (`cache.NAME.read_your_writes`).
//!
//! It says nothing of who bears it, and forces nothing but that: the first read after a write
//! fetches what all others get from then on.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

use super::purge::Stamp;
use crate::keys::{Keys, MAC_LEN, Purpose};
use crate::pipeline::view::{Scheme, View};

/// In which an app carries what browsers keep in the cookie, both ways.
pub const FIELD: &str = "seawall-version";
/// The cookie's name, without `__Host-`.
pub const COOKIE: &str = "seawall_version";
/// How long a write is remembered. A page that is held for longer than this may be older than it.
pub const LASTS: Duration = Duration::from_secs(3600);

/// First byte: form 1 of kind 6; other kinds are tickets, sessions, passes, stubs, invitations.
const FORM: u8 = 0x61;
/// form, key id, stamp.
const FIELDS: usize = 1 + 1 + 8;
const LEN: usize = FIELDS + MAC_LEN;
/// Characters in base64.
const TEXT_LEN: usize = (LEN * 4).div_ceil(3);
/// Tokens of one request that are looked at.
const SHOWN_MAX: usize = 4;

/// A write's moment, signed.
pub fn encode(written: Stamp, keys: &Keys) -> String {
    let mut bytes = Vec::with_capacity(LEN);
    bytes.extend([FORM, keys.id()]);
    bytes.extend(written.as_nanos().to_le_bytes());
    let mac = keys.mac(Purpose::Version, &bytes);
    bytes.extend(mac);
    BASE64URL_NOPAD.encode(&bytes)
}

/// The moment in `text`, if this key signed it.
fn parse(text: &[u8], keys: &Keys) -> Option<Stamp> {
    if text.len() != TEXT_LEN {
        return None;
    }
    let mut bytes = [0; LEN];
    BASE64URL_NOPAD.decode_mut(text, &mut bytes).ok()?;
    let (fields, mac) = bytes.split_first_chunk::<FIELDS>()?;
    let (head, stamp) = fields.split_first_chunk::<2>()?;
    if *head != [FORM, keys.id()] || !keys.verify(Purpose::Version, fields, mac) {
        return None;
    }
    Some(Stamp::from_nanos(u64::from_le_bytes(*stamp.first_chunk()?)))
}

/// The cookie that keeps a token.
pub fn cookie(token: &str, scheme: Scheme) -> String {
    // As Seawall's other cookies: `__Host-` where TLS allows (RFC 6265bis §4.1.3.2).
    let (prefix, secure) = match scheme {
        Scheme::Https => ("__Host-", "; Secure"),
        Scheme::Http => ("", ""),
    };
    let seconds = LASTS.as_secs();
    format!("{prefix}{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}")
}

/// The newest write that a request's bearer has made, as far as it counts still. One of the future is
/// none: it is a process's before this one, whose clock was ahead, and what is held now was asked for
/// since.
pub fn borne(view: &View<'_>, keys: &Keys, now: Stamp) -> Option<Stamp> {
    let is_ours = |name: &str| name.strip_prefix("__Host-").unwrap_or(name) == COOKIE;
    let cookies = view.cookies().filter(|(name, _)| is_ours(name)).map(|(_, value)| value);
    let shown = view.fields_named(FIELD).chain(cookies).take(SHOWN_MAX);
    let lasts = u64::try_from(LASTS.as_nanos()).unwrap_or(u64::MAX);
    let counts = |written: &Stamp| *written <= now && now.as_nanos() - written.as_nanos() < lasts;
    shown.filter_map(|text| parse(text.as_bytes(), keys)).filter(counts).max()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::request::tests::view;
    use crate::pipeline::view::Field;

    const NOW: Stamp = Stamp::from_unix_ms(1_767_225_600_000);

    fn keys(secret: u8) -> Keys {
        Keys::from_bytes(1, &[secret; 32])
    }

    fn ago(time: Duration) -> Stamp {
        Stamp::from_nanos(NOW.as_nanos() - time.as_nanos() as u64)
    }

    fn shown(fields: &[(&str, &str)]) -> Option<Stamp> {
        let fields: Vec<_> = fields.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect();
        borne(&view(&fields), &keys(7), NOW)
    }

    #[test]
    fn the_newest_of_all_that_are_shown_counts_for_an_hour() {
        let [old, new] = [40, 20].map(|minutes| ago(Duration::from_secs(minutes * 60)));
        let [old_text, new_text] = [old, new].map(|stamp| encode(stamp, &keys(7)));
        let cookie = format!("a=1; seawall_version={old_text}; __Host-seawall_version={new_text}");
        assert_eq!(shown(&[("Cookie", &cookie)]), Some(new));
        assert_eq!(
            shown(&[("Seawall-Version", &new_text), ("cookie", &format!("seawall_version={old_text}"))]),
            Some(new)
        );
        assert_eq!(shown(&[("Seawall-Version", &encode(ago(LASTS), &keys(7)))]), None);
        assert_eq!(shown(&[("Seawall-Version", &encode(NOW, &keys(7)))]), Some(NOW));
        assert_eq!(shown(&[]), None);
    }

    #[test]
    fn one_that_is_forged_or_of_the_future_is_none() {
        let future = Stamp::from_nanos(NOW.as_nanos() + 1);
        assert_eq!(shown(&[("seawall-version", &encode(future, &keys(7)))]), None);
        assert_eq!(shown(&[("seawall-version", &encode(NOW, &keys(8)))]), None);
        let mac = keys(7).mac(Purpose::Pass, &[FORM, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let other = BASE64URL_NOPAD.encode(&[&[FORM, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &mac].concat());
        assert_eq!(shown(&[("seawall-version", &other)]), None, "another purpose");
    }

    proptest! {
        #[test]
        fn no_other_letters_are_believed(at in 0..TEXT_LEN, to in "[A-Za-z0-9_-]") {
            let token = encode(NOW, &keys(7));
            let mut changed = token.clone();
            changed.replace_range(at..=at, &to);
            // The last letter has bits to spare, which must be zero.
            prop_assert_eq!(parse(changed.as_bytes(), &keys(7)).is_some(), changed == token);
        }
    }
}
