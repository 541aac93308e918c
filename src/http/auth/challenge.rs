//! Takes challenges apart, RFC 9110 §11.6.1: one field may have several, with commas between them and inside them.
//!
//! In scope: schemes, parameters, and quoted strings. What cannot be read is passed over: it is only a challenge that is not answered.

use crate::http::headers::is_token;

/// A scheme and what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// `Basic`, `Digest`, …
    pub scheme: String,
    /// Names in lower case, values without quotes, in their order.
    pub parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Whether it is of this scheme.
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The challenges of one field.
pub fn challenges(value: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    for element in elements(value) {
        let element = element.trim_matches([' ', '\t']);
        if let Some(parameter) = parameter(element) {
            if let Some(last) = challenges.last_mut() {
                last.parameters.push(parameter);
            }
            continue;
        }
        let (scheme, rest) = element.split_once([' ', '\t']).unwrap_or((element, ""));
        if is_token(scheme) {
            // What is no parameter here is a token68, such as Negotiate has.
            let parameters = parameter(rest.trim_matches([' ', '\t'])).into_iter().collect();
            challenges.push(Challenge { scheme: scheme.to_owned(), parameters });
        }
    }
    challenges
}

/// What stands between the commas that are in no quoted string.
fn elements(value: &str) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    value.split(move |character| {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' => return !is_quoted,
            _ => {}
        }
        false
    })
}

/// `name = token` or `name = "quoted string"`.
fn parameter(element: &str) -> Option<(String, String)> {
    let (name, value) = element.split_once('=')?;
    let (name, value) = (name.trim_end_matches([' ', '\t']), value.trim_start_matches([' ', '\t']));
    let value = match value.strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => is_token(value).then(|| value.to_owned())?,
    };
    is_token(name).then(|| (name.to_ascii_lowercase(), value))
}

/// A quoted string behind its first quote, RFC 9110 §5.6.4; it must end where the text does.
fn unquoted(quoted: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.as_str().is_empty().then_some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let one = |challenge: &Challenge| {
            let parameters: Vec<String> = challenge.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{}[{}]", challenge.scheme, parameters.join("|"))
        };
        challenges(value).iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_are_told_from_their_parameters() {
        for (value, expected) in [
            ("Basic realm=\"x\"", "Basic[realm=x]"),
            ("basic", "basic[]"),
            ("Negotiate, Basic realm=\"a, b=c\"", "Negotiate[] Basic[realm=a, b=c]"),
            ("Negotiate abc123==, NTLM", "Negotiate[] NTLM[]"),
            // RFC 9110 §11.6.1.
            (
                "Basic realm=\"simple\", Newauth realm=\"apps\", type=1, title=\"Login to \\\"apps\\\"\"",
                "Basic[realm=simple] Newauth[realm=apps|type=1|title=Login to \"apps\"]",
            ),
            ("Digest Realm = \"x\" ,\tNONCE=abc,, qop=\"auth,auth-int\"", "Digest[realm=x|nonce=abc|qop=auth,auth-int]"),
            ("realm=\"belongs to nobody\", Basic realm=y", "Basic[realm=y]"),
            ("Basic realm=\"unfinished", "Basic[]"),
            ("Basic realm=\"x\"y, Digest nonce=n", "Basic[] Digest[nonce=n]"),
            ("", ""),
            (",,,", ""),
            ("(no token) x=y", ""),
            ("Basic realm=\"\\", "Basic[]"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }
}
