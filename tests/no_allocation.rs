//! "No allocation per frame", counted: data frames through the decoder and the encoder, headers, masking and the UTF-8 check.
//!
//! A test binary of its own, because it replaces the allocator. It counts by thread, so that the harness does not disturb it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use ws101::bytes::mask;
use ws101::protocol::{Decoder, Encoder, Item, Limits, MessageKind, Role};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn count() {
    // A thread that ends may free its last things after its cell is gone.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller promises what `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller promises what `System` requires.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller promises what `System` requires, and all memory comes from `System`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller promises what `System` requires, and all memory comes from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations_of(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Fragmented and whole messages of both kinds, in every form of the length, as `sender` puts them on the wire.
fn conversation(sender: Role, encoder: &mut Encoder, wire: &mut Vec<u8>) {
    let text = "Grüße, κόσμε! ".as_bytes();
    for (kind, ends_message, times) in [
        (MessageKind::Text, false, 1),
        (MessageKind::Text, false, 20),
        (MessageKind::Text, true, 0),
        (MessageKind::Binary, true, 5000),
        (MessageKind::Binary, true, 3),
        (MessageKind::Text, true, 300),
    ] {
        let key = (sender == Role::Client).then_some([1, 2, 3, 4]);
        let header = encoder.data(kind, ends_message, (text.len() * times) as u64, key).expect("the frames are in order");
        wire.extend_from_slice(header.as_slice());
        let start = wire.len();
        for _ in 0..times {
            if kind == MessageKind::Text {
                encoder.check_text(text, false).expect("the text is right");
            }
            wire.extend_from_slice(text);
        }
        if kind == MessageKind::Text && ends_message {
            encoder.check_text(b"", true).expect("the text is right");
        }
        mask::apply(&mut wire[start..], key.unwrap_or_default(), 0);
    }
}

/// Through both doors, in reads of `read` bytes.
fn decode(decoder: &mut Decoder, wire: &[u8], read: usize, room: &mut [u8]) -> usize {
    let mut messages = 0;
    for (index, mut rest) in wire.chunks(read).enumerate() {
        loop {
            let direct = decoder.direct_room().min(rest.len() as u64).min(room.len() as u64) as usize;
            let piece = if index % 2 == 1 && direct > 0 {
                room[..direct].copy_from_slice(&rest[..direct]);
                rest = &rest[direct..];
                decoder.accept_direct(&mut room[..direct]).expect("the frames are right")
            } else {
                let (used, item) = decoder.feed(rest, room).expect("the frames are right");
                rest = &rest[used..];
                match item {
                    Item::Piece(piece) => piece,
                    _ => break,
                }
            };
            messages += usize::from(piece.ends_message);
        }
    }
    messages
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_of(|| drop(black_box(Box::new(1)))), 1);
    assert!(allocations_of(|| drop(black_box(vec![0u8; 100]))) >= 1);
}

#[test]
fn encoding_data_frames_allocates_nothing() {
    for sender in [Role::Client, Role::Server] {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::with_capacity(1 << 20));
        assert_eq!(allocations_of(|| conversation(sender, &mut encoder, &mut wire)), 0);
        assert!(wire.len() > 90_000);
    }
}

#[test]
fn decoding_data_frames_allocates_nothing() {
    for sender in [Role::Client, Role::Server] {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
        conversation(sender, &mut encoder, &mut wire);
        let mut room = [0; 4096];
        for read in [1, 7, 1000, 65_536, wire.len()] {
            let count = allocations_of(|| {
                let mut decoder = Decoder::new(sender, Limits::default());
                for _ in 0..3 {
                    assert_eq!(decode(&mut decoder, &wire, read, &mut room), 4);
                }
            });
            assert_eq!(count, 0, "reads of {read} from {sender:?}");
        }
    }
}

#[test]
fn a_control_payload_is_allocated_once_for_a_connection() {
    let wire = b"\x89\x05hello\x8A\x00\x89\x03abc\x8A\x04pong";
    let mut decoder = Decoder::new(Role::Server, Limits::default());
    let mut hear_all = || {
        let mut rest = &wire[..];
        while !rest.is_empty() {
            rest = &rest[decoder.feed(rest, &mut [0; 1]).expect("the frames are right").0..];
        }
    };
    assert_eq!(allocations_of(&mut hear_all), 1);
    assert_eq!(allocations_of(&mut hear_all), 0);
}
