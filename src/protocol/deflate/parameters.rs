//! What both sides agree on (RFC 7692 §7.1), decided over values of `Sec-WebSocket-Extensions`.
//!
//! In scope: the client's offer, the server's answer to offers, the client's verdict on the answer. Out of scope: other extensions, of which
//! there are none; an offer that cannot be taken is passed over, and the connection goes on without compression.

use std::fmt::Write;
use std::ops::RangeInclusive;

use thiserror::Error;

use super::NAME;
use super::syntax::{self, Extension};
use crate::options::{Compression, Takeover};
use crate::protocol::Role;

/// RFC 7692 §7.1.2: what a window may be on the wire. 8 is understood in both roles, though no coder has a window of its own for it.
const WINDOW_BITS: RangeInclusive<u8> = 8..=15;
const LARGEST: u8 = *WINDOW_BITS.end();

/// What was agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameters {
    /// The client's compressor forgets after each message.
    pub client_no_context_takeover: bool,
    /// The server's does.
    pub server_no_context_takeover: bool,
    /// The largest window of the client's compressor, as a power of two.
    pub client_max_window_bits: u8,
    /// Of the server's.
    pub server_max_window_bits: u8,
}

impl Parameters {
    /// Whether the compressor of this side remembers earlier messages.
    pub fn takes_over(self, sender: Role) -> bool {
        match sender {
            Role::Client => !self.client_no_context_takeover,
            Role::Server => !self.server_no_context_takeover,
        }
    }

    /// The largest window of the compressor of this side.
    pub fn max_window_bits(self, sender: Role) -> u8 {
        match sender {
            Role::Client => self.client_max_window_bits,
            Role::Server => self.server_max_window_bits,
        }
    }
}

/// What one side wants; the same values as what can be agreed on.
pub type Preferences = Parameters;

impl Preferences {
    /// What the options of this side come to; `None` if it wants no compression. What they leave open is a server's to save memory on: it keeps no
    /// window between messages, of either direction.
    pub fn of(options: &Compression, role: Role) -> Option<Preferences> {
        let forgets = |takeover| match takeover {
            Takeover::Default => role == Role::Server,
            Takeover::Off => true,
            Takeover::On => false,
        };
        options.enabled.then(|| Preferences {
            client_no_context_takeover: forgets(options.client_takeover),
            server_no_context_takeover: forgets(options.server_takeover),
            client_max_window_bits: options.client_max_window_bits,
            server_max_window_bits: options.server_max_window_bits,
        })
    }
}

/// A client's offer. It always says that its own window may be made smaller.
pub fn offer(preferences: Preferences) -> String {
    let mut offer = shown(Parameters { client_max_window_bits: LARGEST, ..preferences });
    match preferences.client_max_window_bits {
        LARGEST => offer += "; client_max_window_bits",
        bits => push_bits(&mut offer, "client_max_window_bits", bits),
    }
    offer
}

/// A server's choice: the first offer that can be taken, and the answer to it. Values come in the order of their headers.
pub fn accept<'a>(offers: impl Iterator<Item = &'a str>, preferences: Preferences) -> Option<(Parameters, String)> {
    // A list that is none spoils only its own header.
    let offers = offers.filter_map(syntax::parse).flatten();
    let agreed = offers.filter(|offer| offer.name == NAME).find_map(|offer| take(&offer, preferences))?;
    Some((agreed, shown(agreed)))
}

fn take(offer: &Extension<'_>, preferences: Preferences) -> Option<Parameters> {
    let asked = Asked::read(offer, true).ok()?;
    Some(Parameters {
        client_no_context_takeover: asked.client_no_context_takeover || preferences.client_no_context_takeover,
        server_no_context_takeover: asked.server_no_context_takeover || preferences.server_no_context_takeover,
        // RFC 7692 §7.1.2.2: only a client that spoke of its window may be told to make it smaller.
        client_max_window_bits: match asked.client_max_window_bits {
            Window::Unsaid => LARGEST,
            Window::Any => preferences.client_max_window_bits,
            Window::Bits(bits) => bits.min(preferences.client_max_window_bits),
        },
        server_max_window_bits: asked.server_max_window_bits.bits().min(preferences.server_max_window_bits),
    })
}

/// Why a server's answer is none to the offer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum InvalidAnswer {
    /// Not the syntax of RFC 6455 §9.1.
    #[error("it is no list of extensions")]
    Syntax,
    /// RFC 7692 §5.1.
    #[error("permessage-deflate is there more than once")]
    Twice,
    /// RFC 7692 §7.1.
    #[error("a parameter is unknown")]
    UnknownParameter,
    /// RFC 7692 §7.1.
    #[error("a parameter is there more than once")]
    RepeatedParameter,
    /// RFC 7692 §7.1.
    #[error("a parameter has a value that it cannot have")]
    Value,
    /// RFC 7692 §7.1.1.1.
    #[error("server_no_context_takeover was asked for and is missing")]
    ServerTakesOver,
    /// RFC 7692 §7.1.2.1.
    #[error("server_max_window_bits is larger than was asked for")]
    ServerWindow,
    /// RFC 7692 §7.1.2.2.
    #[error("client_max_window_bits was not offered, or is larger than was offered")]
    ClientWindow,
}

/// A client's verdict on the answer to its own offer; `None` if the answer does not speak of this extension.
pub fn judge(offer: &str, answer: &str) -> Result<Option<Parameters>, InvalidAnswer> {
    let elements = syntax::parse(answer).ok_or(InvalidAnswer::Syntax)?;
    let mut answers = elements.iter().filter(|element| element.name == NAME);
    let Some(answer) = answers.next() else { return Ok(None) };
    if answers.next().is_some() {
        return Err(InvalidAnswer::Twice);
    }
    let own = syntax::parse(offer).unwrap_or_default();
    let own = own.iter().find(|element| element.name == NAME).ok_or(InvalidAnswer::UnknownParameter)?;
    let (asked, answered) = (Asked::read(own, true)?, Asked::read(answer, false)?);
    if asked.server_no_context_takeover && !answered.server_no_context_takeover {
        return Err(InvalidAnswer::ServerTakesOver);
    }
    if answered.server_max_window_bits.bits() > asked.server_max_window_bits.bits() {
        return Err(InvalidAnswer::ServerWindow);
    }
    let is_window_ours = match (asked.client_max_window_bits, answered.client_max_window_bits) {
        (_, Window::Unsaid) => true,
        (Window::Unsaid, _) => false,
        (offered, answered) => answered.bits() <= offered.bits(),
    };
    if !is_window_ours {
        return Err(InvalidAnswer::ClientWindow);
    }
    Ok(Some(Parameters {
        // What the client has announced about itself holds, whatever the server makes of it.
        client_no_context_takeover: asked.client_no_context_takeover || answered.client_no_context_takeover,
        server_no_context_takeover: answered.server_no_context_takeover,
        client_max_window_bits: asked.client_max_window_bits.bits().min(answered.client_max_window_bits.bits()),
        server_max_window_bits: answered.server_max_window_bits.bits(),
    }))
}

/// The parameters of one element as they are written.
#[derive(Clone, Copy, Default)]
struct Asked {
    client_no_context_takeover: bool,
    server_no_context_takeover: bool,
    client_max_window_bits: Window,
    server_max_window_bits: Window,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Window {
    #[default]
    Unsaid,
    /// Only in an offer, of the client's own: "as you like".
    Any,
    Bits(u8),
}

impl Window {
    fn bits(self) -> u8 {
        if let Window::Bits(bits) = self { bits } else { LARGEST }
    }
}

impl Asked {
    fn read(element: &Extension<'_>, is_offer: bool) -> Result<Asked, InvalidAnswer> {
        let mut asked = Asked::default();
        for (place, (name, value)) in element.parameters.iter().enumerate() {
            if element.parameters[..place].iter().any(|(known, _)| known == name) {
                return Err(InvalidAnswer::RepeatedParameter);
            }
            match (*name, value.as_deref()) {
                ("client_no_context_takeover", None) => asked.client_no_context_takeover = true,
                ("server_no_context_takeover", None) => asked.server_no_context_takeover = true,
                ("client_max_window_bits", None) if is_offer => asked.client_max_window_bits = Window::Any,
                ("client_max_window_bits", Some(bits)) => asked.client_max_window_bits = window(bits)?,
                ("server_max_window_bits", Some(bits)) => asked.server_max_window_bits = window(bits)?,
                ("client_no_context_takeover" | "server_no_context_takeover" | "client_max_window_bits" | "server_max_window_bits", _) => {
                    return Err(InvalidAnswer::Value);
                }
                _ => return Err(InvalidAnswer::UnknownParameter),
            }
        }
        Ok(asked)
    }
}

/// RFC 7692 §7.1.2.1: a decimal number without leading zeros.
fn window(bits: &str) -> Result<Window, InvalidAnswer> {
    let found = WINDOW_BITS.into_iter().find(|known| known.to_string() == bits);
    found.map(Window::Bits).ok_or(InvalidAnswer::Value)
}

fn shown(parameters: Parameters) -> String {
    let mut text = NAME.to_owned();
    for (name, is_there) in [
        ("server_no_context_takeover", parameters.server_no_context_takeover),
        ("client_no_context_takeover", parameters.client_no_context_takeover),
    ] {
        if is_there {
            text += "; ";
            text += name;
        }
    }
    for (name, bits) in
        [("server_max_window_bits", parameters.server_max_window_bits), ("client_max_window_bits", parameters.client_max_window_bits)]
    {
        if bits < LARGEST {
            push_bits(&mut text, name, bits);
        }
    }
    text
}

fn push_bits(text: &mut String, name: &str, bits: u8) {
    let _ = write!(text, "; {name}={bits}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Parameters = Parameters {
        client_no_context_takeover: false,
        server_no_context_takeover: false,
        client_max_window_bits: 15,
        server_max_window_bits: 15,
    };

    fn accepted(offers: &[&str], preferences: Preferences) -> Option<String> {
        accept(offers.iter().copied(), preferences).map(|(_, answer)| answer)
    }

    #[test]
    fn an_offer_says_what_is_wanted() {
        assert_eq!(offer(ALL), "permessage-deflate; client_max_window_bits");
        let all = Parameters {
            client_no_context_takeover: true,
            server_no_context_takeover: true,
            client_max_window_bits: 8,
            server_max_window_bits: 10,
        };
        let expected = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=8";
        assert_eq!(offer(all), expected);
    }

    #[test]
    fn a_server_takes_the_first_offer_it_can() {
        for (offers, answer) in [
            (&["permessage-deflate"][..], Some("permessage-deflate")),
            (&["permessage-deflate; client_max_window_bits"], Some("permessage-deflate")),
            (&["permessage-deflate; client_max_window_bits=9"], Some("permessage-deflate; client_max_window_bits=9")),
            (&["permessage-deflate; server_max_window_bits=8"], Some("permessage-deflate; server_max_window_bits=8")),
            (&["permessage-deflate; server_max_window_bits=\"12\""], Some("permessage-deflate; server_max_window_bits=12")),
            (&["permessage-deflate; client_no_context_takeover"], Some("permessage-deflate; client_no_context_takeover")),
            (&["permessage-deflate; server_no_context_takeover"], Some("permessage-deflate; server_no_context_takeover")),
            (&["x-webkit-deflate-frame, permessage-deflate"], Some("permessage-deflate")),
            (
                &["permessage-deflate; x, permessage-deflate; server_max_window_bits=9"],
                Some("permessage-deflate; server_max_window_bits=9"),
            ),
            (
                &["permessage-deflate;;", "permessage-deflate; server_max_window_bits=9"],
                Some("permessage-deflate; server_max_window_bits=9"),
            ),
            (
                &["permessage-deflate; server_max_window_bits=10", "permessage-deflate"],
                Some("permessage-deflate; server_max_window_bits=10"),
            ),
            (&[], None),
            (&["PERMESSAGE-DEFLATE"], None),
            (&["permessage-bzip2"], None),
            (&["permessage-deflate; server_max_window_bits"], None),
            (&["permessage-deflate; server_max_window_bits=7"], None),
            (&["permessage-deflate; server_max_window_bits=16"], None),
            (&["permessage-deflate; server_max_window_bits=010"], None),
            (&["permessage-deflate; server_max_window_bits=+9"], None),
            (&["permessage-deflate; client_max_window_bits=7"], None),
            (&["permessage-deflate; client_no_context_takeover=1"], None),
            (&["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], None),
            (&["permessage-deflate; client_max_window_bits; client_max_window_bits=9"], None),
            (&["permessage-deflate; unknown=1"], None),
        ] {
            assert_eq!(accepted(offers, ALL).as_deref(), answer, "{offers:?}");
        }
    }

    #[test]
    fn a_server_adds_what_it_wants_itself() {
        let wants = Parameters {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            client_max_window_bits: 11,
            server_max_window_bits: 12,
        };
        for (offer, answer) in [
            // A client that does not speak of its window cannot be told to make it smaller.
            ("", "; server_max_window_bits=12"),
            ("; client_max_window_bits", "; server_max_window_bits=12; client_max_window_bits=11"),
            ("; client_max_window_bits=10; server_max_window_bits=15", "; server_max_window_bits=12; client_max_window_bits=10"),
            ("; client_max_window_bits=15; server_max_window_bits=9", "; server_max_window_bits=9; client_max_window_bits=11"),
        ] {
            let expected = format!("permessage-deflate; server_no_context_takeover; client_no_context_takeover{answer}");
            assert_eq!(accepted(&[&format!("permessage-deflate{offer}")], wants), Some(expected), "{offer}");
        }
    }

    #[test]
    fn a_client_judges_the_answer_by_its_offer() {
        let (plain, any) = ("permessage-deflate", "permessage-deflate; client_max_window_bits");
        let strict = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9";
        let agreed = |change: fn(&mut Parameters)| {
            let mut parameters = ALL;
            change(&mut parameters);
            Ok(Some(parameters))
        };
        for (offer, answer, expected) in [
            (any, "", Ok(None)),
            (any, "permessage-deflate", agreed(|_| {})),
            (any, "permessage-deflate; client_max_window_bits=8", agreed(|agreed| agreed.client_max_window_bits = 8)),
            (any, "permessage-deflate; server_max_window_bits=\"8\"", agreed(|agreed| agreed.server_max_window_bits = 8)),
            (any, "permessage-deflate; server_no_context_takeover", agreed(|agreed| agreed.server_no_context_takeover = true)),
            (any, "permessage-deflate; client_no_context_takeover", agreed(|agreed| agreed.client_no_context_takeover = true)),
            (any, "permessage-deflate; client_max_window_bits", Err(InvalidAnswer::Value)),
            (plain, "permessage-deflate; client_max_window_bits=15", Err(InvalidAnswer::ClientWindow)),
            (any, "permessage-deflate;", Err(InvalidAnswer::Syntax)),
            (any, "permessage-deflate, permessage-deflate", Err(InvalidAnswer::Twice)),
            (any, "permessage-deflate; x", Err(InvalidAnswer::UnknownParameter)),
            (any, "permessage-deflate; server_max_window_bits=9; server_max_window_bits=9", Err(InvalidAnswer::RepeatedParameter)),
            (any, "permessage-deflate; server_max_window_bits", Err(InvalidAnswer::Value)),
            (any, "permessage-deflate; server_max_window_bits=99", Err(InvalidAnswer::Value)),
            (strict, "permessage-deflate; server_max_window_bits=10", Err(InvalidAnswer::ServerTakesOver)),
            (strict, "permessage-deflate; server_no_context_takeover", Err(InvalidAnswer::ServerWindow)),
            (strict, "permessage-deflate; server_no_context_takeover; server_max_window_bits=11", Err(InvalidAnswer::ServerWindow)),
            (
                strict,
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10",
                Err(InvalidAnswer::ClientWindow),
            ),
            (
                strict,
                "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
                agreed(|agreed| {
                    (agreed.server_no_context_takeover, agreed.server_max_window_bits, agreed.client_max_window_bits) = (true, 9, 9);
                }),
            ),
        ] {
            assert_eq!(judge(offer, answer), expected, "{offer} answered by {answer}");
        }
    }

    #[test]
    fn both_sides_come_to_the_same_whatever_they_want() {
        let bits = [8, 9, 12, 15];
        let mut wishes = Vec::new();
        for choice in 0..64usize {
            wishes.push(Parameters {
                client_no_context_takeover: choice & 1 == 1,
                server_no_context_takeover: choice & 2 == 2,
                client_max_window_bits: bits[choice >> 2 & 3],
                server_max_window_bits: bits[choice >> 4],
            });
        }
        for client in &wishes {
            for server in &wishes {
                let offer = offer(*client);
                let (at_server, answer) = accept([offer.as_str()].into_iter(), *server).expect("the offer is valid");
                assert_eq!(judge(&offer, &answer), Ok(Some(at_server)), "{offer} answered by {answer}");
            }
        }
    }

    #[test]
    fn a_server_saves_memory_unless_told_otherwise() {
        let options = Compression { enabled: true, ..Compression::default() };
        let forgets =
            |role| Preferences::of(&options, role).map(|wants| (wants.client_no_context_takeover, wants.server_no_context_takeover));
        assert_eq!(forgets(Role::Server), Some((true, true)));
        assert_eq!(forgets(Role::Client), Some((false, false)));
        assert_eq!(Preferences::of(&Compression::default(), Role::Client), None);
    }
}
