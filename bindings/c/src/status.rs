//! How a call ended.

use std::ffi::{c_char, c_int};

use crate::failure;

/// How a call ended. Whatever is not #RIT_OK leaves a message in rit_last_error().
///
/// The codes from 2 to 5 mean what the exit codes of the command `ritornello` mean.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "C's enumerators share one scope")]
pub enum Status {
    /// All is done.
    RitOk = 0,
    /// A pointer is null, misaligned, or no handle of this kind; memory overlaps; an option has a
    /// value that it cannot have.
    RitInvalidArgument = 2,
    /// The model file, or its spec, is damaged, lacks something, or holds something that nothing
    /// uses.
    RitModelFile = 3,
    /// The data does not fit the model: a length, an index, a time.
    RitData = 4,
    /// The operating system refused to read a file.
    RitIo = 5,
    /// Another thread is inside a call with this session.
    RitBusy = 6,
    /// Known, but not run here; the message says what to do instead.
    RitUnsupported = 7,
    /// There is not that much memory.
    RitOutOfMemory = 8,
    /// A fault of the library, caught. A session in which it happened takes no more calls.
    RitPanic = 9,
}

impl Status {
    const NAMES: [(Self, &'static std::ffi::CStr); 9] = [
        (Self::RitOk, c"RIT_OK"),
        (Self::RitInvalidArgument, c"RIT_INVALID_ARGUMENT"),
        (Self::RitModelFile, c"RIT_MODEL_FILE"),
        (Self::RitData, c"RIT_DATA"),
        (Self::RitIo, c"RIT_IO"),
        (Self::RitBusy, c"RIT_BUSY"),
        (Self::RitUnsupported, c"RIT_UNSUPPORTED"),
        (Self::RitOutOfMemory, c"RIT_OUT_OF_MEMORY"),
        (Self::RitPanic, c"RIT_PANIC"),
    ];
}

/// The message of the last call on this thread that did not give #RIT_OK.
///
/// It says what was refused, where, what was expected and what was found, in UTF-8, and is cut after
/// 2047 bytes.
///
/// @return text that is valid until the next call on this thread that fails; empty before the first.
///     Never null. Not to be freed.
///
/// Real time: may be called; the first call of a thread may allocate its memory for the message.
#[unsafe(no_mangle)]
pub extern "C" fn rit_last_error() -> *const c_char {
    failure::last()
}

/// The name of a status, such as "RIT_BUSY".
///
/// @param status  any number
/// @return text that is always valid; "unknown status" for a number that is none. Never null.
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub extern "C" fn rit_status_name(status: c_int) -> *const c_char {
    let found = Status::NAMES.iter().find(|(known, _)| *known as c_int == status);
    found.map_or(c"unknown status", |(_, name)| name).as_ptr()
}
