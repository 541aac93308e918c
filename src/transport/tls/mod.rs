//! TLS: what trusts whom, the handshake in steps that never wait, and the encryption of an open stream. By rustls, unbuffered.
//!
//! In scope: certificates, trust, records, and the reasons of failures in our own numbers. Out of scope: waiting and deadlines (`driver`), and
//! what is inside the records.

mod certificates;
mod config;
mod handshake;
mod reasons;
pub mod records;
pub mod room;
mod secured;
mod trust;

pub use certificates::{check_certificates, check_key, is_pin};
pub use config::{ClientConfig, Configurations, ServerConfig, provider};
pub use handshake::Handshake;
pub use secured::{Secured, Security};

/// Whether this build has TLS: it has.
pub fn check_built() -> crate::error::Result<()> {
    Ok(())
}
