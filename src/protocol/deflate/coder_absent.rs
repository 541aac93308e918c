//! What stands in for the coder in a build without the feature `deflate`: states that nobody can make.

use std::convert::Infallible;

use super::NoMemory;

/// What a state takes: there is none.
pub const INFLATER_BYTES: usize = 0;

/// The same.
pub const DEFLATER_BYTES: usize = 0;

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

/// A state that inflates.
#[derive(Debug)]
pub struct Inflater(Infallible);

impl Inflater {
    /// There is none.
    pub fn new() -> Result<Inflater, NoMemory> {
        Err(NoMemory)
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        match self.0 {}
    }

    /// Inflates.
    pub fn run(&mut self, _input: &[u8], _room: &mut [u8]) -> Result<Run, Invalid> {
        match self.0 {}
    }
}

/// A state that deflates.
#[derive(Debug)]
pub struct Deflater(Infallible);

impl Deflater {
    /// There is none.
    pub fn new(_window_bits: u8, _level: u8) -> Result<Deflater, NoMemory> {
        Err(NoMemory)
    }

    /// Whether it is what [`Deflater::new`] would make.
    pub fn is_like(&self, _window_bits: u8, _level: u8) -> bool {
        match self.0 {}
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        match self.0 {}
    }

    /// Deflates.
    pub fn run(&mut self, _input: &[u8], _flush: bool, _out: &mut Vec<u8>) -> Result<(), NoMemory> {
        match self.0 {}
    }
}
