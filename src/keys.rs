//! The secret that signs what visitors carry.
//!
//! One 32-byte secret makes one subkey for each [`Purpose`], so that a value signed for one use is
//! never taken for another. Reading and making the file is the shell's: [`crate::store`].

use std::fmt;

use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq;

/// Bytes of a message authentication code: BLAKE3 keyed, cut to 128 bits.
pub const MAC_LEN: usize = 16;

/// First word of the file: what it is and the version of its form.
const MAGIC: &str = "seawall-key-1";

/// What a code is made for; each has its own subkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A place in a waiting room's queue.
    Ticket,
    /// A visit inside.
    Session,
    /// A link that makes a browser one of a group of clients.
    Pass,
    /// A link that opens a lane of a waiting room.
    Invitation,
    /// A moment at which a visitor wrote something.
    Version,
}

/// The signing keys.
#[derive(Clone)]
pub struct Keys {
    id: u8,
    ticket: [u8; 32],
    session: [u8; 32],
    pass: [u8; 32],
    invitation: [u8; 32],
    version: [u8; 32],
    proof: [u8; 32],
}

/// What is wrong with the text of a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// Another file, or a damaged one.
    #[error("this is not a Seawall key file: expected one line, \"{MAGIC} ID SECRET\"")]
    Foreign,
    /// The id is no number from 0 to 255.
    #[error("the key's id must be a number from 0 to 255")]
    Id,
    /// The secret is not 64 hexadecimal digits.
    #[error("the key's secret must be 64 lower-case hexadecimal digits (32 bytes)")]
    Secret,
}

impl Keys {
    /// From a secret that came from the system's random numbers.
    pub fn from_bytes(id: u8, secret: &[u8; 32]) -> Self {
        // The contexts are constants of the format: changing one voids every cookie out there.
        Self {
            id,
            ticket: blake3::derive_key("seawall 2026 ticket", secret),
            session: blake3::derive_key("seawall 2026 session", secret),
            pass: blake3::derive_key("seawall 2026 pass", secret),
            invitation: blake3::derive_key("seawall 2026 invitation", secret),
            version: blake3::derive_key("seawall 2026 version", secret),
            proof: blake3::derive_key("seawall 2026 proof", secret),
        }
    }

    /// From the text of a key file.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let mut words = text.split_ascii_whitespace();
        let (Some(MAGIC), Some(id), Some(secret), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(KeysError::Foreign);
        };
        let id = id.parse().map_err(|_| KeysError::Id)?;
        let secret = HEXLOWER.decode(secret.as_bytes()).map_err(|_| KeysError::Secret)?;
        let secret = <[u8; 32]>::try_from(secret.as_slice()).map_err(|_| KeysError::Secret)?;
        Ok(Self::from_bytes(id, &secret))
    }

    /// The text of a key file with this secret.
    pub fn file_text(id: u8, secret: &[u8; 32]) -> String {
        format!("{MAGIC} {id} {}\n", HEXLOWER.encode(secret))
    }

    /// Which key this is: written into all that it signs, so that a later one can be told apart.
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// The key that origins are told, so that they know what came through here: see
    /// [`crate::proxy::proof`].
    pub const fn proof(&self) -> &[u8; 32] {
        &self.proof
    }

    /// The code of `message`.
    pub fn mac(&self, purpose: Purpose, message: &[u8]) -> [u8; MAC_LEN] {
        let key = match purpose {
            Purpose::Ticket => &self.ticket,
            Purpose::Session => &self.session,
            Purpose::Pass => &self.pass,
            Purpose::Invitation => &self.invitation,
            Purpose::Version => &self.version,
        };
        let mut mac = [0; MAC_LEN];
        for (to, from) in mac.iter_mut().zip(blake3::keyed_hash(key, message).as_bytes()) {
            *to = *from;
        }
        mac
    }

    /// Whether `mac` is the code of `message`; takes the same time whatever it is.
    pub fn verify(&self, purpose: Purpose, message: &[u8], mac: &[u8]) -> bool {
        self.mac(purpose, message).as_slice().ct_eq(mac).into()
    }
}

impl fmt::Debug for Keys {
    /// Without the secrets: this ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_purpose_signs_no_other_accepts() {
        let keys = Keys::from_bytes(1, &[7; 32]);
        let mac = keys.mac(Purpose::Ticket, b"message");
        assert!(keys.verify(Purpose::Ticket, b"message", &mac));
        assert!(!keys.verify(Purpose::Session, b"message", &mac));
        assert!(!keys.verify(Purpose::Ticket, b"massage", &mac));
        assert!(!Keys::from_bytes(1, &[8; 32]).verify(Purpose::Ticket, b"message", &mac));
        assert!(!keys.verify(Purpose::Ticket, b"message", &[]));
    }

    #[test]
    fn a_file_says_what_is_wrong_with_it() {
        let text = Keys::file_text(9, &[7; 32]);
        assert_eq!(Keys::parse(&text).unwrap().id(), 9);
        assert_eq!(Keys::parse("").unwrap_err(), KeysError::Foreign);
        assert_eq!(Keys::parse("-----BEGIN PRIVATE KEY-----").unwrap_err(), KeysError::Foreign);
        assert_eq!(Keys::parse(&text.replace(" 9 ", " 900 ")).unwrap_err(), KeysError::Id);
        assert_eq!(Keys::parse(text.trim_end().trim_end_matches('7')).unwrap_err(), KeysError::Secret);
    }

    #[test]
    fn secrets_are_not_printed() {
        assert_eq!(format!("{:?}", Keys::from_bytes(3, &[7; 32])), "Keys { id: 3, .. }");
    }
}
