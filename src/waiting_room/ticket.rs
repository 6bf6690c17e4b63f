//! What a visitor carries: a signed stub at first, then a signed place in the queue, then a signed
//! session.
//!
//! Each is a few fixed fields and a code over all of them, as base64url without padding. Kind and
//! form share the first byte, the key's id is the second, and the [`RoomId`] ties a value to one
//! room and to one life of its state: a room whose state was lost takes none of the old numbers for
//! its own.

use data_encoding::BASE64URL_NOPAD;

use crate::keys::{Keys, MAC_LEN, Purpose};

/// First byte of a ticket: form 2 of kind 1.
const TICKET_FORM: u8 = 0x12;
/// First byte of a session: form 2 of kind 2.
const SESSION_FORM: u8 = 0x22;
/// First byte of a stub: form 1 of kind 4; passes are kind 3.
const STUB_FORM: u8 = 0x41;
/// form, key id, room, lane, number, issued, best position, expected.
const TICKET_FIELDS: usize = 1 + 1 + 4 + 1 + 8 + 4 + 4 + 4;
/// form, key id, room, slot, generation, started, turn.
const SESSION_FIELDS: usize = 1 + 1 + 4 + 4 + 4 + 4 + 4;
/// form, key id, room, lane, invitation, issued.
const STUB_FIELDS: usize = 1 + 1 + 4 + 1 + 8 + 4;
const TICKET_LEN: usize = TICKET_FIELDS + MAC_LEN;
const SESSION_LEN: usize = SESSION_FIELDS + MAC_LEN;
const STUB_LEN: usize = STUB_FIELDS + MAC_LEN;
/// Characters of the longest of them in base64.
const TEXT_MAX: usize = (TICKET_LEN * 4).div_ceil(3);

/// One room in one life of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RoomId(u32);

impl RoomId {
    /// The room `name` whose state was made with `seed`.
    pub fn new(name: &str, seed: &[u8; 32]) -> Self {
        let mut hash = blake3::Hasher::new_derive_key("seawall 2026 room id");
        hash.update(seed);
        hash.update(name.as_bytes());
        let hash = hash.finalize();
        Self(hash.as_bytes().first_chunk().map_or(0, |b| u32::from_le_bytes(*b)))
    }
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which line of the room; 0 is everyone's.
    pub lane: u8,
    /// In its lane, from 1 up, without gaps, never given twice.
    pub number: u64,
    /// Seconds since 1970 UTC.
    pub issued_unix_s: u32,
    /// The best position shown so far, so that what is shown never rises.
    pub best_position: u32,
    /// When its turn was expected as the first estimate was shown, seconds since 1970 UTC; 0: none was.
    pub expected_unix_s: u32,
}

/// What one who has no number yet carries: the next touch that bears it draws one. So whoever keeps
/// no cookie gets no number, and costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stub {
    /// The lane that the number will be of.
    pub lane: u8,
    /// The invitation that opens this lane; 0: none.
    pub invitation: u64,
    /// Seconds since 1970 UTC.
    pub issued_unix_s: u32,
}

/// A visit inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Which of the room's slots it holds.
    pub slot: u32,
    /// Which use of that slot: never the same twice in a room.
    pub generation: u32,
    /// Seconds since 1970 UTC.
    pub started_unix_s: u32,
    /// How often it was changed: of two who share it, one is left with an old one.
    pub turn: u32,
}

/// A cookie's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Ticket {
    /// A ticket as it is drawn.
    pub const fn new(lane: u8, number: u64, issued_unix_s: u32) -> Self {
        Self { lane, number, issued_unix_s, best_position: u32::MAX, expected_unix_s: 0 }
    }

    /// Lane and number in one: what its slot is known by. Numbers of 2⁵⁶ and more are never reached.
    pub const fn key(&self) -> u64 {
        (self.lane as u64) << 56 | self.number & (u64::MAX >> 8)
    }

    /// Lane and number of a [`Self::key`].
    pub const fn of_key(key: u64) -> (u8, u64) {
        ((key >> 56) as u8, key & (u64::MAX >> 8))
    }

    /// Signed, for the cookie.
    pub fn encode(&self, keys: &Keys, room: RoomId) -> Text {
        let mut out = Writer::<TICKET_LEN>::new();
        out.put(&[TICKET_FORM, keys.id()]);
        out.put(&room.0.to_le_bytes());
        out.put(&[self.lane]);
        out.put(&self.number.to_le_bytes());
        out.put(&self.issued_unix_s.to_le_bytes());
        out.put(&self.best_position.to_le_bytes());
        out.put(&self.expected_unix_s.to_le_bytes());
        out.sign(keys, Purpose::Ticket)
    }

    /// The ticket in `text`, if this key signed it for this room.
    pub fn parse(text: &[u8], keys: &Keys, room: RoomId) -> Option<Self> {
        let bytes = verified::<TICKET_LEN>(text, keys, Purpose::Ticket)?;
        let mut fields = Reader::open(&bytes, TICKET_FORM, keys, room)?;
        Some(Self {
            lane: fields.u8()?,
            number: fields.u64()?,
            issued_unix_s: fields.u32()?,
            best_position: fields.u32()?,
            expected_unix_s: fields.u32()?,
        })
    }
}

impl Stub {
    /// Signed, for the cookie.
    pub fn encode(&self, keys: &Keys, room: RoomId) -> Text {
        let mut out = Writer::<STUB_LEN>::new();
        out.put(&[STUB_FORM, keys.id()]);
        out.put(&room.0.to_le_bytes());
        out.put(&[self.lane]);
        out.put(&self.invitation.to_le_bytes());
        out.put(&self.issued_unix_s.to_le_bytes());
        out.sign(keys, Purpose::Ticket)
    }

    /// The stub in `text`, if this key signed it for this room.
    pub fn parse(text: &[u8], keys: &Keys, room: RoomId) -> Option<Self> {
        let bytes = verified::<STUB_LEN>(text, keys, Purpose::Ticket)?;
        let mut fields = Reader::open(&bytes, STUB_FORM, keys, room)?;
        Some(Self { lane: fields.u8()?, invitation: fields.u64()?, issued_unix_s: fields.u32()? })
    }
}

impl Session {
    /// Signed, for the cookie.
    pub fn encode(&self, keys: &Keys, room: RoomId) -> Text {
        let mut out = Writer::<SESSION_LEN>::new();
        out.put(&[SESSION_FORM, keys.id()]);
        out.put(&room.0.to_le_bytes());
        out.put(&self.slot.to_le_bytes());
        out.put(&self.generation.to_le_bytes());
        out.put(&self.started_unix_s.to_le_bytes());
        out.put(&self.turn.to_le_bytes());
        out.sign(keys, Purpose::Session)
    }

    /// The session in `text`, if this key signed it for this room.
    pub fn parse(text: &[u8], keys: &Keys, room: RoomId) -> Option<Self> {
        let bytes = verified::<SESSION_LEN>(text, keys, Purpose::Session)?;
        let mut fields = Reader::open(&bytes, SESSION_FORM, keys, room)?;
        Some(Self {
            slot: fields.u32()?,
            generation: fields.u32()?,
            started_unix_s: fields.u32()?,
            turn: fields.u32()?,
        })
    }
}

impl Text {
    /// The characters, all of base64url's alphabet.
    pub fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default()
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The decoded bytes of `text` if its code holds, else nothing.
///
/// base64 is decoded strictly (length, alphabet, trailing bits), so one value has one spelling.
fn verified<const LEN: usize>(text: &[u8], keys: &Keys, purpose: Purpose) -> Option<[u8; LEN]> {
    if text.len() != (LEN * 4).div_ceil(3) {
        return None;
    }
    // `decode_mut` wants exactly the decoded length, which the check above has settled.
    let mut bytes = [0; LEN];
    BASE64URL_NOPAD.decode_mut(text, &mut bytes).ok()?;
    let (fields, mac) = bytes.split_at_checked(LEN - MAC_LEN)?;
    keys.verify(purpose, fields, mac).then_some(bytes)
}

/// Fields in order, then the code, then base64.
struct Writer<const LEN: usize> {
    bytes: [u8; LEN],
    at: usize,
}

impl<const LEN: usize> Writer<LEN> {
    fn new() -> Self {
        Self { bytes: [0; LEN], at: 0 }
    }

    fn put(&mut self, field: &[u8]) {
        let end = self.at + field.len();
        debug_assert!(end <= LEN);
        if let Some(to) = self.bytes.get_mut(self.at..end) {
            to.copy_from_slice(field);
        }
        self.at = end;
    }

    fn sign(mut self, keys: &Keys, purpose: Purpose) -> Text {
        let mac = keys.mac(purpose, self.bytes.get(..self.at).unwrap_or_default());
        self.put(&mac);
        let mut text = Text { bytes: [0; TEXT_MAX], len: BASE64URL_NOPAD.encode_len(LEN) };
        if let Some(to) = text.bytes.get_mut(..text.len) {
            BASE64URL_NOPAD.encode_mut(&self.bytes, to);
        }
        text
    }
}

/// Fields in order, after form, key and room were found to be the right ones.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn open(bytes: &'a [u8], form: u8, keys: &Keys, room: RoomId) -> Option<Self> {
        let mut reader = Self { rest: bytes };
        let right = reader.take::<2>()? == [form, keys.id()] && reader.u32()? == room.0;
        right.then_some(reader)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*field)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> Keys {
        Keys::from_bytes(1, &[5; 32])
    }

    const TICKET: Ticket =
        Ticket { lane: 2, number: 77, issued_unix_s: 1_790_000_000, best_position: 12, expected_unix_s: 1_790_000_600 };
    const SESSION: Session = Session { slot: 3, generation: 9, started_unix_s: 1_790_000_000, turn: 4 };
    const STUB: Stub = Stub { lane: 2, invitation: 5, issued_unix_s: 1_790_000_000 };

    fn room(name: &str, life: u8) -> RoomId {
        RoomId::new(name, &[life; 32])
    }

    #[test]
    fn every_form_comes_back_as_it_went() {
        let room = room("launch", 1);
        let text = STUB.encode(&keys(), room);
        assert_eq!(Stub::parse(text.as_str().as_bytes(), &keys(), room), Some(STUB));
        let text = TICKET.encode(&keys(), room);
        assert_eq!(Ticket::parse(text.as_str().as_bytes(), &keys(), room), Some(TICKET));
        let text = SESSION.encode(&keys(), room);
        assert_eq!(Session::parse(text.as_str().as_bytes(), &keys(), room), Some(SESSION));
    }

    #[test]
    fn another_room_another_life_or_another_key_is_refused() {
        let room = room("launch", 1);
        let text = TICKET.encode(&keys(), room);
        let text = text.as_str().as_bytes();
        assert_eq!(Ticket::parse(text, &keys(), RoomId::new("lunch", &[1; 32])), None);
        assert_eq!(Ticket::parse(text, &keys(), RoomId::new("launch", &[2; 32])), None);
        assert_eq!(Ticket::parse(text, &Keys::from_bytes(1, &[6; 32]), room), None);
        assert_eq!(Ticket::parse(text, &Keys::from_bytes(2, &[5; 32]), room), None);
    }

    #[test]
    fn one_kind_is_never_the_other() {
        let room = room("launch", 1);
        assert_eq!(Session::parse(TICKET.encode(&keys(), room).as_str().as_bytes(), &keys(), room), None);
        assert_eq!(Ticket::parse(STUB.encode(&keys(), room).as_str().as_bytes(), &keys(), room), None);
        assert_eq!(Stub::parse(TICKET.encode(&keys(), room).as_str().as_bytes(), &keys(), room), None);
        assert_eq!(Ticket::parse(SESSION.encode(&keys(), room).as_str().as_bytes(), &keys(), room), None);
    }

    proptest! {
        #[test]
        fn garbage_is_nothing(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let room = room("launch", 1);
            prop_assert_eq!(Ticket::parse(&text, &keys(), room), None);
            prop_assert_eq!(Session::parse(&text, &keys(), room), None);
        }

        #[test]
        fn plausible_garbage_is_nothing(text in "[A-Za-z0-9_-]{51}|[A-Za-z0-9_-]{47}|[A-Za-z0-9_-]{58}") {
            let room = room("launch", 1);
            prop_assert_eq!(Ticket::parse(text.as_bytes(), &keys(), room), None);
            prop_assert_eq!(Session::parse(text.as_bytes(), &keys(), room), None);
        }

        #[test]
        fn no_altered_ticket_verifies(number in any::<u64>(), at in 0usize..TEXT_MAX, to in any::<u8>()) {
            let room = room("launch", 1);
            let text = Ticket { number, ..TICKET }.encode(&keys(), room);
            let mut bytes = text.as_str().as_bytes().to_vec();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            prop_assert_eq!(Ticket::parse(&bytes, &keys(), room), None);
        }
    }
}
