//! Percent-encoding, RFC 3986 §2.1.

/// `%XX` as the bytes they stand for; `None` if that is no UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        rest = others;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(*rest.first()?)?, digit(*rest.get(1)?)?);
        bytes.push((high * 16 + low) as u8);
        rest = &rest[2..];
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_or_refused() {
        assert_eq!(decoded("a%20b%C3%B6%2F").as_deref(), Some("a b\u{f6}/"));
        assert_eq!(decoded("").as_deref(), Some(""));
        for wrong in ["%", "%1", "%g0", "%0g", "%FF", "a%C3"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
