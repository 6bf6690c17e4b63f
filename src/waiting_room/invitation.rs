//! An invitation: a signed link that opens a lane of a room.
//!
//! As a pass of [`crate::clients::pass`]: a few fixed fields and a code over all of them, as
//! base64url without padding. The tag ties it to one lane of one room.

use data_encoding::BASE64URL_NOPAD;

use crate::keys::{Keys, MAC_LEN, Purpose};

/// The parameter that carries an invitation in a link. It is taken out of what the origin, the
/// cache's key and the log get to see.
pub const PARAMETER: &str = "seawall_invite";

/// First byte: form 1 of kind 5.
const FORM: u8 = 0x51;
/// form, key id, lane, expiry, id.
const FIELDS: usize = 1 + 1 + 4 + 8 + 8;
const LEN: usize = FIELDS + MAC_LEN;
/// Characters in base64.
const TEXT_LEN: usize = (LEN * 4).div_ceil(3);

/// A lane of a room, by name: what it is known by on disk and in invitations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LaneTag(pub u32);

impl LaneTag {
    /// The lane of that name in the room of that name.
    pub fn of(room: &str, lane: &str) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("seawall 2026 lane");
        hash.update(&(room.len() as u64).to_le_bytes()).update(room.as_bytes()).update(lane.as_bytes());
        Self(hash.finalize().as_bytes().first_chunk().map_or(0, |b| u32::from_le_bytes(*b)))
    }
}

/// What an invitation says beside which lane it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Seconds since 1970 UTC.
    pub expires_unix_s: u64,
    /// Random and not 0: tells one from another, so that uses can be counted.
    pub id: u64,
}

impl Invitation {
    /// Signed, for a link.
    pub fn encode(self, keys: &Keys, lane: LaneTag) -> String {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend([FORM, keys.id()]);
        bytes.extend(lane.0.to_le_bytes());
        bytes.extend(self.expires_unix_s.to_le_bytes());
        bytes.extend(self.id.to_le_bytes());
        let mac = keys.mac(Purpose::Invitation, &bytes);
        bytes.extend(mac);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// The invitation in `text`, if this key signed it for this lane. Whether it has expired is the
    /// caller's to ask.
    pub fn parse(text: &[u8], keys: &Keys, lane: LaneTag) -> Option<Self> {
        if text.len() != TEXT_LEN {
            return None;
        }
        let mut bytes = [0; LEN];
        BASE64URL_NOPAD.decode_mut(text, &mut bytes).ok()?;
        let (fields, mac) = bytes.split_first_chunk::<FIELDS>()?;
        let (head, rest) = fields.split_first_chunk::<2>()?;
        let (tag, rest) = rest.split_first_chunk::<4>()?;
        if *head != [FORM, keys.id()] || *tag != lane.0.to_le_bytes() || !keys.verify(Purpose::Invitation, fields, mac)
        {
            return None;
        }
        let (expires, id) = rest.split_first_chunk::<8>()?;
        let id = u64::from_le_bytes(*id.first_chunk::<8>()?);
        (id != 0).then_some(Self { expires_unix_s: u64::from_le_bytes(*expires), id })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INVITATION: Invitation = Invitation { expires_unix_s: 1_795_000_000, id: 42 };

    fn keys(secret: u8) -> Keys {
        Keys::from_bytes(1, &[secret; 32])
    }

    #[test]
    fn an_invitation_is_good_for_its_key_its_room_and_its_lane_alone() {
        let fans = LaneTag::of("launch", "fans");
        let text = INVITATION.encode(&keys(7), fans);
        assert_eq!(text.len(), TEXT_LEN);
        assert_eq!(Invitation::parse(text.as_bytes(), &keys(7), fans), Some(INVITATION));
        for other in [LaneTag::of("launch", "press"), LaneTag::of("lunch", "fans"), LaneTag::of("launchf", "ans")] {
            assert_eq!(Invitation::parse(text.as_bytes(), &keys(7), other), None);
        }
        assert_eq!(Invitation::parse(text.as_bytes(), &keys(8), fans), None);
    }

    proptest! {
        #[test]
        fn no_invitation_is_forged_by_changing_a_letter(at in 0..TEXT_LEN, letter in "[A-Za-z0-9_-]") {
            let fans = LaneTag::of("launch", "fans");
            let mut text = INVITATION.encode(&keys(7), fans);
            let same = text.get(at..=at) == Some(letter.as_str());
            text.replace_range(at..=at, &letter);
            prop_assert_eq!(Invitation::parse(text.as_bytes(), &keys(7), fans).is_some(), same);
        }
    }
}
