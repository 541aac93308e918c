//! `WS_OPTION_COMPRESSION`: a struct of numbers, and what the options make of it.
//!
//! Out of scope: what is agreed on with a peer (`protocol::deflate`).

use super::super::types::ws_compression;
use crate::connection::Connection;
use crate::error::{Error, Result, Status};
use crate::options::{Compression, Takeover};

/// The first version: eight numbers.
pub(super) const SMALLEST: usize = size_of::<ws_compression>();

/// The smallest window of RFC 7692 §7.1.2, and the largest.
const WINDOW_BITS: (u32, u32) = (8, 15);

/// Reads a program's struct; 87 with the field that is wrong. What a newer program says beyond it must be nothing.
pub(super) fn read(value: &[u8]) -> Result<Compression> {
    let refused = |sentence: String| Error::new(Status::InvalidParameter, format!("WS_OPTION_COMPRESSION {sentence}"));
    let (known, beyond) =
        value.split_at_checked(SMALLEST).ok_or_else(|| refused(format!("has {} bytes, at least {SMALLEST} are needed", value.len())))?;
    let mut numbers = known.chunks_exact(4).map(|bytes| u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    let mut next = |name: &str, is_possible: fn(u32) -> bool| {
        let number = numbers.next().unwrap_or_default();
        if is_possible(number) { Ok(number) } else { Err(refused(format!("cannot have {name} {number}"))) }
    };
    let size = next("size", |size| size as usize >= SMALLEST)?;
    let compression = Compression {
        enabled: next("enabled", |switch| switch <= 1)? == 1,
        client_takeover: takeover(next("client_no_context_takeover", |choice| choice <= 2)?),
        server_takeover: takeover(next("server_no_context_takeover", |choice| choice <= 2)?),
        client_max_window_bits: or_default(next("client_max_window_bits", is_window)?, 15),
        server_max_window_bits: or_default(next("server_max_window_bits", is_window)?, 15),
        level: or_default(next("level", |level| level <= 9)?, Compression::DEFAULT_LEVEL),
        threshold: Some(next("threshold", |_| true)?).filter(|&threshold| threshold > 0),
    };
    if size as usize != value.len() {
        return Err(refused(format!("has size {size}, but {} bytes came", value.len())));
    }
    if beyond.iter().any(|&byte| byte != 0) {
        return Err(refused("says more than this version knows".to_owned()));
    }
    Ok(compression)
}

fn is_window(bits: u32) -> bool {
    bits == 0 || (WINDOW_BITS.0..=WINDOW_BITS.1).contains(&bits)
}

/// A number that fits, 0 for the default.
fn or_default(number: u32, default: u8) -> u8 {
    u8::try_from(number).ok().filter(|&number| number > 0).unwrap_or(default)
}

fn takeover(choice: u32) -> Takeover {
    match choice {
        0 => Takeover::Default,
        1 => Takeover::Off,
        _ => Takeover::On,
    }
}

/// What was set, or is the default.
pub(super) fn show(compression: &Compression) -> ws_compression {
    let choice = |takeover| match takeover {
        Takeover::Default => 0,
        Takeover::Off => 1,
        Takeover::On => 2,
    };
    ws_compression {
        size: 0,
        enabled: compression.enabled.into(),
        client_no_context_takeover: choice(compression.client_takeover),
        server_no_context_takeover: choice(compression.server_takeover),
        client_max_window_bits: compression.client_max_window_bits.into(),
        server_max_window_bits: compression.server_max_window_bits.into(),
        level: compression.level.into(),
        threshold: compression.threshold.unwrap_or(0),
    }
}

/// What was agreed on for a connection; all 0 if nothing was.
pub(super) fn show_agreed(connection: &Connection) -> ws_compression {
    const NONE: ws_compression = ws_compression {
        size: 0,
        enabled: 0,
        client_no_context_takeover: 0,
        server_no_context_takeover: 0,
        client_max_window_bits: 0,
        server_max_window_bits: 0,
        level: 0,
        threshold: 0,
    };
    let Some((agreed, _)) = &connection.agreed().compression else { return NONE };
    let choice = |forgets| if forgets { 1 } else { 2 };
    ws_compression {
        enabled: 1,
        client_no_context_takeover: choice(agreed.parameters.client_no_context_takeover),
        server_no_context_takeover: choice(agreed.parameters.server_no_context_takeover),
        client_max_window_bits: agreed.parameters.client_max_window_bits.into(),
        server_max_window_bits: agreed.parameters.server_max_window_bits.into(),
        level: agreed.level.into(),
        threshold: agreed.threshold,
        ..NONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_ne_bytes()).collect()
    }

    #[test]
    fn every_field_has_its_range_and_0_is_the_default() {
        assert_eq!(read(&bytes(&[32, 0, 0, 0, 0, 0, 0, 0])).unwrap(), Compression::default());
        let all = read(&bytes(&[32, 1, 1, 2, 8, 9, 1, 77])).unwrap();
        let expected = Compression {
            enabled: true,
            client_takeover: Takeover::Off,
            server_takeover: Takeover::On,
            client_max_window_bits: 8,
            server_max_window_bits: 9,
            level: 1,
            threshold: Some(77),
        };
        assert_eq!(all, expected);
        for (field, most) in [(1, 1), (2, 2), (3, 2), (4, 15), (5, 15), (6, 9)] {
            let mut numbers = [32, 1, 0, 0, 0, 0, 0, 0];
            numbers[field] = most;
            assert!(read(&bytes(&numbers)).is_ok(), "{numbers:?}");
            numbers[field] = most + 1;
            assert!(read(&bytes(&numbers)).is_err(), "{numbers:?}");
            numbers[field] = u32::MAX;
            assert!(read(&bytes(&numbers)).is_err(), "{numbers:?}");
        }
        for bits in 1..8 {
            assert!(read(&bytes(&[32, 1, 0, 0, bits, 0, 0, 0])).is_err() && read(&bytes(&[32, 1, 0, 0, 0, bits, 0, 0])).is_err());
        }
    }

    #[test]
    fn a_newer_program_may_say_nothing_more() {
        assert!(read(&bytes(&[36, 1, 0, 0, 0, 0, 0, 0, 0])).is_ok());
        assert!(read(&bytes(&[36, 1, 0, 0, 0, 0, 0, 0, 1])).is_err());
        for wrong in
            [&[][..], &[32], &[28, 1, 0, 0, 0, 0, 0], &[36, 1, 0, 0, 0, 0, 0, 0], &[32, 1, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 0, 0, 0, 0, 0, 0]]
        {
            assert_eq!(read(&bytes(wrong)).unwrap_err().status(), Status::InvalidParameter, "{wrong:?}");
        }
    }

    #[test]
    fn what_was_set_is_told() {
        for numbers in [[0, 1, 1, 2, 8, 9, 1, 77], [0, 0, 0, 0, 15, 15, 6, 0]] {
            let shown = show(&read(&bytes(&[&[32], &numbers[1..]].concat())).unwrap());
            let shown = [
                shown.size,
                shown.enabled,
                shown.client_no_context_takeover,
                shown.server_no_context_takeover,
                shown.client_max_window_bits,
                shown.server_max_window_bits,
                shown.level,
                shown.threshold,
            ];
            assert_eq!(shown, numbers);
        }
    }
}
