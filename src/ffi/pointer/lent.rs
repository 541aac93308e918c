//! The part of `pointer` for memory that outlives a call: what a program lends to a protocol component, and what it is shown of the
//! component's.
//!
//! One promise more than that of the other file, written in the header: memory that is lent with ws_protocol_send or ws_protocol_receive stays
//! valid, and is left alone, until the action that gives it back.

use std::ffi::c_void;
use std::ptr;
use std::{slice, str};

use super::{MOST_LENGTH, buffer, bytes, check_array, refused};
use crate::error::{Error, Result, Status};
use crate::ffi::types::{ws_bytes, ws_header};
use crate::http::Headers;
use crate::protocol::component::{Lent, Memory};

/// The memory that a program has lent.
pub struct ProgramMemory(());

impl ProgramMemory {
    /// # Safety
    /// It is used for one component only, and all that was lent to that came from [`lend_parts`] and [`lend_room`], whose callers gave the
    /// promise at the head of this file.
    pub unsafe fn new() -> ProgramMemory {
        ProgramMemory(())
    }
}

impl Memory for ProgramMemory {
    fn bytes(&self, lent: Lent) -> &[u8] {
        if lent.length == 0 {
            return &[];
        }
        // SAFETY: a part of what was lent, by the promise of `new`.
        unsafe { slice::from_raw_parts(address(lent).cast(), lent.length) }
    }

    fn room(&mut self, lent: Lent) -> &mut [u8] {
        if lent.length == 0 {
            return &mut [];
        }
        // SAFETY: a part of what was lent, by the promise of `new`; nobody else looks at it before it is given back.
        unsafe { slice::from_raw_parts_mut(address(lent).cast_mut().cast(), lent.length) }
    }
}

/// Lent memory as the program knows it.
pub fn address(lent: Lent) -> *const c_void {
    ptr::with_exposed_provenance_mut::<c_void>(lent.address)
}

/// Runs of bytes that are to be sent: looked at now, and lent. The array itself is copied.
///
/// # Safety
/// See the head of this file.
pub unsafe fn lend_parts(pointer: *const ws_bytes, count: usize, parameter: &str) -> Result<Vec<Lent>> {
    check_array(pointer, count, parameter)?;
    let mut parts = Vec::new();
    parts.try_reserve_exact(count).map_err(|_| Error::new(Status::NotEnoughMemory, format!("no memory for {count} parts")))?;
    let mut sum = 0usize;
    for index in 0..count {
        // SAFETY: the array is not NULL and not larger than memory can be; the caller promised that it has `count` elements.
        let part = unsafe { pointer.add(index).read_unaligned() };
        sum = match sum.checked_add(part.length) {
            Some(sum @ 0..=MOST_LENGTH) => sum,
            _ => return Err(refused(parameter, "is longer than memory can be")),
        };
        // SAFETY: as the caller promised.
        let part = unsafe { bytes(part.data, part.length, parameter)? };
        parts.push(Lent { address: part.as_ptr().expose_provenance(), length: part.len() });
    }
    Ok(parts)
}

/// Room that is to be filled later; NULL and 0 for none.
///
/// # Safety
/// See the head of this file.
pub unsafe fn lend_room(pointer: *mut c_void, length: usize, parameter: &str) -> Result<Option<Lent>> {
    if pointer.is_null() && length == 0 {
        return Ok(None);
    }
    // SAFETY: as the caller promised.
    let room = unsafe { buffer(pointer, length, parameter)? };
    Ok(Some(Lent { address: room.as_mut_ptr().expose_provenance(), length: room.len() }))
}

/// The header fields of an array; NULL for none. 12153 for one that cannot be a header.
///
/// # Safety
/// See the head of `pointer`.
pub unsafe fn headers(pointer: *const ws_header, count: usize, parameter: &str) -> Result<Option<Headers>> {
    check_array(pointer, count, parameter)?;
    if pointer.is_null() {
        return Ok(None);
    }
    let mut headers = Headers::new();
    for index in 0..count {
        // SAFETY: the array is not NULL and not larger than memory can be; the caller promised that it has `count` elements.
        let header = unsafe { pointer.add(index).read_unaligned() };
        // SAFETY: as the caller promised.
        let (name, value) =
            unsafe { (bytes(header.name.data, header.name.length, parameter)?, bytes(header.value.data, header.value.length, parameter)?) };
        let name = str::from_utf8(name)
            .map_err(|error| refused(parameter, &format!("has a name that is not UTF-8 at byte {}", error.valid_up_to())))?;
        headers.push(name, value)?;
    }
    Ok(Some(headers))
}

/// Header fields as an array for the program.
pub struct ShownHeaders {
    array: Vec<ws_header>,
    /// What the array points into.
    _headers: Headers,
}

// SAFETY: the pointers are into memory that the value owns and never changes.
unsafe impl Send for ShownHeaders {}

impl ShownHeaders {
    pub fn new(headers: Headers) -> ShownHeaders {
        let run = |bytes: &[u8]| ws_bytes { data: bytes.as_ptr().cast(), length: bytes.len() };
        let array = headers.iter().map(|(name, value)| ws_header { name: run(name.as_bytes()), value: run(value) }).collect();
        ShownHeaders { array, _headers: headers }
    }

    /// Valid as long as the value is, wherever it is moved.
    pub fn as_array(&self) -> (*const ws_header, usize) {
        (self.array.as_ptr(), self.array.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lent_memory_is_found_again() {
        let mut room = [0u8; 8];
        let lent = unsafe { lend_room(room.as_mut_ptr().cast(), 8, "buffer") }.unwrap().unwrap();
        let mut memory = unsafe { ProgramMemory::new() };
        memory.room(lent).copy_from_slice(b"received");
        assert_eq!(memory.bytes(Lent { address: lent.address + 2, length: 3 }), b"cei");
        assert_eq!(address(lent), room.as_ptr().cast());
        assert_eq!(unsafe { lend_room(ptr::null_mut(), 0, "buffer") }.unwrap(), None);
        for (pointer, length) in [(ptr::null_mut(), 1), (room.as_mut_ptr().cast(), 0), (room.as_mut_ptr().cast(), usize::MAX)] {
            assert_eq!(unsafe { lend_room(pointer, length, "buffer") }.unwrap_err().status(), Status::InvalidParameter);
        }
    }

    #[test]
    fn parts_are_lent_one_by_one_and_their_sum_is_possible() {
        let run = |length| ws_bytes { data: b"abc".as_ptr().cast(), length };
        let given = [run(3), ws_bytes { data: ptr::null(), length: 0 }, run(1)];
        let lent = unsafe { lend_parts(given.as_ptr(), 3, "parts") }.unwrap();
        let memory = unsafe { ProgramMemory::new() };
        assert_eq!(lent.iter().map(|part| memory.bytes(*part)).collect::<Vec<_>>(), [&b"abc"[..], b"", b"a"]);
        for given in [[run(1), run(MOST_LENGTH)], [run(1), ws_bytes { data: ptr::null(), length: 1 }]] {
            assert_eq!(unsafe { lend_parts(given.as_ptr(), 2, "parts") }.unwrap_err().status(), Status::InvalidParameter);
        }
    }

    #[test]
    fn headers_come_and_go_as_arrays() {
        let run = |text: &'static str| ws_bytes { data: text.as_ptr().cast(), length: text.len() };
        let given = [ws_header { name: run("Host"), value: run("a") }, ws_header { name: run("X"), value: run("") }];
        let headers = unsafe { headers(given.as_ptr(), 2, "received") }.unwrap().unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("Host", &b"a"[..]), ("X", b"")]);
        let shown = ShownHeaders::new(headers);
        let (array, count) = shown.as_array();
        let again = unsafe { super::headers(array, count, "received") }.unwrap().unwrap();
        assert_eq!(again.get("host", 0), Some(&b"a"[..]));
        let bad = [ws_header { name: run("a b"), value: run("") }];
        assert_eq!(unsafe { super::headers(bad.as_ptr(), 1, "received") }.unwrap_err().status(), Status::InvalidHeader);
        assert!(unsafe { super::headers(ptr::null(), 0, "received") }.unwrap().is_none());
    }
}
