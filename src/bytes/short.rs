//! Copying a few bytes without a call, which would cost more than the copy.

/// Copies `source` to `target`.
///
/// # Panics
///
/// If the lengths differ.
#[inline(always)]
pub fn copy(source: &[u8], target: &mut [u8]) {
    match source.len() {
        8..=16 => copy_ends::<8>(source, target),
        17..=32 => copy_ends::<16>(source, target),
        _ => target.copy_from_slice(source),
    }
}

/// From `BLOCK` to twice `BLOCK` bytes: the first block and the last, which may overlap it.
#[inline(always)]
fn copy_ends<const BLOCK: usize>(source: &[u8], target: &mut [u8]) {
    assert_eq!(source.len(), target.len(), "a copy is as long as its source");
    if let (Some(from), Some(to)) = (source.first_chunk::<BLOCK>(), target.first_chunk_mut::<BLOCK>()) {
        *to = *from;
    }
    if let (Some(from), Some(to)) = (source.last_chunk::<BLOCK>(), target.last_chunk_mut::<BLOCK>()) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_and_nothing_beside_it() {
        let source: Vec<u8> = (1..=100).collect();
        for length in 0..=source.len() {
            let mut target = vec![0xee; length + 2];
            copy(&source[..length], &mut target[1..=length]);
            assert_eq!(target[1..=length], source[..length]);
            assert_eq!((target[0], target[length + 1]), (0xee, 0xee), "{length} bytes");
        }
    }

    #[test]
    #[should_panic(expected = "as long as its source")]
    fn copying_to_a_shorter_target_is_refused() {
        copy(&[0; 9], &mut [0; 8]);
    }
}
