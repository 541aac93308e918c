//! Masking, RFC 6455 §5.3: byte i of a payload is XORed with byte i mod 4 of the frame's key; unmasking is the same.
//!
//! In scope: masking in place, and while copying. Out of scope: where keys come from (the CSPRNG of whoever sends).
//!
//! **UNSAFE ISLAND.** One `unsafe` call in each of the two functions: into a body compiled for AVX2, behind the detection of AVX2.
//! The bodies themselves are safe code that the compiler vectorises; the same code compiled for the baseline serves every other machine.
//!
//! A payload is done in blocks from the front, and its last bytes as one more block, which may overlap the one before. The overlap is
//! harmless because the last block is computed before anything is written. So there is no loop over single bytes from length 4 on.

/// The first length that is worth asking the processor for AVX2; below it the call costs more than the wider registers save.
#[cfg(target_arch = "x86_64")]
const WIDE_FROM: usize = 128;

/// Masks or unmasks `bytes` in place; `offset` is how many bytes of the payload came before them.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotated(u32::from_le_bytes(key), offset);
    #[cfg(target_arch = "x86_64")]
    if bytes.len() >= WIDE_FROM && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: all that the callee requires is a processor with AVX2, of which the line above has just made sure.
        return unsafe { apply_avx2(bytes, key) };
    }
    match bytes.len() {
        0..4 => apply_bytes(bytes, key),
        4..8 => apply_ends::<4>(bytes, key),
        8..16 => apply_ends::<8>(bytes, key),
        16..32 => apply_ends::<16>(bytes, key),
        32..64 => apply_ends::<32>(bytes, key),
        _ => apply_blocks::<64>(bytes, key),
    }
}

/// [`apply`] for the whole payload of a message that is probably short: without a call, which would cost more than the work.
#[inline(always)]
pub fn apply_short(bytes: &mut [u8], key: [u8; 4]) {
    match bytes.len() {
        8..=16 => apply_ends::<8>(bytes, u32::from_le_bytes(key)),
        17..=32 => apply_ends::<16>(bytes, u32::from_le_bytes(key)),
        _ => apply(bytes, key, 0),
    }
}

/// Writes `source`, masked, to `target`; `offset` is how many bytes of the payload came before them.
///
/// # Panics
///
/// If the lengths differ.
#[inline]
pub fn copy(source: &[u8], target: &mut [u8], key: [u8; 4], offset: usize) {
    assert_eq!(source.len(), target.len(), "masking needs a target as long as its source");
    let key = rotated(u32::from_le_bytes(key), offset);
    #[cfg(target_arch = "x86_64")]
    if source.len() >= WIDE_FROM && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: all that the callee requires is a processor with AVX2, of which the line above has just made sure.
        return unsafe { copy_avx2(source, target, key) };
    }
    match source.len() {
        0..4 => copy_bytes(source, target, key),
        4..8 => copy_ends::<4>(source, target, key),
        8..16 => copy_ends::<8>(source, target, key),
        16..32 => copy_ends::<16>(source, target, key),
        32..64 => copy_ends::<32>(source, target, key),
        _ => copy_blocks::<64>(source, target, key),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn apply_avx2(bytes: &mut [u8], key: u32) {
    apply_blocks::<128>(bytes, key);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn copy_avx2(source: &[u8], target: &mut [u8], key: u32) {
    copy_blocks::<128>(source, target, key);
}

#[inline(always)]
fn apply_bytes(bytes: &mut [u8], key: u32) {
    bytes.iter_mut().zip(key.to_le_bytes()).for_each(|(byte, key)| *byte ^= key);
}

#[inline(always)]
fn copy_bytes(source: &[u8], target: &mut [u8], key: u32) {
    source.iter().zip(target).zip(key.to_le_bytes()).for_each(|((from, to), key)| *to = from ^ key);
}

/// From `BLOCK` to twice `BLOCK` bytes in place: the first block and the last.
#[inline(always)]
fn apply_ends<const BLOCK: usize>(bytes: &mut [u8], key: u32) {
    let last = bytes.last_chunk::<BLOCK>().map(|last| masked(last, rotated(key, bytes.len())));
    if let Some(first) = bytes.first_chunk_mut::<BLOCK>() {
        *first = masked(first, key);
    }
    if let (Some(target), Some(last)) = (bytes.last_chunk_mut::<BLOCK>(), last) {
        *target = last;
    }
}

/// [`apply_ends`] from one place to another; both are of the same length.
#[inline(always)]
fn copy_ends<const BLOCK: usize>(source: &[u8], target: &mut [u8], key: u32) {
    if let (Some(from), Some(to)) = (source.first_chunk::<BLOCK>(), target.first_chunk_mut::<BLOCK>()) {
        *to = masked(from, key);
    }
    if let (Some(from), Some(to)) = (source.last_chunk::<BLOCK>(), target.last_chunk_mut::<BLOCK>()) {
        *to = masked(from, rotated(key, source.len()));
    }
}

/// At least `BLOCK` bytes in place. `BLOCK` is a multiple of 4, so that each block but the last begins with the key's first byte.
#[inline(always)]
fn apply_blocks<const BLOCK: usize>(bytes: &mut [u8], key: u32) {
    let last = bytes.last_chunk::<BLOCK>().map(|last| masked(last, rotated(key, bytes.len())));
    for block in bytes.chunks_exact_mut(BLOCK) {
        if let Some(block) = block.first_chunk_mut::<BLOCK>() {
            *block = masked(block, key);
        }
    }
    if let (Some(target), Some(last)) = (bytes.last_chunk_mut::<BLOCK>(), last) {
        *target = last;
    }
}

/// [`apply_blocks`] from one place to another; both are of the same length.
#[inline(always)]
fn copy_blocks<const BLOCK: usize>(source: &[u8], target: &mut [u8], key: u32) {
    for (from, to) in source.chunks_exact(BLOCK).zip(target.chunks_exact_mut(BLOCK)) {
        if let (Some(from), Some(to)) = (from.first_chunk::<BLOCK>(), to.first_chunk_mut::<BLOCK>()) {
            *to = masked(from, key);
        }
    }
    if let (Some(from), Some(to)) = (source.last_chunk::<BLOCK>(), target.last_chunk_mut::<BLOCK>()) {
        *to = masked(from, rotated(key, source.len()));
    }
}

/// One block, word by word: the form that the compiler turns into one operation for each register.
#[inline(always)]
fn masked<const BLOCK: usize>(block: &[u8; BLOCK], key: u32) -> [u8; BLOCK] {
    let mut result = *block;
    let mut words = result.chunks_exact_mut(8);
    for word in &mut words {
        if let Some(word) = word.first_chunk_mut::<8>() {
            *word = (u64::from_le_bytes(*word) ^ (u64::from(key) << 32 | u64::from(key))).to_le_bytes();
        }
    }
    if let Some(word) = words.into_remainder().first_chunk_mut::<4>() {
        *word = (u32::from_le_bytes(*word) ^ key).to_le_bytes();
    }
    result
}

/// The key as it is `offset` bytes later. Keys are little-endian words here, on every machine: their lowest byte comes first.
#[inline(always)]
fn rotated(key: u32, offset: usize) -> u32 {
    key.rotate_right(8 * (offset % 4) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn sample(length: usize) -> Vec<u8> {
        (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
    }

    fn masked_byte_by_byte(bytes: &[u8], key: [u8; 4], offset: usize) -> Vec<u8> {
        bytes.iter().enumerate().map(|(index, byte)| byte ^ key[(index + offset % 4) % 4]).collect()
    }

    fn check(length: usize, start: usize, offset: usize) {
        let source = sample(start + length);
        let expected = masked_byte_by_byte(&source[start..], KEY, offset);

        let mut copied = vec![0xee; start + length + 1];
        copy(&source[start..], &mut copied[start..start + length], KEY, offset);
        assert_eq!(copied[start..start + length], expected, "copy of {length} bytes at offset {offset}");
        assert!(copied[..start].iter().chain(&copied[start + length..]).all(|&byte| byte == 0xee), "copy wrote outside");

        let mut applied = source.clone();
        applied.push(0xee);
        apply(&mut applied[start..start + length], KEY, offset);
        assert_eq!(applied[start..start + length], expected, "apply to {length} bytes at offset {offset}");
        assert_eq!(applied[..start], source[..start], "apply wrote before its slice");
        assert_eq!(applied[start + length], 0xee, "apply wrote behind its slice");

        if offset == 0 {
            let mut short = source.clone();
            apply_short(&mut short[start..start + length], KEY);
            assert_eq!(short[start..start + length], expected, "apply_short to {length} bytes");
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 6455 §5.7: a single-frame masked text message, "Hello".
        let mut hello = *b"Hello";
        apply(&mut hello, KEY, 0);
        assert_eq!(hello, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn every_length_offset_and_alignment_is_as_byte_by_byte() {
        for length in 0..300 {
            for offset in 0..8 {
                check(length, offset * 3 % 5, offset);
            }
        }
    }

    #[test]
    fn large_payloads_are_as_byte_by_byte() {
        for length in [4095, 4096, 4097, 65_535, 65_536, 65_537, 1_000_003] {
            check(length, 1, 3);
        }
        check(1000, 0, usize::MAX);
    }

    #[test]
    fn masking_in_pieces_is_masking_at_once() {
        let source = sample(700);
        let expected = masked_byte_by_byte(&source, KEY, 0);
        for split in 0..=source.len() {
            let mut pieces = source.clone();
            let (first, second) = pieces.split_at_mut(split);
            apply(first, KEY, 0);
            apply(second, KEY, split);
            assert_eq!(pieces, expected, "split at {split}");
        }
    }

    #[test]
    fn the_bodies_for_other_machines_agree() {
        for length in 64..700 {
            let source = sample(length);
            let expected = masked_byte_by_byte(&source, KEY, 0);
            let (mut applied, mut copied) = (source.clone(), vec![0; length]);
            apply_blocks::<64>(&mut applied, u32::from_le_bytes(KEY));
            copy_blocks::<64>(&source, &mut copied, u32::from_le_bytes(KEY));
            assert_eq!((&applied, &copied), (&expected, &expected));
        }
    }

    #[test]
    #[should_panic(expected = "as long as its source")]
    fn copying_to_a_shorter_target_is_refused() {
        copy(&[0; 5], &mut [0; 4], KEY, 0);
    }
}
