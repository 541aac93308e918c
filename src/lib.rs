//! ws101: WebSocket for every native program.
//!
//! A handle-based C ABI in the manner of WinHTTP's WebSocket API, client and server. The house, from the street to the cellar:
//!
//! ```text
//! ffi ─► handle ─► session · client · server · component ─► driver ─► connection ─► protocol   pure: no socket, clock, randomness, thread, unsafe
//!                                                              └──────► transport  bytes: TCP; knows no WebSocket
//! ground floor, used by all: bytes (mask, utf8) · http (head) · error · options · process · sync
//! ```
//!
//! Imports go down only; `tests/floors.rs` enforces it. C programs see `include/ws101.h`, which is generated from [`ffi`].
//! Rust programs may use [`protocol`] by itself: it decides everything and waits for nothing.

pub mod bytes;
pub mod client;
pub mod component;
pub mod connection;
pub mod driver;
pub mod error;
pub mod ffi;
pub mod handle;
pub mod http;
pub mod options;
pub mod process;
pub mod protocol;
pub mod server;
pub mod session;
pub mod sync;
pub mod transport;
