//! Memory of C's, seen as Rust's after what can be checked was checked.

use std::ffi::{CStr, c_char};
use std::ops::Range;

use crate::failure::argument;
use crate::status::Status;

/// Checks that `length` values can be at `pointer`.
fn check<T>(pointer: *const T, length: usize, what: &str) -> Result<(), Status> {
    if pointer.is_null() {
        return Err(argument(format_args!(
            "the pointer to {what} is null, expected memory for {length} values"
        )));
    }
    if !pointer.is_aligned() {
        return Err(argument(format_args!(
            "the pointer to {what} ({pointer:p}) is not a multiple of {} bytes",
            align_of::<T>()
        )));
    }
    let bytes = length.checked_mul(size_of::<T>()).filter(|&bytes| isize::try_from(bytes).is_ok());
    match bytes.and_then(|bytes| pointer.addr().checked_add(bytes)) {
        Some(_) => Ok(()),
        None => Err(argument(format_args!(
            "the length of {what} is {length}, more than memory can hold"
        ))),
    }
}

/// Values to read. Null is nothing where the length is 0.
///
/// # Safety
///
/// Unless it is null, `length` values are there, and nobody writes them while the result is used.
pub(crate) unsafe fn slice<'a, T>(
    pointer: *const T,
    length: usize,
    what: &str,
) -> Result<&'a [T], Status> {
    if pointer.is_null() && length == 0 {
        return Ok(&[]);
    }
    check(pointer, length, what)?;
    // SAFETY: `check` found the pointer aligned and the length possible; the caller promises the rest.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Values to write. Null is nothing where the length is 0.
///
/// # Safety
///
/// Unless it is null, `length` values are there, and nobody else uses them while the result is used.
pub(crate) unsafe fn slice_mut<'a, T>(
    pointer: *mut T,
    length: usize,
    what: &str,
) -> Result<&'a mut [T], Status> {
    if pointer.is_null() && length == 0 {
        return Ok(&mut []);
    }
    check(pointer, length, what)?;
    // SAFETY: as in `slice`.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}

/// A result to write.
///
/// # Safety
///
/// Unless it is null, a `T` fits there, and nobody else uses it.
pub(crate) unsafe fn write<T>(pointer: *mut T, value: T, what: &str) -> Result<(), Status> {
    check(pointer, 1, what)?;
    // SAFETY: `check` found the pointer aligned; the caller promises the rest. What is there is
    // overwritten, not dropped.
    unsafe { pointer.write(value) };
    Ok(())
}

/// Text that ends with a zero.
///
/// # Safety
///
/// Unless it is null, it ends with a zero, and nobody writes it while the result is used.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a CStr, Status> {
    check(pointer, 1, what)?;
    // SAFETY: the caller promises it.
    Ok(unsafe { CStr::from_ptr(pointer) })
}

/// The same, of UTF-8.
///
/// # Safety
///
/// As [`text`].
pub(crate) unsafe fn utf8<'a>(pointer: *const c_char, what: &str) -> Result<&'a str, Status> {
    // SAFETY: the caller promises it.
    let text = unsafe { text(pointer, what) }?;
    let not_utf8 = |_| argument(format_args!("{what} is not UTF-8: {text:?}"));
    text.to_str().map_err(not_utf8)
}

/// The addresses of `length` values, none of which need be there.
pub(crate) fn addresses<T>(pointer: *const T, length: usize) -> Range<usize> {
    let start = pointer.addr();
    start..start.saturating_add(length.saturating_mul(size_of::<T>()))
}

/// Whether two pieces of memory share a byte.
pub(crate) fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end && !a.is_empty() && !b.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_memory_is_refused() {
        let numbers = [1.0_f32, 2.0];
        let odd = numbers.as_ptr().wrapping_byte_add(1);
        let refused = Some(Status::RitInvalidArgument);
        // SAFETY: what is read is there; all else is refused before.
        unsafe {
            assert_eq!(slice(numbers.as_ptr(), 2, "x"), Ok(&numbers[..]));
            assert_eq!(slice::<f32>(std::ptr::null(), 0, "x"), Ok(&[][..]));
            assert_eq!(slice::<f32>(std::ptr::null(), 1, "x").err(), refused);
            assert_eq!(slice(odd, 1, "x").err(), refused);
            assert_eq!(slice(numbers.as_ptr(), usize::MAX / 2, "x").err(), refused);
            assert_eq!(write(std::ptr::null_mut::<f32>(), 1.0, "y").err(), refused);
            assert_eq!(text(std::ptr::null(), "a name").err(), refused);
            assert_eq!(utf8(c"a\xff".as_ptr(), "a name").err(), refused);
        }
    }

    #[test]
    fn memory_that_touches_does_not_overlap() {
        let numbers = [0.0_f32; 8];
        let range = |from: usize, length| addresses(numbers[from..].as_ptr(), length);
        assert!(overlap(&range(0, 4), &range(3, 2)));
        assert!(overlap(&range(3, 2), &range(0, 4)));
        assert!(!overlap(&range(0, 4), &range(4, 2)));
        assert!(!overlap(&range(1, 0), &range(0, 4)));
    }
}
