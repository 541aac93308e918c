//! The C API: the only room with `extern "C"`, one file per noun.
//!
//! In scope: C types and numbers, the check of every argument, the panic boundary, and who remembers the last error.
//! Out of scope: everything that is done. Each function checks, finds its object, calls one function below, and translates back.
//!
//! The documentation of the items here is written for the C reader: `scripts/header` makes `include/ws101.h` of it. All names are
//! the C names, letter by letter, so that one search finds an item on both sides.
//!
//! Checks come in one order everywhere, as in WinHTTP: pointers and lengths (87), the handle (6), its kind (12018), its state, the
//! rest. What a build leaves out answers 50 after the first three.
//!
//! No macros around exports: cbindgen cannot see through them, silently.
#![allow(non_camel_case_types)]

pub mod event_loop;
pub mod fan_out;
pub mod library;
pub mod numbers;
pub mod option;
pub mod protocol_component;
pub mod request;
pub mod server;
pub mod session;
pub mod types;
pub mod websocket;

mod boundary;
mod descriptor;
mod events;
mod log_hook;
mod pointer;

#[cfg(test)]
mod tests;
