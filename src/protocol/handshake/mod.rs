//! The opening handshake, RFC 6455 §4, decided over header lists: no HTTP bytes, so that other carriers of headers fit.
//!
//! In scope: what a client asks for and whether the answer grants it; whether a server takes a request, and its answer.
//! Out of scope: heads as bytes (`http`), what an extension's parameters mean, redirects and credentials.

pub mod client;
pub mod key;
mod origin;
pub mod server;

#[cfg(test)]
mod tests;

pub use client::{Agreement, ClientHandshake, InvalidRequest, InvalidResponse, Offer, Refusal};
pub use key::{Key, accept_value};
pub use server::{Acceptance, ServerPolicy, ServerRefusal, Verdict, judge_request};

/// Whether a header is the handshake's or the connection's own, which a program may not set: on neither side.
pub fn is_reserved_header(name: &str) -> bool {
    const RESERVED: [&str; 10] = [
        "Upgrade",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
        "Trailer",
        "TE",
        "Expect",
        "Keep-Alive",
        "Proxy-Connection",
        "HTTP2-Settings",
    ];
    const PREFIX: &str = "Sec-WebSocket-";
    let has_prefix = name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
    has_prefix || RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// A peer's value in a sentence: escaped, and cut so that the sentence stays one.
fn shown(value: &[u8]) -> String {
    const LONGEST: usize = 64;
    let cut = if value.len() > LONGEST { "..." } else { "" };
    format!("{}{cut}", value[..value.len().min(LONGEST)].escape_ascii())
}
