//! Bytes between two machines: TCP, plain or with TLS. Knows no WebSocket.
//!
//! In scope: connecting, listening, moving bytes, and waiting for them. Out of scope: deadlines and who waits (see `driver`), and
//! what the bytes mean.

pub mod bells;
pub mod dial;
pub mod listen;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
pub mod tls;
pub mod wait;

pub use bells::Bells;
pub use tcp::Stream;
pub use wait::{Interest, Patience, Wake, Woken};
