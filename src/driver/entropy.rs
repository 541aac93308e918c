//! Randomness: masking keys that nobody can predict (RFC 6455 §5.3), and the nonce of the handshake (§4.1).

use std::cell::RefCell;

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

use crate::error::{Error, Result, Status};
use crate::process::Process;
use crate::protocol::MaskingKey;

thread_local! {
    /// One CSPRNG a thread, seeded by the operating system when the thread first sends as a client. A system call a frame would cost
    /// more than the rest of a small send.
    static MASKS: RefCell<Option<Box<(Process, StdRng)>>> = const { RefCell::new(None) };
}

/// Four unpredictable bytes.
pub fn masking_key() -> MaskingKey {
    MASKS.with_borrow_mut(|masks| {
        let process = Process::current();
        match masks {
            Some(masks) if masks.0 == process => masks.1.next_u32().to_ne_bytes(),
            // The first key of this thread, or of a child that must not repeat its parent's.
            _ => masks.insert(Box::new((process, seeded()))).1.next_u32().to_ne_bytes(),
        }
    })
}

#[cold]
fn seeded() -> StdRng {
    StdRng::try_from_rng(&mut SysRng).expect("the system had entropy for this connection's handshake")
}

/// Sixteen unpredictable bytes, straight from the operating system; 12004 if it has none.
pub fn nonce() -> Result<[u8; 16]> {
    let mut nonce = [0; 16];
    SysRng
        .try_fill_bytes(&mut nonce)
        .map_err(|error| Error::new(Status::Internal, format!("the operating system has no randomness: {error}")))?;
    Ok(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_nonces_differ() {
        assert_ne!([masking_key(), masking_key()], [masking_key(), masking_key()]);
        assert_ne!(nonce().unwrap(), nonce().unwrap());
    }
}
