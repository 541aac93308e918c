//! DEFLATE (RFC 1951) as two states: flate2 over zlib-rs, with its traps closed.
//!
//! In scope: states that are made without a panic, and runs of bytes through them. Out of scope: messages.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::NoMemory;

/// What a state for inflating takes, whatever its window (measured: `tests/deflate_memory.rs`).
pub const INFLATER_BYTES: usize = 48 << 10;

/// What a state for deflating takes with the largest window.
pub const DEFLATER_BYTES: usize = 384 << 10;

/// The smallest window that the coder has. A smaller one on the wire is kept to all the same: with a window of 512 bytes no distance is larger than
/// 512 - 262 = 250, because a match is looked for only where the longest possible one still lies in the window
/// (`no_distance_leaves_the_window_that_was_agreed_on`).
const LEAST_WINDOW_BITS: u8 = 9;
const MOST_WINDOW_BITS: u8 = 15;

/// The least room in which a flush is begun: more than its marker takes.
const LEAST_ROOM: usize = 64;

/// How far a run has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// Bytes of input that were used.
    pub used: usize,
    /// Bytes that were made.
    pub made: usize,
    /// The last byte that was used ended a block that says it is the last.
    pub is_final: bool,
}

/// Bytes that are not DEFLATE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invalid;

/// A state that inflates. Its window is always the largest, so it understands every sender.
#[derive(Debug)]
pub struct Inflater {
    state: Decompress,
    /// A last block has ended: the next byte begins anew.
    is_at_end: bool,
}

impl Inflater {
    /// Makes a state.
    pub fn new() -> Result<Inflater, NoMemory> {
        check_memory(INFLATER_BYTES)?;
        Ok(Inflater { state: Decompress::new(false), is_at_end: false })
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.state.reset(false);
        self.is_at_end = false;
    }

    /// Inflates until the input is used up or the room is full. What does not fit stays inside, and comes with the next run.
    ///
    /// RFC 7692 §7.2.3.4: a block may say that it is the last one, and more may follow. Its sender has begun with an empty window then, as every
    /// compressor known does: what came before cannot be referred to.
    pub fn run(&mut self, input: &[u8], room: &mut [u8]) -> Result<Run, Invalid> {
        let mut run = Run { is_final: self.is_at_end, ..Run::default() };
        loop {
            if self.is_at_end {
                if run.used == input.len() {
                    return Ok(run);
                }
                self.reset();
            }
            let before = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(&input[run.used..], &mut room[run.made..], FlushDecompress::None).map_err(|_| Invalid)?;
            let (used, made) = (self.state.total_in() - before.0, self.state.total_out() - before.1);
            run.used += used as usize;
            run.made += made as usize;
            self.is_at_end = status == Status::StreamEnd;
            run.is_final = self.is_at_end;
            let is_stuck = used == 0 && made == 0;
            if !self.is_at_end && (is_stuck || run.used == input.len() || run.made == room.len()) {
                return Ok(run);
            }
        }
    }
}

/// A state that deflates.
#[derive(Debug)]
pub struct Deflater {
    state: Compress,
    window_bits: u8,
    level: u8,
}

impl Deflater {
    /// Makes a state for a window of at most 2^`window_bits` bytes, 8 to 15, and a level of 1 to 9.
    pub fn new(window_bits: u8, level: u8) -> Result<Deflater, NoMemory> {
        check_memory(DEFLATER_BYTES)?;
        let (window_bits, level) = (coded(window_bits), level.clamp(1, 9));
        Ok(Deflater { state: Compress::new_with_window_bits(Compression::new(level.into()), false, window_bits), window_bits, level })
    }

    /// Whether it is what [`Deflater::new`] would make.
    pub fn is_like(&self, window_bits: u8, level: u8) -> bool {
        self.window_bits == coded(window_bits) && self.level == level.clamp(1, 9)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.state.reset();
    }

    /// Deflates all of `input` behind what is in `out`. With `flush` the output is brought to a whole byte, after which the input can be inflated:
    /// it then ends with 00 00 FF FF. Without it some of the input stays inside.
    pub fn run(&mut self, input: &[u8], flush: bool, out: &mut Vec<u8>) -> Result<(), NoMemory> {
        let flush = if flush { FlushCompress::Sync } else { FlushCompress::None };
        let mut used = 0;
        loop {
            if out.capacity() - out.len() < LEAST_ROOM {
                let more = out.capacity().max((input.len() - used) / 2).clamp(LEAST_ROOM, 1 << 20);
                out.try_reserve(more + LEAST_ROOM).map_err(|_| NoMemory)?;
            }
            let before = self.state.total_in();
            self.state.compress_vec(&input[used..], out, flush).expect("a state between two messages takes any bytes");
            used += (self.state.total_in() - before) as usize;
            // Room that is left says that nothing is left inside.
            if used == input.len() && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }
}

fn coded(window_bits: u8) -> u8 {
    window_bits.clamp(LEAST_WINDOW_BITS, MOST_WINDOW_BITS)
}

/// The coder panics where there is no memory for a state. Another thread may take what is found here; then the call fails with 12004.
fn check_memory(bytes: usize) -> Result<(), NoMemory> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| NoMemory)
}
