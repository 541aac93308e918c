//! HTTP/1.1 as far as an upgrade needs it: header lists, and heads as bytes (RFC 9112).
//!
//! In scope: reading and writing heads under hard limits, the body of a refusal, and answering challenges. Out of scope: what the fields mean (that is `protocol/handshake`).

pub mod auth;
pub mod body;
pub mod date;
pub mod head;
pub mod headers;
mod reader;
pub mod shown;

#[cfg(test)]
mod tests;

pub use body::Body;
pub use head::{RequestHead, ResponseHead, reason_phrase, write_request, write_response};
pub use headers::{Headers, InvalidHeader};
pub use reader::{HeadError, HeadReader, Limits};
