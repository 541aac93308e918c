//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept`, RFC 6455 §1.3 and §4.
//!
//! In scope: both values and their check. Out of scope: the randomness of a key, which is an argument.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use sha1::{Digest, Sha1};

/// What every server appends to the key, RFC 6455 §1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Padding is required. Bits that the padding leaves over may be anything: the RFC's own example in §4.1, `AQIDBAUGBwgJCgsMDQ4PEC==`,
/// has some, and RFC 4648 §3.5 leaves it to the decoder.
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// A client's key: 16 random bytes in base64.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Key(String);

impl Key {
    /// The key for 16 bytes that nobody can guess, fresh for every handshake.
    pub fn from_nonce(nonce: [u8; 16]) -> Key {
        Key(BASE64.encode(nonce))
    }

    /// A key as a peer sent it; `None` if it is not the base64 of 16 bytes.
    pub fn from_value(value: &[u8]) -> Option<Key> {
        let mut nonce = [0; 18];
        let is_key = value.len() == 24 && BASE64.decode_slice(value, &mut nonce) == Ok(16);
        if is_key { String::from_utf8(value.to_vec()).ok().map(Key) } else { None }
    }

    /// The 24 characters of the header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `Sec-WebSocket-Accept` that proves to have read this key.
    pub fn accept_value(&self) -> String {
        accept_value(self.0.as_bytes())
    }
}

/// The value of `Sec-WebSocket-Accept` for a key as it was sent, RFC 6455 §4.2.2.
pub fn accept_value(key: &[u8]) -> String {
    BASE64.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pairs() {
        for (key, accept) in [
            ("E4WSEcseoWr4csPLS2QJHA==", "7eQChgCtQMnVILefJAO6dK5JwPc="),
            ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), // RFC 6455 §1.3
        ] {
            assert_eq!(accept_value(key.as_bytes()), accept);
            assert_eq!(Key::from_value(key.as_bytes()).unwrap().accept_value(), accept);
        }
    }

    #[test]
    fn a_key_is_the_nonce_in_base64() {
        let key = Key::from_nonce(*b"the sample nonce");
        assert_eq!(key.as_str(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(Key::from_value(key.as_str().as_bytes()), Some(key));
    }

    #[test]
    fn only_the_base64_of_16_bytes_is_a_key() {
        assert!(Key::from_value(b"AQIDBAUGBwgJCgsMDQ4PEC==").is_some(), "the example of RFC 6455 §4.1");
        let refused: [&[u8]; 10] = [
            b"",
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"dGhlIHNhbXBsZSBub25jZQ=",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZWU=", // 17 bytes
            b"dGhlIHNhbXBsZSBub25jZWVl", // 18 bytes
            b"dGhlIHNhbXBsZSBub25j",     // 15 bytes
            b"dGhlIHNhbXBsZSBub25jZ!==",
            b"dGhlIHNhbXBsZSBub25j Q==",
            b"dGhlIHNhbXBsZSBub25-ZQ==",
        ];
        for value in refused {
            assert_eq!(Key::from_value(value), None, "{}", value.escape_ascii());
        }
    }
}
