//! What a state that inflates or deflates takes, counted: the numbers that the documentation tells and the pool reckons with.
//!
//! A test binary of its own, because it replaces the allocator. It counts by thread, so that the harness does not disturb it.
#![cfg(feature = "deflate")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ws101::protocol::deflate::coder::{DEFLATER_BYTES, Deflater, INFLATER_BYTES, Inflater};

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

fn held(change: impl FnOnce(usize) -> usize) {
    // A thread that ends may free its last things after its cell is gone.
    let _ = HELD.try_with(|held| held.set(change(held.get())));
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        held(|bytes| bytes.wrapping_add(layout.size()));
        // SAFETY: the caller promises what `System` requires.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        held(|bytes| bytes.wrapping_sub(layout.size()));
        // SAFETY: the caller promises what `System` requires, and all memory comes from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes that a value holds after some use, and the value.
fn bytes_of<T>(make: impl FnOnce() -> T) -> (usize, T) {
    let before = HELD.get();
    let value = make();
    (HELD.get().wrapping_sub(before), value)
}

static MESSAGE: [u8; 100_000] = [b'm'; 100_000];

#[test]
fn a_state_takes_what_is_said_of_it() {
    let mut room = Vec::with_capacity(200_000);
    let mut most = 0;
    for window_bits in 8..=15 {
        for level in [1, 2, 3, 6, 9] {
            let (bytes, _state) = bytes_of(|| {
                let mut state = Deflater::new(window_bits, level).unwrap();
                room.clear();
                state.run(&MESSAGE, true, &mut room).unwrap();
                state
            });
            assert!(bytes <= DEFLATER_BYTES, "a window of 2^{window_bits} at level {level}: {bytes} bytes");
            most = most.max(bytes);
        }
    }
    assert!(most > DEFLATER_BYTES * 9 / 10, "said to be {DEFLATER_BYTES} bytes, it is {most}");

    let mut made = vec![0; MESSAGE.len()];
    let (bytes, _state) = bytes_of(|| {
        let mut state = Inflater::new().unwrap();
        assert_eq!(state.run(&room, &mut made).unwrap().made, MESSAGE.len());
        state
    });
    assert!((INFLATER_BYTES * 9 / 10..=INFLATER_BYTES).contains(&bytes), "said to be {INFLATER_BYTES} bytes, it is {bytes}");
}

#[test]
fn a_state_gives_all_of_it_back() {
    assert_eq!(bytes_of(|| drop((Deflater::new(15, 6).unwrap(), Inflater::new().unwrap()))).0, 0);
}
