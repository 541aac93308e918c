//! Who waits: the only floor with a clock, randomness and threads.
//!
//! In scope: waiting on behalf of `connection`'s steps, with deadlines, cancellation and keep-alive. Out of scope: what the steps do.

pub mod blocking;
pub mod caretaker;
pub mod clock;
pub mod entropy;
pub mod event_loop;

/// What this floor gives to the connections it drives.
pub static SOURCES: crate::connection::Sources = crate::connection::Sources { masking_key: entropy::masking_key, now: clock::now };

/// And to the openings of clients.
pub static OPENING_SOURCES: crate::connection::opening::OpeningSources =
    crate::connection::opening::OpeningSources { nonce: entropy::nonce };
