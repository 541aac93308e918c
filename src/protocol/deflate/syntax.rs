//! The value of `Sec-WebSocket-Extensions`, taken apart (RFC 6455 §9.1).
//!
//! In scope: names, parameters, quoted values. Out of scope: what any of them means.

use std::borrow::Cow;

use crate::http::headers::is_token;

/// One element of the list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extension<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its parameters in order, duplicates too; a value is a token, with or without quotes.
    pub parameters: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// The elements in order; `None` if the list is not one. Empty elements are skipped (RFC 9110 §5.6.1.2).
pub fn parse(list: &str) -> Option<Vec<Extension<'_>>> {
    split(list, ',')?.into_iter().filter(|element| !element.is_empty()).map(parse_element).collect()
}

fn parse_element(element: &str) -> Option<Extension<'_>> {
    let mut parts = split(element, ';')?.into_iter();
    let name = parts.next().filter(|name| is_token(name))?;
    let parameters = parts.map(parse_parameter).collect::<Option<_>>()?;
    Some(Extension { name, parameters })
}

fn parse_parameter(parameter: &str) -> Option<(&str, Option<Cow<'_, str>>)> {
    let (name, value) = match parameter.split_once('=') {
        Some((name, value)) => (name.trim_end(), Some(unquote(value.trim_start())?)),
        None => (parameter, None),
    };
    is_token(name).then_some((name, value))
}

/// RFC 6455 §9.1: what is quoted must be a token once it is not.
fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(quoted) = value.strip_prefix('"') else { return is_token(value).then_some(Cow::Borrowed(value)) };
    let mut plain = String::new();
    let mut characters = quoted.strip_suffix('"')?.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next()?),
            '"' => return None,
            other => plain.push(other),
        }
    }
    is_token(&plain).then_some(Cow::Owned(plain))
}

/// Splits where `separator` is not inside quotes, and trims; `None` if a quote is not closed.
fn split(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            other if other == separator && !is_quoted => {
                parts.push(trim(&text[start..at]));
                start = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(trim(&text[start..]));
    (!is_quoted).then_some(parts)
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(list: &str) -> Option<String> {
        let mut text = String::new();
        for Extension { name, parameters } in parse(list)? {
            text += &format!("[{name}");
            for (name, value) in parameters {
                text += &value.map_or(format!(" {name}"), |value| format!(" {name}={value}"));
            }
            text += "]";
        }
        Some(text)
    }

    #[test]
    fn lists_of_extensions_are_taken_apart() {
        for (list, expected) in [
            ("", ""),
            (" , ,", ""),
            ("a", "[a]"),
            ("a;b;c=1, d ; e = \"2\" ,", "[a b c=1][d e=2]"),
            ("a; b=\"1\\0\"", "[a b=10]"),
            ("a;b=\"x\\\"\"", "-"),
            ("a;b=\",\"", "-"),
            ("a;b=\"\\,\"", "-"),
            (
                "permessage-deflate; client_max_window_bits; server_max_window_bits=10",
                "[permessage-deflate client_max_window_bits server_max_window_bits=10]",
            ),
            ("a;", "-"),
            (";a", "-"),
            ("a;=1", "-"),
            ("a;b=", "-"),
            ("a;b=\"\"", "-"),
            ("a;b=\"1", "-"),
            ("a;b=1\"", "-"),
            ("a;b=\"1\"2", "-"),
            ("a b", "-"),
            ("a;b c", "-"),
            ("a;b=c=d", "-"),
            ("a;b=\"\\", "-"),
            ("ä", "-"),
        ] {
            assert_eq!(shown(list).unwrap_or("-".to_owned()), expected, "{list}");
        }
    }
}
