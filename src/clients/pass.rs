//! A pass: a signed word that whoever shows it is one of a group, for a time.
//!
//! A few fixed fields and a code over all of them, as base64url without padding: 56 characters.
//! The group's [`Tag`] ties it to one name, so that one key file may sign for several groups.

use data_encoding::BASE64URL_NOPAD;

use crate::keys::{Keys, MAC_LEN, Purpose};

/// First byte: form 1 of kind 3; tickets and sessions are kinds 1 and 2.
const FORM: u8 = 0x31;
/// form, key id, tag, expiry, id.
const FIELDS: usize = 1 + 1 + 8 + 8 + 8;
const LEN: usize = FIELDS + MAC_LEN;
/// Characters in base64.
const TEXT_LEN: usize = (LEN * 4).div_ceil(3);

/// A group's name, as passes carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag([u8; 8]);

impl Tag {
    /// Of the group of that name.
    pub fn of(name: &str) -> Self {
        Self(blake3::hash(name.as_bytes()).as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// What a pass says beside whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Seconds since 1970 UTC.
    pub expires_unix_s: u64,
    /// Random: tells one link from another.
    pub id: u64,
}

impl Pass {
    /// Signed, for a link.
    pub fn encode(self, keys: &Keys, group: Tag) -> String {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend([FORM, keys.id()]);
        bytes.extend(group.0);
        bytes.extend(self.expires_unix_s.to_le_bytes());
        bytes.extend(self.id.to_le_bytes());
        let mac = keys.mac(Purpose::Pass, &bytes);
        bytes.extend(mac);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The pass in `text`, if this key signed it for this group. Whether it has expired is the
    /// caller's to ask.
    pub fn parse(text: &[u8], keys: &Keys, group: Tag) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let mut bytes = [0; LEN];
        BASE64URL_NOPAD.decode_mut(text, &mut bytes).ok()?;
        let (fields, mac) = bytes.split_first_chunk::<FIELDS>()?;
        let (head, rest) = fields.split_first_chunk::<2>()?;
        let (tag, rest) = rest.split_first_chunk::<8>()?;
        // The cheap questions first; neither answer is a secret.
        if *head != [FORM, keys.id()] || *tag != group.0 || !keys.verify(Purpose::Pass, fields, mac) {
            return None;
        }
        let (expires, id) = rest.split_first_chunk::<8>()?;
        let id = id.first_chunk::<8>()?;
        Some(Self { expires_unix_s: u64::from_le_bytes(*expires), id: u64::from_le_bytes(*id) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASS: Pass = Pass { expires_unix_s: 1_795_000_000, id: 42 };

    fn keys(secret: u8) -> Keys {
        Keys::from_bytes(1, &[secret; 32])
    }

    #[test]
    fn a_pass_is_good_for_its_key_and_its_group_alone() {
        let (staff, press) = (Tag::of("staff"), Tag::of("press"));
        let text = PASS.encode(&keys(7), staff);
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(Pass::parse(text.as_bytes(), &keys(7), staff), Some(PASS));
        assert_eq!(Pass::parse(text.as_bytes(), &keys(7), press), None);
        assert_eq!(Pass::parse(text.as_bytes(), &keys(8), staff), None);
        assert_eq!(Pass::parse(b"", &keys(7), staff), None);
    }

    proptest! {
        #[test]
        fn no_pass_is_forged_by_changing_a_letter(at in 0..TEXT_LEN, letter in "[A-Za-z0-9_-]") {
            let staff = Tag::of("staff");
            let mut text = PASS.encode(&keys(7), staff);
            let same = text.get(at..=at) == Some(letter.as_str());
            text.replace_range(at..=at, &letter);
            prop_assert_eq!(Pass::parse(text.as_bytes(), &keys(7), staff).is_some(), same);
        }

        #[test]
        fn rubbish_is_no_pass(text in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            prop_assert_eq!(Pass::parse(&text, &keys(7), Tag::of("staff")), None);
        }
    }
}
