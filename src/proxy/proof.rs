//! `Seawall-Proof`: tells an origin that a request came through here.
//!
//! An origin that anyone can reach by its own address can be asked around the queue. So each request
//! carries an HMAC-SHA256 (RFC 2104) over what the origin sees of it, under a key that `seawall keys`
//! prints; copies that visitors bring are taken out. The time keeps an old one from being used again.

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The field.
pub const FIELD: &str = "Seawall-Proof";

/// The key that origins are told.
#[derive(Clone)]
pub struct ProofKey(Hmac<Sha256>);

impl ProofKey {
    pub fn new(secret: &[u8; 32]) -> Self {
        // A block of SHA-256 is 64 bytes; a shorter key is one filled up with zeros (RFC 2104 §2).
        let mut block = [0; 64];
        block.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
        Self(<Hmac<Sha256> as Mac>::new(&block.into()))
    }

    /// `v1 t=SECONDS id=REQUEST mac=CODE`, the code over `v1`, seconds, id, method, host and target, each on
    /// a line of its own.
    pub fn field(&self, unix_s: u64, id: &str, method: &str, host: &str, target: &str) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("v1\n{unix_s}\n{id}\n{method}\n{host}\n{target}").as_bytes());
        let code = BASE64URL_NOPAD.encode(&mac.finalize().into_bytes());
        format!("v1 t={unix_s} id={id} mac={code}")
    }
}

impl std::fmt::Debug for ProofKey {
    /// Without the secret: this ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProofKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by `openssl dgst -sha256 -mac hmac -macopt hexkey:0707…`.
    #[test]
    fn an_origin_computes_the_same_code_with_any_hmac() {
        let field = ProofKey::new(&[7; 32]).field(1_795_769_700, "ab", "GET", "shop.example", "/a?b");
        assert_eq!(field, "v1 t=1795769700 id=ab mac=tXzTZA5LGQGJC6J5AEWItyCriCeV4b-vO_EV3EZ7CCM");
    }

    #[test]
    fn another_target_is_another_code() {
        let key = ProofKey::new(&[7; 32]);
        let field = |target| key.field(1, "ab", "GET", "shop.example", target);
        assert_ne!(field("/a"), field("/b"));
    }
}
