//! The only file that follows pointers of the C program.
//!
//! Each function takes what C passed, answers 87 with the parameter's name if it cannot be right, and gives back something safe.
//! All of them are `unsafe` for one reason, the header's promise about pointers: a pointer that is not NULL points to as much
//! memory as the function is told, valid until the call returns, and nobody else writes there meanwhile.
//!
//! Out-parameters are checked before anything happens and written only when everything has. Alignment is never relied on:
//! programs in other languages pass packed memory.
//!
//! What a program lends for longer than a call is in `lent`, with a promise of its own.

pub mod lent;

use std::ffi::{CStr, c_char, c_void};
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::{ptr, slice, str};

use crate::error::{Error, Result, Status};

use super::types::{ws_bytes, ws_callback, ws_event};
use crate::handle::OpaqueCallback;

/// The largest `size` a caller's struct may claim: far above any version of any struct, and below any wild number.
const MOST_STRUCT_SIZE: u32 = 4096;

#[cold]
fn refused(parameter: &str, problem: &str) -> Error {
    Error::new(Status::InvalidParameter, format!("{parameter} {problem}"))
}

#[cold]
fn too_small(needed: usize, capacity: usize) -> Error {
    Error::new(Status::InsufficientBuffer, format!("{needed} bytes are needed, the buffer has {capacity}"))
}

/// A required out-parameter.
pub struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// See the head of this file.
    #[inline]
    pub unsafe fn new(pointer: *mut T, parameter: &str) -> Result<Out<T>> {
        NonNull::new(pointer).map(Out).ok_or_else(|| refused(parameter, "is NULL"))
    }

    /// Writes the result; the last thing a function does.
    #[inline]
    pub fn write(self, value: T) {
        // SAFETY: not NULL, and the caller of `new` promised the rest.
        unsafe { self.0.as_ptr().write_unaligned(value) }
    }
}

/// A caller's buffer for a result of unknown length, and where the length goes.
pub struct OutBytes {
    buffer: *mut u8,
    capacity: usize,
    length: NonNull<usize>,
}

impl OutBytes {
    /// The capacity is what `*length` says.
    ///
    /// # Safety
    /// See the head of this file.
    pub unsafe fn new(buffer: *mut c_void, length: *mut usize, parameter: &str) -> Result<OutBytes> {
        let Some(length) = NonNull::new(length) else { return Err(refused("length", "is NULL")) };
        // SAFETY: not NULL, and the caller promised the rest.
        let capacity = unsafe { length.as_ptr().read_unaligned() };
        // SAFETY: as the caller promised.
        unsafe { OutBytes::with_capacity(buffer, capacity, length.as_ptr(), parameter) }
    }

    /// # Safety
    /// See the head of this file.
    pub unsafe fn with_capacity(buffer: *mut c_void, capacity: usize, length: *mut usize, parameter: &str) -> Result<OutBytes> {
        let Some(length) = NonNull::new(length) else { return Err(refused("length", "is NULL")) };
        if buffer.is_null() && capacity > 0 {
            return Err(refused(parameter, "is NULL, but its length is not 0"));
        }
        Ok(OutBytes { buffer: buffer.cast(), capacity, length })
    }

    /// Writes bytes and their length; 122 and the needed length if they do not fit.
    pub fn write_bytes(self, bytes: &[u8]) -> Result<()> {
        self.write(bytes, bytes.len(), bytes.len())
    }

    /// Writes a text with a terminator, and its length without; 122 and the needed length with it if it does not fit.
    pub fn write_text(self, text: &[u8]) -> Result<()> {
        self.write(text, text.len() + 1, text.len())
    }

    /// Writes a struct that begins with its size: as much of it as the caller's own version has. 122 and the needed length if there is no
    /// room for the first version, which had `smallest` bytes; 87 if the size that the caller set cannot be one.
    ///
    /// # Safety
    /// As for [`OutStruct::new`].
    pub unsafe fn write_struct<T: Copy>(self, value: T, smallest: usize, parameter: &str) -> Result<()> {
        if self.capacity < smallest {
            // SAFETY: `length` is not NULL, and the caller of `new` promised the rest.
            unsafe { self.length.as_ptr().write_unaligned(size_of::<T>()) };
            return Err(too_small(size_of::<T>(), self.capacity));
        }
        // SAFETY: there is room for the first version; the caller promised the rest.
        let to = unsafe { OutStruct::new(self.buffer.cast::<T>(), smallest, parameter)? };
        if to.size > self.capacity {
            return Err(refused(parameter, &format!("has size {}, but room for {} bytes", to.size, self.capacity)));
        }
        // SAFETY: as above.
        unsafe { self.length.as_ptr().write_unaligned(to.size) };
        to.write(value);
        Ok(())
    }

    fn write(self, bytes: &[u8], needed: usize, reported: usize) -> Result<()> {
        let fits = needed <= self.capacity;
        // SAFETY: `length` is not NULL, and `buffer` is not when `capacity` is above 0; the caller of `new` promised the rest. The
        // terminator has its place because `needed` counts it.
        unsafe {
            self.length.as_ptr().write_unaligned(if fits { reported } else { needed });
            if fits && needed > 0 {
                ptr::copy_nonoverlapping(bytes.as_ptr(), self.buffer, bytes.len());
                if needed > bytes.len() {
                    self.buffer.add(bytes.len()).write(0);
                }
            }
        }
        if fits {
            return Ok(());
        }
        Err(too_small(needed, self.capacity))
    }
}

/// A caller's struct that begins with its size.
pub struct OutStruct<T> {
    pointer: NonNull<T>,
    size: usize,
}

impl<T: Copy> OutStruct<T> {
    /// `smallest` is the size that the struct had in the first version.
    ///
    /// # Safety
    /// See the head of this file; and `T` is a C struct without padding whose first field is `size: u32`.
    pub unsafe fn new(pointer: *mut T, smallest: usize, parameter: &str) -> Result<OutStruct<T>> {
        let Some(pointer) = NonNull::new(pointer) else { return Err(refused(parameter, "is NULL")) };
        // SAFETY: not NULL, and the caller promised the rest.
        let size = unsafe { pointer.as_ptr().cast::<u32>().read_unaligned() };
        if (size as usize) < smallest || size > MOST_STRUCT_SIZE {
            return Err(refused(parameter, &format!("has size {size}, it must be sizeof its type")));
        }
        Ok(OutStruct { pointer, size: size as usize })
    }

    /// Writes as much as the caller has room for. A caller newer than the library finds zeros in what the library does not know.
    pub fn write(self, mut value: T) {
        let known = self.size.min(size_of::<T>());
        // SAFETY: the first field of `T` is `size`; the caller has `size` bytes, of which `known` are in `value` as well.
        unsafe {
            (&raw mut value).cast::<u32>().write(self.size as u32);
            let to = self.pointer.as_ptr().cast::<u8>();
            ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), to, known);
            ptr::write_bytes(to.add(known), 0, self.size - known);
        }
    }
}

/// Bytes that the program gives; NULL is fine for none.
///
/// # Safety
/// See the head of this file.
#[inline]
pub unsafe fn bytes<'a>(pointer: *const c_void, length: usize, parameter: &str) -> Result<&'a [u8]> {
    match (pointer.is_null(), length) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(refused(parameter, "is NULL, but its length is not 0")),
        (false, 1..=MOST_LENGTH) => {
            // SAFETY: not NULL, not larger than memory can be, and the caller promised the rest.
            Ok(unsafe { slice::from_raw_parts(pointer.cast(), length) })
        }
        (false, _) => Err(refused(parameter, "is longer than memory can be")),
    }
}

/// Bytes that are certainly right; `None` leaves it to [`bytes`] what they are.
///
/// # Safety
/// See the head of this file.
#[inline]
pub unsafe fn plain_bytes<'a>(pointer: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: not NULL, not larger than memory can be, and the caller promised the rest.
    (!pointer.is_null() && length <= MOST_LENGTH).then(|| unsafe { slice::from_raw_parts(pointer.cast(), length) })
}

/// A buffer to fill; neither NULL nor empty.
///
/// # Safety
/// See the head of this file.
#[inline]
pub unsafe fn buffer<'a>(pointer: *mut c_void, length: usize, parameter: &str) -> Result<&'a mut [u8]> {
    match (pointer.is_null(), length) {
        (true, _) => Err(refused(parameter, "is NULL")),
        (false, 0) => Err(refused(parameter, "has length 0")),
        (false, 1..=MOST_LENGTH) => {
            // SAFETY: not NULL, not larger than memory can be, and the caller promised the rest.
            Ok(unsafe { slice::from_raw_parts_mut(pointer.cast(), length) })
        }
        (false, _) => Err(refused(parameter, "is longer than memory can be")),
    }
}

const MOST_LENGTH: usize = isize::MAX as usize;

/// Checks an array that the program gives, without looking at it; NULL is fine for none.
pub fn check_array<T>(pointer: *const T, count: usize, parameter: &str) -> Result<()> {
    match (pointer.is_null(), count) {
        (_, 0) => Ok(()),
        (true, _) => Err(refused(parameter, "is NULL, but its count is not 0")),
        (false, _) if count > MOST_LENGTH / size_of::<T>() => Err(refused(parameter, "is longer than memory can be")),
        (false, _) => Ok(()),
    }
}

/// How many parts of a gathered send take no memory.
const FEW_PARTS: usize = 16;

/// Bytes that the program gives in several places.
pub struct Parts<'a> {
    few: [&'a [u8]; FEW_PARTS],
    many: Vec<&'a [u8]>,
    count: usize,
}

impl<'a> Parts<'a> {
    /// An array of runs of bytes, each NULL if it has none; 8 if there is no memory to look at so many.
    ///
    /// # Safety
    /// See the head of this file.
    pub unsafe fn new(pointer: *const ws_bytes, count: usize, parameter: &str) -> Result<Parts<'a>> {
        check_array(pointer, count, parameter)?;
        let mut parts = Parts { few: [&[]; FEW_PARTS], many: Vec::new(), count };
        if count > FEW_PARTS {
            parts.many.try_reserve_exact(count).map_err(|_| Error::new(Status::NotEnoughMemory, format!("no memory for {count} parts")))?;
        }
        let mut length = 0usize;
        for index in 0..count {
            // SAFETY: the array is not NULL and not larger than memory can be; the caller promised that it has `count` elements.
            let part = unsafe { pointer.add(index).read_unaligned() };
            // The same memory may be given twice, so each part may be possible and the sum not.
            length = match length.checked_add(part.length) {
                Some(length @ 0..=MOST_LENGTH) => length,
                _ => return Err(refused(parameter, "is longer than memory can be")),
            };
            // SAFETY: as the caller promised.
            let part = unsafe { bytes(part.data, part.length, parameter)? };
            match parts.few.get_mut(index).filter(|_| count <= FEW_PARTS) {
                Some(slot) => *slot = part,
                None => parts.many.push(part),
            }
        }
        Ok(parts)
    }

    /// The parts, in order.
    pub fn as_slice(&self) -> &[&'a [u8]] {
        if self.count > FEW_PARTS { &self.many } else { &self.few[..self.count] }
    }
}

/// A terminated string of any bytes.
///
/// # Safety
/// See the head of this file.
pub unsafe fn c_bytes<'a>(pointer: *const c_char, parameter: &str) -> Result<&'a [u8]> {
    if pointer.is_null() {
        return Err(refused(parameter, "is NULL"));
    }
    // SAFETY: not NULL, and terminated as the caller promised.
    Ok(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// A terminated text in UTF-8.
///
/// # Safety
/// See the head of this file.
pub unsafe fn text<'a>(pointer: *const c_char, parameter: &str) -> Result<&'a str> {
    // SAFETY: as the caller promised.
    let bytes = unsafe { c_bytes(pointer, parameter)? };
    str::from_utf8(bytes).map_err(|error| refused(parameter, &format!("is not UTF-8 at byte {}", error.valid_up_to())))
}

/// A terminated text in UTF-8, or NULL for none.
///
/// # Safety
/// See the head of this file.
pub unsafe fn optional_text<'a>(pointer: *const c_char, parameter: &str) -> Result<Option<&'a str>> {
    // SAFETY: as the caller promised.
    if pointer.is_null() { Ok(None) } else { unsafe { text(pointer, parameter) }.map(Some) }
}

/// The callback as the lower rooms keep it: they know no events, so its parameters are hidden from them.
pub fn hide_callback(callback: ws_callback) -> Option<OpaqueCallback> {
    callback.and_then(|callback| NonZeroUsize::new(callback as usize)).map(OpaqueCallback)
}

/// Calls a callback of the program's.
///
/// # Safety
/// It came from [`hide_callback`], and the event is valid until this returns.
pub unsafe fn call(callback: OpaqueCallback, event: &ws_event, context: usize) {
    // SAFETY: it was such a function before it was hidden.
    unsafe {
        let callback = std::mem::transmute::<usize, unsafe extern "C" fn(*const ws_event, *mut c_void)>(callback.0.get());
        callback(event, context as *mut c_void);
    }
}

/// The program's array for a batch of events.
pub struct EventRoom {
    events: NonNull<ws_event>,
    capacity: usize,
    filled: usize,
}

impl EventRoom {
    /// # Safety
    /// See the head of this file.
    pub unsafe fn new(events: *mut ws_event, capacity: usize, parameter: &str) -> Result<EventRoom> {
        let Some(events) = NonNull::new(events) else { return Err(refused(parameter, "is NULL")) };
        if capacity == 0 || capacity > MOST_LENGTH / size_of::<ws_event>() {
            return Err(refused("capacity", &format!("is {capacity}")));
        }
        Ok(EventRoom { events, capacity, filled: 0 })
    }

    /// How many are there.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// How many more fit.
    pub fn left(&self) -> usize {
        self.capacity - self.filled
    }

    /// Another event.
    pub fn put(&mut self, event: ws_event) {
        assert!(self.filled < self.capacity, "whoever delivers asks for room first");
        // SAFETY: inside the array that the caller of `new` promised.
        unsafe { self.events.as_ptr().add(self.filled).write_unaligned(event) };
        self.filled += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Sized {
        size: u32,
        first: u32,
        second: u32,
    }

    fn status<T>(result: Result<T>) -> Status {
        result.err().expect("a refusal").status()
    }

    #[test]
    fn null_is_refused_with_the_parameters_name() {
        let error = unsafe { text(ptr::null(), "url") }.unwrap_err();
        assert_eq!((error.status(), error.to_string().as_str()), (Status::InvalidParameter, "url is NULL"));
        assert_eq!(status(unsafe { Out::<u32>::new(ptr::null_mut(), "session") }), Status::InvalidParameter);
        assert_eq!(status(unsafe { OutBytes::new(ptr::null_mut(), ptr::null_mut(), "value") }), Status::InvalidParameter);
        assert_eq!(unsafe { optional_text(ptr::null(), "user_agent") }.unwrap(), None);
    }

    #[test]
    fn bytes_may_be_null_only_when_there_are_none() {
        assert_eq!(unsafe { bytes(ptr::null(), 0, "buffer") }.unwrap(), b"");
        assert_eq!(status(unsafe { bytes(ptr::null(), 1, "buffer") }), Status::InvalidParameter);
        assert_eq!(unsafe { bytes(b"abc".as_ptr().cast(), 2, "buffer") }.unwrap(), b"ab");
        assert_eq!(status(unsafe { bytes(b"abc".as_ptr().cast(), usize::MAX, "buffer") }), Status::InvalidParameter);
        assert_eq!(status(unsafe { bytes(b"abc".as_ptr().cast(), MOST_LENGTH + 1, "buffer") }), Status::InvalidParameter);
    }

    #[test]
    fn a_buffer_to_fill_is_neither_null_nor_empty() {
        let mut room = [0u8; 4];
        assert_eq!(status(unsafe { buffer(ptr::null_mut(), 4, "buffer") }), Status::InvalidParameter);
        assert_eq!(status(unsafe { buffer(room.as_mut_ptr().cast(), 0, "buffer") }), Status::InvalidParameter);
        assert_eq!(status(unsafe { buffer(room.as_mut_ptr().cast(), usize::MAX, "buffer") }), Status::InvalidParameter);
        assert_eq!(unsafe { buffer(room.as_mut_ptr().cast(), 4, "buffer") }.unwrap().len(), 4);
    }

    #[test]
    fn a_text_that_is_not_utf8_names_the_byte() {
        let error = unsafe { text(c"ws://\xff".as_ptr(), "url") }.unwrap_err();
        assert_eq!(error.to_string(), "url is not UTF-8 at byte 5");
        assert_eq!(unsafe { c_bytes(c"\xff".as_ptr(), "value") }.unwrap(), b"\xff");
    }

    #[test]
    fn a_text_is_terminated_and_its_length_is_without_the_terminator() {
        for (capacity, expected, length) in [(0usize, Err(122), 4usize), (3, Err(122), 4), (4, Ok(()), 3), (9, Ok(()), 3)] {
            let mut room = [b'x'; 9];
            let mut found = capacity;
            let pointer = if capacity == 0 { ptr::null_mut() } else { room.as_mut_ptr().cast() };
            let out = unsafe { OutBytes::new(pointer, &mut found, "value") }.unwrap();
            assert_eq!(out.write_text(b"abc").map_err(|error| error.status().code()), expected, "{capacity}");
            assert_eq!(found, length);
            assert_eq!(&room[..5], if expected.is_ok() { b"abc\0x" } else { b"xxxxx" });
        }
    }

    #[test]
    fn no_bytes_need_no_buffer() {
        let mut length = 0;
        let out = unsafe { OutBytes::new(ptr::null_mut(), &mut length, "reason") }.unwrap();
        out.write_bytes(b"").unwrap();
        assert_eq!(length, 0);
        let out = unsafe { OutBytes::with_capacity(ptr::null_mut(), 0, &mut length, "reason") }.unwrap();
        assert_eq!(status(out.write_bytes(b"ab")), Status::InsufficientBuffer);
        assert_eq!(length, 2);
        assert_eq!(status(unsafe { OutBytes::with_capacity(ptr::null_mut(), 1, &mut length, "reason") }), Status::InvalidParameter);
    }

    #[test]
    fn a_struct_is_filled_as_far_as_the_caller_knows_it() {
        let ours = Sized { size: 0, first: 1, second: 2 };
        for (size, expected) in [(7, None), (8, Some([8, 1, 77, 77])), (12, Some([12, 1, 2, 77])), (16, Some([16, 1, 2, 0])), (4097, None)]
        {
            let mut theirs = [size, 77, 77, 77];
            let out = unsafe { OutStruct::new(theirs.as_mut_ptr().cast::<Sized>(), 8, "info") };
            match expected {
                Some(expected) => {
                    out.unwrap().write(ours);
                    assert_eq!(theirs, expected, "{size}");
                }
                None => assert_eq!(status(out), Status::InvalidParameter, "{size}"),
            }
        }
    }

    #[test]
    fn a_struct_with_a_length_beside_it_needs_room_for_its_first_version() {
        let ours = Sized { size: 0, first: 1, second: 2 };
        let mut room = [12u32, 77, 77, 77];
        for (capacity, size, expected, length) in [
            (0, 12, Err(122), 12),
            (7, 12, Err(122), 12),
            (8, 12, Err(87), 8),
            (12, 7, Err(87), 12),
            (8, 8, Ok(()), 8),
            (16, 12, Ok(()), 12),
        ] {
            room[0] = size;
            let mut found = capacity;
            let pointer = if capacity == 0 { ptr::null_mut() } else { room.as_mut_ptr().cast() };
            let out = unsafe { OutBytes::new(pointer, &mut found, "value") }.unwrap();
            assert_eq!(unsafe { out.write_struct(ours, 8, "value") }.map_err(|error| error.status().code()), expected, "{capacity} {size}");
            assert_eq!(found, length, "{capacity} {size}");
        }
        assert_eq!(room, [12, 1, 2, 77]);
    }

    #[test]
    fn parts_are_few_or_many_and_their_sum_is_possible() {
        let given = |count| vec![ws_bytes { data: b"ab".as_ptr().cast(), length: 2 }; count];
        for count in [0, 1, FEW_PARTS, FEW_PARTS + 1, 1000] {
            let given = given(count);
            let parts = unsafe { Parts::new(given.as_ptr(), count, "parts") }.unwrap();
            assert_eq!(parts.as_slice().concat(), b"ab".repeat(count), "{count}");
            assert_eq!(parts.many.capacity() > 0, count > FEW_PARTS);
        }
        assert!(unsafe { Parts::new(ptr::null(), 0, "parts") }.unwrap().as_slice().is_empty());
        assert_eq!(status(unsafe { Parts::new(ptr::null(), 1, "parts") }), Status::InvalidParameter);
        assert_eq!(status(unsafe { Parts::new(ptr::null(), usize::MAX, "parts") }), Status::InvalidParameter);
        let mut odd = given(2);
        odd[1] = ws_bytes { data: ptr::null(), length: 0 };
        assert_eq!(unsafe { Parts::new(odd.as_ptr(), 2, "parts") }.unwrap().as_slice(), [&b"ab"[..], b""]);
        odd[1].length = 1;
        assert_eq!(status(unsafe { Parts::new(odd.as_ptr(), 2, "parts") }), Status::InvalidParameter);
        odd[1] = ws_bytes { data: b"ab".as_ptr().cast(), length: MOST_LENGTH };
        assert_eq!(status(unsafe { Parts::new(odd.as_ptr(), 2, "parts") }), Status::InvalidParameter);
    }

    #[test]
    fn packed_memory_is_fine() {
        let mut room = [0u8; 9];
        unsafe { Out::new(room[1..].as_mut_ptr().cast::<u64>(), "session") }.unwrap().write(u64::MAX);
        assert_eq!((room[0], room[1], room[8]), (0, 255, 255));
    }
}
