//! An ordered list of header fields, RFC 9110 §5.
//!
//! In scope: keeping them as they came, duplicates too, and looking them up. Out of scope: what they mean.
//!
//! One buffer holds every name and value, each followed by NUL, so that C can be handed pointers into it.

use std::ffi::CStr;
use std::fmt;

use thiserror::Error;

use crate::error::{Error, Status};

/// An ordered list of header fields; names are compared without regard to case.
#[derive(Clone, Default)]
pub struct Headers {
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// Where one field stands in the buffer: name, NUL, value, NUL.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    name_length: usize,
    value_length: usize,
}

/// Why a header was not taken. A sentence never contains the value: values can be secrets.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// A header without a name.
    #[error("a header needs a name")]
    NoName,
    /// A name that is not a token.
    #[error("the header name that begins {before:?} has {character:?} at position {position}; a name is a token (RFC 9110 §5.1)")]
    Name {
        /// The name up to the character.
        before: String,
        /// The first character that is none of a token's.
        character: char,
        /// Where it is, from 0.
        position: usize,
    },
    /// A value with a control character.
    #[error("the value of header {name} has the control character {byte:#04x} at position {position}")]
    Value {
        /// The header's name.
        name: String,
        /// The control character.
        byte: u8,
        /// Where it is, from 0.
        position: usize,
    },
    /// More than one field where the protocol allows one.
    #[error("header {name} appears {count} times, expected once")]
    Repeated {
        /// The header's name.
        name: String,
        /// How many there are.
        count: usize,
    },
}

impl InvalidHeader {
    /// The status for a header that the program gave.
    pub fn status(&self) -> Status {
        Status::InvalidHeader
    }
}

impl From<InvalidHeader> for Error {
    fn from(error: InvalidHeader) -> Error {
        Error::new(error.status(), error.to_string())
    }
}

impl Headers {
    /// An empty list.
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Adds a field at the end. Blanks around the value are not part of it (RFC 9110 §5.5); bytes from 80 on are taken as they are.
    pub fn push(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        check_name(name)?;
        let value = trim(value);
        if let Some(position) = value.iter().position(|&byte| is_control(byte)) {
            return Err(InvalidHeader::Value { name: name.to_owned(), byte: value[position], position });
        }
        self.fields.push(Field { start: self.text.len(), name_length: name.len(), value_length: value.len() });
        for part in [name.as_bytes(), value] {
            self.text.extend_from_slice(part);
            self.text.push(0);
        }
        Ok(())
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// All fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (self.name_of(field), self.value_of(field)))
    }

    /// The names in their order, for a log: values can be secrets.
    pub fn names(&self) -> String {
        self.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    }

    /// The field at a position, as the C strings they are stored as.
    pub fn at(&self, position: usize) -> Option<(&CStr, &CStr)> {
        let field = self.fields.get(position)?;
        let name = CStr::from_bytes_until_nul(self.text.get(field.start..)?).ok()?;
        let value = CStr::from_bytes_until_nul(self.text.get(field.value_start()..)?).ok()?;
        Some((name, value))
    }

    /// The value of a name; `index` counts the fields of the same name from 0.
    pub fn get(&self, name: &str, index: usize) -> Option<&[u8]> {
        self.values(name).nth(index)
    }

    /// [`get`](Headers::get), if the value is UTF-8.
    pub fn get_text(&self, name: &str, index: usize) -> Option<&str> {
        std::str::from_utf8(self.get(name, index)?).ok()
    }

    /// How many fields have this name.
    pub fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    /// Whether any field has this name.
    pub fn has(&self, name: &str) -> bool {
        self.count(name) > 0
    }

    /// The value of a name that may appear once at most.
    pub fn unique(&self, name: &str) -> Result<Option<&[u8]>, InvalidHeader> {
        match self.count(name) {
            0 | 1 => Ok(self.get(name, 0)),
            count => Err(InvalidHeader::Repeated { name: name.to_owned(), count }),
        }
    }

    /// All values of a name, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| self.name_of(field).eq_ignore_ascii_case(name)).map(|field| self.value_of(field))
    }

    /// The elements of a comma-separated list over all fields of the name (RFC 9110 §5.6.1): blanks around them removed, empty ones
    /// and those that are not UTF-8 skipped. For lists without quoted strings.
    pub fn tokens(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .filter_map(|element| std::str::from_utf8(trim(element)).ok())
            .filter(|element| !element.is_empty())
    }

    /// Whether such a list contains the token, whatever the case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|element| element.eq_ignore_ascii_case(token))
    }

    /// Adds all fields of another list; they have been checked when they were added there.
    pub fn extend(&mut self, other: &Headers) {
        let moved_by = self.text.len();
        self.text.extend_from_slice(&other.text);
        self.fields.extend(other.fields.iter().map(|field| Field { start: field.start + moved_by, ..*field }));
    }

    fn name_of(&self, field: &Field) -> &str {
        std::str::from_utf8(&self.text[field.start..][..field.name_length]).expect("a name is a token, which is ASCII")
    }

    fn value_of(&self, field: &Field) -> &[u8] {
        &self.text[field.value_start()..][..field.value_length]
    }
}

impl Field {
    fn value_start(&self) -> usize {
        self.start + self.name_length + 1
    }
}

impl fmt::Debug for Headers {
    /// Names only: values can be secrets, and debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// Whether the text is a token, RFC 9110 §5.6.2: what names of headers, methods and sub-protocols are.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a header value or a first line may not contain the byte (RFC 9110 §5.5).
pub(super) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

fn check_name(name: &str) -> Result<(), InvalidHeader> {
    if name.is_empty() {
        return Err(InvalidHeader::NoName);
    }
    // Of a name that is none, only what precedes the offending character is shown: behind it there may be a value.
    match name.char_indices().find(|(_, character)| !u8::try_from(*character).is_ok_and(is_token_byte)) {
        Some((position, character)) => Err(InvalidHeader::Name { before: name[..position].to_owned(), character, position }),
        None => Ok(()),
    }
}

fn trim(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !is_blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.push(name, value.as_bytes()).expect("a valid header");
        }
        headers
    }

    #[test]
    fn order_duplicates_and_spelling_are_kept() {
        let headers = headers(&[("Set-Cookie", "a=1"), ("X-Empty", ""), ("SET-COOKIE", "b=2")]);
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [("Set-Cookie", &b"a=1"[..]), ("X-Empty", b""), ("SET-COOKIE", b"b=2")]);
        assert_eq!((headers.len(), headers.is_empty(), headers.count("set-cookie")), (3, false, 2));
        assert_eq!(headers.get("set-cookie", 0), Some(&b"a=1"[..]));
        assert_eq!(headers.get_text("set-cookie", 1), Some("b=2"));
        assert_eq!(headers.get("set-cookie", 2), None);
        assert_eq!(headers.get("set-cooki", 0), None);
        assert!(Headers::new().is_empty());
    }

    #[test]
    fn fields_are_c_strings_too() {
        let headers = headers(&[("Host", "a"), ("X-Empty", ""), ("Last", "z")]);
        assert_eq!(headers.at(0), Some((c"Host", c"a")));
        assert_eq!(headers.at(1), Some((c"X-Empty", c"")));
        assert_eq!(headers.at(2), Some((c"Last", c"z")));
        assert_eq!(headers.at(3), None);
    }

    #[test]
    fn blanks_around_a_value_are_removed() {
        let headers = headers(&[("A", " \t x\ty  "), ("B", " \t ")]);
        assert_eq!(headers.get("A", 0), Some(&b"x\ty"[..]));
        assert_eq!(headers.get("B", 0), Some(&b""[..]));
    }

    #[test]
    fn what_is_no_token_is_no_name() {
        for name in ["", "a b", "a:", "a\r", "a\n", "a\0", "é", "a\u{7f}", "(a)", "a,b", "a/b", "[", "\"a\""] {
            assert!(Headers::new().push(name, b"x").is_err(), "{name:?}");
        }
        for byte in 0..=255u8 {
            let name = char::from(byte).to_string();
            let expected = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".contains(&byte);
            assert_eq!(Headers::new().push(&name, b"x").is_ok(), expected, "{byte:#04x}");
        }
    }

    #[test]
    fn values_refuse_controls_only() {
        for byte in 0..=255u8 {
            let expected = byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
            assert_eq!(Headers::new().push("A", &[b'x', byte, b'y']).is_ok(), expected, "{byte:#04x}");
        }
        let mut headers = Headers::new();
        headers.push("A", b"x\xff").unwrap();
        assert_eq!((headers.get("A", 0), headers.get_text("A", 0)), (Some(&b"x\xff"[..]), None));
    }

    #[test]
    fn a_refused_header_leaves_no_trace() {
        let mut headers = headers(&[("A", "1")]);
        assert!(headers.push("B", b"x\r\nEvil: 1").is_err());
        assert!(headers.push("B\r\n", b"x").is_err());
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("A", &b"1"[..])]);
    }

    #[test]
    fn sentences_name_the_header_and_never_the_value() {
        let sentence = |name: &str, value: &[u8]| Headers::new().push(name, value).unwrap_err().to_string();
        assert_eq!(sentence("Cookie", b"secret\n"), "the value of header Cookie has the control character 0x0a at position 6");
        assert_eq!(
            sentence("Authorization: secret", b""),
            "the header name that begins \"Authorization\" has ':' at position 13; a name is a token (RFC 9110 §5.1)"
        );
        assert_eq!(sentence("", b""), "a header needs a name");
        assert!(!format!("{:?}", headers(&[("Cookie", "secret")])).contains("secret"));
    }

    #[test]
    fn lists_go_over_all_fields_of_a_name() {
        let headers = headers(&[("Connection", "keep-alive,, Upgrade ,"), ("X", "y"), ("connection", "\tclose")]);
        assert_eq!(headers.tokens("Connection").collect::<Vec<_>>(), ["keep-alive", "Upgrade", "close"]);
        for (token, expected) in [("upgrade", true), ("CLOSE", true), ("Upgrad", false), ("keep-alive,", false), ("", false)] {
            assert_eq!(headers.has_token("CONNECTION", token), expected, "{token:?}");
        }
    }

    #[test]
    fn a_unique_header_is_there_once_or_not_at_all() {
        let headers = headers(&[("A", "1"), ("B", "2"), ("b", "2")]);
        assert_eq!(headers.unique("a"), Ok(Some(&b"1"[..])));
        assert_eq!(headers.unique("C"), Ok(None));
        assert_eq!(headers.unique("B").unwrap_err().to_string(), "header B appears 2 times, expected once");
    }

    #[test]
    fn a_list_extends_another() {
        let mut first = headers(&[("A", "1"), ("B", "")]);
        first.extend(&headers(&[("C", "3"), ("a", "4")]));
        assert_eq!(first.iter().collect::<Vec<_>>(), [("A", &b"1"[..]), ("B", b""), ("C", b"3"), ("a", b"4")]);
        assert_eq!(first.at(3), Some((c"a", c"4")));
    }
}
