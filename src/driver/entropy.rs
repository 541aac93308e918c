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
    static MASKS: RefCell<Option<Box<Masks>>> = const { RefCell::new(None) };
}

/// Keys drawn ahead, and where they come from.
struct Masks {
    keys: [MaskingKey; 64],
    used: usize,
    /// A child must not repeat its parent's keys.
    process: Process,
    random: StdRng,
}

/// Four unpredictable bytes.
pub fn masking_key() -> MaskingKey {
    MASKS.with_borrow_mut(|masks| match masks {
        Some(masks) if masks.used < masks.keys.len() && masks.process == Process::current() => {
            masks.used += 1;
            masks.keys[masks.used - 1]
        }
        _ => draw(masks),
    })
}

#[cold]
#[inline(never)]
fn draw(masks: &mut Option<Box<Masks>>) -> MaskingKey {
    let process = Process::current();
    let masks = match masks {
        Some(masks) if masks.process == process => masks,
        _ => {
            let random = StdRng::try_from_rng(&mut SysRng).expect("the system had entropy for this connection's handshake");
            masks.insert(Box::new(Masks { keys: [[0; 4]; 64], used: 0, process, random }))
        }
    };
    masks.random.fill_bytes(masks.keys.as_flattened_mut());
    masks.used = 1;
    masks.keys[0]
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
