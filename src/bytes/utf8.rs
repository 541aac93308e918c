//! UTF-8 over the fragments of a text message, RFC 6455 §8.1: refused at the first byte that can no longer become valid.
//!
//! In scope: [`Utf8`], which remembers no more than the unfinished character at a fragment's end. Out of scope: what follows from a
//! refusal (close 1007), and close reasons, which are whole and need no state.

use thiserror::Error;

/// Up to this length a scan for ASCII is tried first: 100 bytes take 60 instructions, and 140 in the vectorised validator.
const SHORT: usize = 128;

/// From this length on the vectorised validator is worth its set-up.
const VECTORISED_FROM: usize = 64;

/// Bytes that are not, and can no longer become, UTF-8 (RFC 3629).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the text is not valid UTF-8")]
pub struct InvalidUtf8;

/// Validates one text after another, each in as many pieces as it comes in.
#[derive(Clone, Copy, Default, Debug)]
pub struct Utf8 {
    /// How many continuation bytes the character at the end of the last piece still needs.
    missing: u8,
    /// The least the next of them may be: 80, but A0 after E0 and 90 after F0, which begin overlong forms else.
    least: u8,
    /// The most the next of them may be: BF, but 9F after ED (surrogates) and 8F after F4 (beyond U+10FFFF).
    most: u8,
}

impl Utf8 {
    /// Takes the next piece; fails if no text begins with what has been taken since the last [`finish`](Utf8::finish).
    ///
    /// After a failure the text is lost; the state must not be used for its rest.
    #[inline]
    pub fn check(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        if self.missing == 0 && bytes.len() <= SHORT && is_short_ascii(bytes) {
            return Ok(());
        }
        self.check_any(bytes)
    }

    /// Ends the text: fails if its last character is unfinished. Ready for the next text in both cases.
    #[inline]
    pub fn finish(&mut self) -> Result<(), InvalidUtf8> {
        let is_boundary = self.is_boundary();
        *self = Utf8::default();
        if is_boundary { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Whether no character is unfinished: the text may end here.
    #[inline]
    pub fn is_boundary(&self) -> bool {
        self.missing == 0
    }

    fn check_any(&mut self, mut bytes: &[u8]) -> Result<(), InvalidUtf8> {
        while self.missing > 0 {
            let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.step(byte)?;
            bytes = rest;
        }
        let (whole, unfinished) = bytes.split_at(start_of_unfinished(bytes));
        let is_valid =
            if whole.len() < VECTORISED_FROM { std::str::from_utf8(whole).is_ok() } else { simdutf8::basic::from_utf8(whole).is_ok() };
        if !is_valid {
            return Err(InvalidUtf8);
        }
        unfinished.iter().try_for_each(|&byte| self.step(byte))
    }

    /// One byte, by the table of RFC 3629 §4.
    fn step(&mut self, byte: u8) -> Result<(), InvalidUtf8> {
        if self.missing > 0 {
            if !(self.least..=self.most).contains(&byte) {
                return Err(InvalidUtf8);
            }
            *self = Utf8 { missing: self.missing - 1, least: 0x80, most: 0xbf };
            return Ok(());
        }
        let (missing, least, most) = match byte {
            0x00..=0x7f => (0, 0, 0),
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            0x80..=0xc1 | 0xf5..=0xff => return Err(InvalidUtf8),
        };
        *self = Utf8 { missing, least, most };
        Ok(())
    }
}

/// Where the character begins that `bytes` break off in; the length if they end with a whole one, or with nothing like one.
fn start_of_unfinished(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(3).enumerate() {
        let width = match byte {
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        return if width > back + 1 { bytes.len() - back - 1 } else { bytes.len() };
    }
    bytes.len()
}

/// Whether all bytes, at most [`SHORT`], are ASCII; by words, the last of which may overlap the one before.
#[inline(always)]
fn is_short_ascii(bytes: &[u8]) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    if let Some(&last) = bytes.last_chunk::<8>() {
        let words = bytes.chunks_exact(8).filter_map(|word| word.first_chunk::<8>());
        words.fold(u64::from_ne_bytes(last), |seen, &word| seen | u64::from_ne_bytes(word)) & HIGH_BITS == 0
    } else if let (Some(&first), Some(&last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (u32::from_ne_bytes(first) | u32::from_ne_bytes(last)) & HIGH_BITS as u32 == 0
    } else {
        bytes.iter().fold(0, |seen, byte| seen | byte) < 0x80
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the standard library says about a text that may go on: nothing wrong but, perhaps, an unfinished character at the end.
    fn may_go_on(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes).map_or_else(|error| error.error_len().is_none(), |_| true)
    }

    /// The piece-wise verdict must not depend on the pieces, and must come with the first byte that is wrong.
    fn assert_as_standard(bytes: &[u8]) {
        let mut by_byte = Utf8::default();
        for (position, byte) in bytes.iter().enumerate() {
            let expected = may_go_on(&bytes[..=position]);
            assert_eq!(by_byte.check(&[*byte]).is_ok(), expected, "{bytes:02x?} at {position}, byte by byte");
            assert_eq!(Utf8::default().check(&bytes[..=position]).is_ok(), expected, "{bytes:02x?} up to {position}, at once");
            if !expected {
                break;
            }
        }
        for split in 0..=bytes.len() {
            let mut utf8 = Utf8::default();
            let result = utf8.check(&bytes[..split]).and_then(|()| utf8.check(&bytes[split..]));
            assert_eq!(result.is_ok(), may_go_on(bytes), "{bytes:02x?} split at {split}");
            if result.is_ok() {
                assert_eq!(utf8.is_boundary(), std::str::from_utf8(bytes).is_ok());
                assert_eq!(utf8.finish().is_ok(), std::str::from_utf8(bytes).is_ok());
                assert!(utf8.is_boundary(), "finish makes ready for the next text");
            }
        }
    }

    #[test]
    fn the_state_is_tiny() {
        assert!(size_of::<Utf8>() <= 4);
    }

    #[test]
    fn fails_at_the_first_impossible_byte() {
        for (possible, impossible) in [
            (&[][..], 0x80),
            (&[], 0xbf),
            (&[], 0xc0),
            (&[], 0xc1),
            (&[], 0xf5),
            (&[], 0xff),
            (&[0xc2], 0x41),
            (&[0xe0], 0x9f),
            (&[0xed], 0xa0),
            (&[0xed], 0xbf),
            (&[0xf0], 0x8f),
            (&[0xf4], 0x90),
            (&[0xf0, 0x90], 0xc0),
            (&[0xe2, 0x82], 0x20),
        ] {
            let mut utf8 = Utf8::default();
            assert_eq!(utf8.check(possible), Ok(()), "{possible:02x?}");
            assert_eq!(utf8.check(&[impossible]), Err(InvalidUtf8), "{possible:02x?} {impossible:02x}");
            for before in [0, 7, 8, 63, 64, 65, 127, 128, 129, 200] {
                let mut text = vec![b'a'; before];
                text.extend_from_slice(possible);
                assert_eq!(Utf8::default().check(&text), Ok(()));
                text.push(impossible);
                assert_eq!(Utf8::default().check(&text), Err(InvalidUtf8), "{before} bytes, then {possible:02x?} {impossible:02x}");
            }
        }
    }

    #[test]
    fn the_classes_of_autobahn_section_6() {
        let valid: [&[u8]; 16] = [
            "κόσμε".as_bytes(),
            b"",
            "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
            &[0x00],
            &[0x7f],
            &[0xc2, 0x80],
            &[0xdf, 0xbf],
            &[0xe0, 0xa0, 0x80],
            &[0xed, 0x9f, 0xbf],
            &[0xee, 0x80, 0x80],
            &[0xef, 0xbf, 0xbd],
            &[0xef, 0xbf, 0xbe], // 6.22: non-characters are characters here
            &[0xef, 0xbf, 0xbf],
            &[0xf0, 0x90, 0x80, 0x80],
            &[0xf4, 0x8f, 0xbf, 0xbe],
            &[0xf4, 0x8f, 0xbf, 0xbf],
        ];
        for text in valid {
            assert!(std::str::from_utf8(text).is_ok());
            assert_as_standard(text);
        }
        let invalid: [&[u8]; 18] = [
            &[0x80],
            &[0xbf],
            &[0x80, 0xbf, 0x80, 0xbf],
            &[0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xce, 0xbc, 0xce, 0xb5, 0xed, 0xa0, 0x80, 0x65, 0x64, 0x69, 0x74, 0x65, 0x64],
            &[0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x83, 0xce, 0xbc, 0xce, 0xb5, 0xf4, 0x90, 0x80, 0x80, 0x65, 0x64, 0x69, 0x74, 0x65, 0x64],
            &[0xc0, 0xaf],
            &[0xe0, 0x80, 0xaf],
            &[0xf0, 0x80, 0x80, 0xaf],
            &[0xf8, 0x80, 0x80, 0x80, 0xaf],
            &[0xc1, 0xbf],
            &[0xe0, 0x9f, 0xbf],
            &[0xf0, 0x8f, 0xbf, 0xbf],
            &[0xed, 0xa0, 0x80],
            &[0xed, 0xad, 0xbf, 0xed, 0xbe, 0x80],
            &[0xf7, 0xbf, 0xbf, 0xbf],
            &[0xfc, 0x84, 0x80, 0x80, 0x80, 0x80],
            &[0xfe],
            &[0xff],
        ];
        for bytes in invalid {
            assert!(!may_go_on(bytes), "{bytes:02x?}");
            assert_as_standard(bytes);
        }
    }

    #[test]
    fn every_beginning_of_up_to_two_bytes_and_every_character() {
        for first in 0..=255 {
            assert_as_standard(&[first]);
            for second in 0..=255 {
                assert_as_standard(&[first, second]);
            }
        }
        let every_character: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        for piece_length in [1, 3, 61, 64, 65, 4093, 1 << 20] {
            let mut utf8 = Utf8::default();
            assert!(every_character.as_bytes().chunks(piece_length).all(|piece| utf8.check(piece).is_ok()));
            assert_eq!(utf8.finish(), Ok(()));
        }
    }

    #[test]
    fn an_unfinished_character_fails_the_end_only() {
        let text = "€".as_bytes();
        for end in 1..text.len() {
            let mut utf8 = Utf8::default();
            assert_eq!(utf8.check(&text[..end]), Ok(()));
            assert!(!utf8.is_boundary());
            assert_eq!(utf8.check(b""), Ok(()));
            assert_eq!(utf8.finish(), Err(InvalidUtf8));
            assert_eq!(utf8.check(b"next"), Ok(()));
            assert_eq!(utf8.finish(), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_as_the_standard_library_says(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            assert_as_standard(&bytes);
        }

        #[test]
        fn any_text_with_one_byte_changed(text in "[a-zµ€𝄞]{0,160}", position in any::<proptest::sample::Index>(), byte in any::<u8>()) {
            assert_as_standard(text.as_bytes());
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let position = position.index(bytes.len());
                bytes[position] = byte;
                assert_as_standard(&bytes);
            }
        }
    }
}
