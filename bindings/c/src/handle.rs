//! What C holds: pointers to things that begin with a word that says what they are.

use crate::failure::argument;
use crate::status::Status;

/// A type that C knows by name alone, and what stands behind it.
pub(crate) trait Kind {
    /// Its name in C.
    const NAME: &'static str;
    /// What it begins with while it lives.
    const MAGIC: u64;
    type Body;
}

/// What a handle points to.
#[repr(C)]
struct Handle<T> {
    /// First, so that it is where that of any other kind would be.
    magic: u64,
    body: T,
}

/// What is written over the first word of what is gone.
const GONE: u64 = 0;

/// Makes a handle.
pub(crate) fn give<K: Kind>(body: K::Body) -> *mut K {
    let handle = Handle { magic: K::MAGIC, body };
    Box::into_raw(Box::new(handle)).cast()
}

/// Checks a handle that C gave, as far as that can be told.
fn check<K: Kind>(pointer: *const K) -> Result<*const Handle<K::Body>, Status> {
    let pointer: *const Handle<K::Body> = pointer.cast();
    if pointer.is_null() {
        return Err(argument(format_args!("the {} is null, expected one that was made", K::NAME)));
    }
    if !pointer.is_aligned() {
        return Err(argument(format_args!(
            "the {} is at an address that none has ({pointer:p})",
            K::NAME
        )));
    }
    // SAFETY: C gives a pointer that one of this library's functions made, of this kind or another:
    // at least this word is there. Of one that was freed nothing is certain: the word was cleared,
    // and the memory may be anything by now.
    let found = unsafe { (&raw const (*pointer).magic).read_volatile() };
    if found == K::MAGIC {
        return Ok(pointer);
    }
    Err(argument(format_args!(
        "the {} is none: it was freed, or is a handle of another kind",
        K::NAME
    )))
}

/// What a handle is for.
///
/// # Safety
///
/// The handle was made by [`give`] or is none at all, and is not freed while the result is used.
pub(crate) unsafe fn see<'a, K: Kind>(pointer: *const K) -> Result<&'a K::Body, Status> {
    let handle = check(pointer)?;
    // SAFETY: `check` found the word that `give` wrote; the caller promises the rest.
    Ok(unsafe { &(*handle).body })
}

/// Takes back what `give` gave; nothing for null.
///
/// # Safety
///
/// As [`see`], and nobody uses the handle any more.
pub(crate) unsafe fn take_back<K: Kind>(pointer: *mut K) -> Result<Option<K::Body>, Status> {
    if pointer.is_null() {
        return Ok(None);
    }
    let handle = check(pointer)?.cast_mut();
    // SAFETY: `check` found the word that `give` wrote, and the caller promises that nobody else
    // uses the handle. The word is cleared in memory, though it is freed at once.
    let owned = unsafe {
        (&raw mut (*handle).magic).write_volatile(GONE);
        Box::from_raw(handle)
    };
    Ok(Some(owned.body))
}
