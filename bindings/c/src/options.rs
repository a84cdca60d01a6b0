//! Structs that begin with their size, so that they may grow.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use ritornello::{PlanOptions, Threads};

use crate::failure::{argument, library};
use crate::pointer;
use crate::status::Status;

/// How a model is to be run. Begin with #RIT_PLAN_OPTIONS_INIT; what is 0 or null has its default.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// sizeof(rit_plan_options), which tells the library which members there are.
    pub size: usize,
    /// The threads, of which the caller's is one. 0: as many as the environment variable
    /// RITORNELLO_THREADS says, or 1. With 1 no call allocates or locks.
    pub threads: usize,
    /// The level: "portable", "avx2" or "avx512". Null: the best that the CPU has, or what the
    /// environment variable RITORNELLO_ISA says.
    pub isa: *const c_char,
    /// What the arithmetic may be: "f32", "f32-split", as exact, for a matrix unit where there is one, "bf16" for
    /// weights in half the memory, by which such a unit multiplies inputs and states of bf16, or "int8" for those
    /// of recurrent layers in a quarter, multiplied by inputs and states of 8 bits. Null: "f32".
    pub precision: *const c_char,
    /// What kernels are chosen for, where the precision leaves a choice, as "f32-split" and "bf16" do: "latency" or
    /// "throughput". Null: "latency".
    pub tune: *const c_char,
}

impl Options {
    const DEFAULT: Self = Self {
        size: size_of::<Self>(),
        threads: 0,
        isa: std::ptr::null(),
        precision: std::ptr::null(),
        tune: std::ptr::null(),
    };

    /// Reads the options that are at `pointer`; null is the default.
    ///
    /// # Safety
    ///
    /// Unless it is null, there are as many bytes as its first member says.
    pub(crate) unsafe fn read(pointer: *const Self) -> Result<PlanOptions, Status> {
        if pointer.is_null() {
            return Ok(PlanOptions::default());
        }
        // SAFETY: the caller promises it; every member may be any bytes.
        let options = unsafe { read_sized(pointer, Self::DEFAULT, "the plan's options") }?;
        // SAFETY: the header says what the texts must be.
        unsafe { options.parsed() }
    }

    /// # Safety
    ///
    /// The texts end with a zero.
    unsafe fn parsed(self) -> Result<PlanOptions, Status> {
        let mut options = PlanOptions::default();
        if !self.isa.is_null() {
            // SAFETY: the caller promises it.
            let name = unsafe { pointer::utf8(self.isa, "the level (isa)") }?;
            let isa = name.parse().map_err(|error| argument(format_args!("{error}")))?;
            options = options.isa(isa);
        }
        if !self.precision.is_null() {
            // SAFETY: the caller promises it.
            let name = unsafe { pointer::utf8(self.precision, "the precision") }?;
            let precision = name.parse().map_err(|error| argument(format_args!("{error}")))?;
            options = options.precision(precision);
        }
        if !self.tune.is_null() {
            // SAFETY: the caller promises it.
            let name = unsafe { pointer::utf8(self.tune, "the aim (tune)") }?;
            let tune = name.parse().map_err(|error| argument(format_args!("{error}")))?;
            options = options.tune(tune);
        }
        if self.threads > 0 {
            let threads = Threads::new(self.threads);
            let refused = |error| library(&error, Status::RitInvalidArgument);
            options = options.threads(threads.map_err(refused)?);
        }
        Ok(options)
    }
}

/// Reads a struct whose first member is the size that the caller knows it by: members that the
/// caller does not know keep their default; those that this library does not know must be zero.
///
/// # Safety
///
/// There are as many bytes as the first member says. A `T` may be any bytes, and its members are all
/// of the size of the first.
unsafe fn read_sized<T: Copy>(pointer: *const T, default: T, what: &str) -> Result<T, Status> {
    const WORD: usize = size_of::<usize>();
    // SAFETY: the first member is there.
    let size = unsafe { pointer::slice(pointer.cast::<usize>(), 1, what) }?[0];
    if size < WORD || !size.is_multiple_of(WORD) {
        return Err(argument(format_args!(
            "the size of {what} is {size}, expected {}: begin with its INIT macro",
            size_of::<T>()
        )));
    }
    // SAFETY: the caller promises that there are `size` bytes.
    let words = unsafe { pointer::slice(pointer.cast::<usize>(), size / WORD, what) }?;
    let (known, unknown) = words.split_at(words.len().min(size_of::<T>() / WORD));
    if unknown.iter().any(|&word| word != 0) {
        return Err(argument(format_args!(
            "{what} has {size} bytes, of which this version ({}) knows {}; those after them are not \
             zero",
            env!("CARGO_PKG_VERSION"),
            size_of::<T>()
        )));
    }
    let mut value = MaybeUninit::new(default);
    // SAFETY: `value` has room for `known`, which is no longer than a `T`; the caller promises that
    // its bytes may be any.
    unsafe {
        value.as_mut_ptr().cast::<usize>().copy_from_nonoverlapping(known.as_ptr(), known.len());
        Ok(value.assume_init())
    }
}

/// Writes a struct whose first member is the size that the caller knows it by: as much of it as that
/// says, but for this member.
///
/// # Safety
///
/// There are as many bytes as the first member says, and nobody else uses them. The first member of
/// `T` is its size, too.
pub(crate) unsafe fn write_sized<T: Copy>(
    pointer: *mut T,
    value: T,
    what: &str,
) -> Result<(), Status> {
    const WORD: usize = size_of::<usize>();
    // SAFETY: the first member is there.
    let size = unsafe { pointer::slice(pointer.cast::<usize>(), 1, what) }?[0];
    if size < WORD {
        return Err(argument(format_args!(
            "the size of {what} is {size}, expected {}: begin with its INIT macro",
            size_of::<T>()
        )));
    }
    let bytes = size.min(size_of::<T>()) - WORD;
    // SAFETY: the caller promises that there are `size` bytes; both begin with a member of one word.
    unsafe {
        let (from, to) = ((&raw const value).cast::<u8>(), pointer.cast::<u8>());
        to.add(WORD).copy_from_nonoverlapping(from.add(WORD), bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_may_be_older_or_newer() {
        #[repr(C)]
        struct Newer {
            known: Options,
            more: usize,
        }
        let older = [2 * size_of::<usize>(), 3];
        let mut newer =
            Newer { known: Options { size: size_of::<Newer>(), ..Options::DEFAULT }, more: 0 };
        // SAFETY: each is as long as it says.
        unsafe {
            let read = |pointer| read_sized(pointer, Options::DEFAULT, "options");
            let options = read(older.as_ptr().cast::<Options>()).expect("an older struct is read");
            assert_eq!((options.threads, options.isa.is_null()), (3, true));
            assert!(read((&raw const newer).cast()).is_ok());
            newer.more = 1;
            assert_eq!(read((&raw const newer).cast()).err(), Some(Status::RitInvalidArgument));
            for size in [0, 4, 12] {
                let wrong = Options { size, ..Options::DEFAULT };
                assert_eq!(read(&raw const wrong).err(), Some(Status::RitInvalidArgument));
            }
        }
    }

    #[test]
    fn of_a_result_only_what_fits_is_written() {
        let mut older = [2 * size_of::<usize>(), 0, 7];
        let value = Options { threads: 5, isa: c"avx2".as_ptr(), ..Options::DEFAULT };
        // SAFETY: the struct is longer than it says.
        unsafe { write_sized(older.as_mut_ptr().cast(), value, "info") }.expect("it fits");
        assert_eq!(older, [2 * size_of::<usize>(), 5, 7]);
    }
}
