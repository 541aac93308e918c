//! TLS below the C face: the record layer byte by byte, handshakes over socket pairs, and every reason why one is refused.
#![cfg(feature = "tls")]

mod certificates;
mod key_log;
mod loops;
mod pair;
mod records;
mod refusals;
mod streams;
mod wss;
