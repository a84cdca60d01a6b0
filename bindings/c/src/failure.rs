//! What becomes of a call that does not succeed: a status for the caller, and a message that waits
//! for the thread to ask for it.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ffi::c_char;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ritornello::Error;

use crate::status::Status;

/// Bytes of a message, with the zero at its end.
const CAPACITY: usize = 2048;

/// A message of this thread, in memory that is there as long as the thread.
struct Message {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Message {
    /// Forgets what it says.
    fn clear(&mut self) {
        (self.len, self.bytes[0]) = (0, 0);
    }
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = CAPACITY - 1 - self.len;
        let is_end = |&end: &usize| text.is_char_boundary(end);
        let fits = (0..=room.min(text.len())).rev().find(is_end).unwrap_or(0);
        // A zero would end the message for C.
        for &byte in text.as_bytes()[..fits].iter().filter(|&&byte| byte != 0) {
            self.bytes[self.len] = byte;
            self.len += 1;
        }
        self.bytes[self.len] = 0;
        if fits < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

thread_local! {
    // Constant and without a destructor: it is never allocated, registered or gone.
    static MESSAGE: UnsafeCell<Message> =
        const { UnsafeCell::new(Message { bytes: [0; CAPACITY], len: 0 }) };
}

/// The message of this thread.
pub(crate) fn last() -> *const c_char {
    // `bytes` need not be the first field.
    MESSAGE.with(|message| {
        let message = message.get();
        // SAFETY: `message` is this thread's static, which is valid; only its address is taken.
        unsafe { (&raw const (*message).bytes).cast() }
    })
}

/// Keeps a message, and gives the status. It allocates nothing.
pub(crate) fn refuse(status: Status, text: fmt::Arguments<'_>) -> Status {
    MESSAGE.with(|message| {
        // SAFETY: no other reference to this thread's message is alive: `last` makes none, and
        // whatever `text` formats calls nothing of this module.
        let message = unsafe { &mut *message.get() };
        message.clear();
        // An error means that the message was cut.
        let _ = message.write_fmt(text);
    });
    status
}

/// What is said of an argument that cannot be used.
pub(crate) fn argument(text: fmt::Arguments<'_>) -> Status {
    refuse(Status::RitInvalidArgument, text)
}

/// The status of an error of the library. `shape` is that of something that does not fit.
pub(crate) fn library(error: &Error, shape: Status) -> Status {
    let mut inner = error;
    while let Error::InFile { source, .. } = inner {
        inner = source;
    }
    let status = match inner {
        Error::Io { .. } => Status::RitIo,
        Error::Unsupported { .. } | Error::Isa(_) => Status::RitUnsupported,
        Error::Format { .. }
        | Error::MissingTensor { .. }
        | Error::UnusedTensors { .. }
        | Error::Spec { .. } => Status::RitModelFile,
        _ => shape,
    };
    refuse(status, format_args!("{error}"))
}

/// Does what a call is to do, and lets nothing unwind into C.
pub(crate) fn guard(call: impl FnOnce() -> Result<(), Status>) -> Status {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => Status::RitOk,
        Ok(Err(status)) => status,
        Err(payload) => {
            let status = refuse(
                Status::RitPanic,
                format_args!("a fault of ritornello, please report it: {}", said(&*payload)),
            );
            // What was thrown may throw again where it is dropped.
            std::mem::forget(payload);
            status
        }
    }
}

/// The words of a panic.
fn said(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return text;
    }
    payload.downcast_ref::<String>().map_or("(it says nothing)", String::as_str)
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn text() -> String {
        // SAFETY: the message is this thread's, and ends with a zero.
        unsafe { CStr::from_ptr(last()) }.to_str().expect("UTF-8").to_owned()
    }

    #[test]
    fn a_panic_becomes_a_status() {
        assert_eq!(guard(|| Ok(())), Status::RitOk);
        assert_eq!(text(), "");
        assert_eq!(guard(|| panic!("at {}", 7)), Status::RitPanic);
        assert_eq!(text(), "a fault of ritornello, please report it: at 7");
        assert_eq!(guard(|| panic!("plainly")), Status::RitPanic);
        assert!(text().ends_with("plainly"));
        assert_eq!(guard(|| std::panic::panic_any(7)), Status::RitPanic);
        assert!(text().ends_with("(it says nothing)"));
    }

    #[test]
    fn a_message_is_cut_between_characters_and_has_no_zero() {
        argument(format_args!("{}{}", "a".repeat(CAPACITY - 2), "é"));
        assert_eq!(text(), "a".repeat(CAPACITY - 2));
        argument(format_args!("a\0b"));
        assert_eq!(text(), "ab");
        argument(format_args!("{}", "c".repeat(3 * CAPACITY)));
        assert_eq!(text(), "c".repeat(CAPACITY - 1));
    }

    #[test]
    fn every_thread_has_its_own_message() {
        argument(format_args!("here"));
        std::thread::spawn(|| assert_eq!(text(), "")).join().expect("the thread's check passes");
        assert_eq!(text(), "here");
    }
}
