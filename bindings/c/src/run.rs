//! Calls that compute.

use std::ffi::c_void;
use std::ops::Range;

use ritornello::{Numbers, Steps};

use crate::claim::Claimed;
use crate::failure::{argument, guard, library};
use crate::handle;
use crate::pointer::{self, addresses, overlap};
use crate::session::{Session, Stream};
use crate::status::Status;

/// Memory of an input.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RunInput {
    /// float, or int32_t where the input is of indices (rit_plan_input()).
    pub data: *const c_void,
    /// How many there are: rit_session_input_length().
    pub length: usize,
}

/// Memory of an output.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RunOutput {
    /// Where it is written.
    pub data: *mut f32,
    /// How many floats there is room for: exactly rit_session_output_length().
    pub length: usize,
}

/// Runs the model on one piece of memory for each input, and writes one for each output, in the
/// order of rit_plan_input() and rit_plan_output().
///
/// The time of each sequence follows from the length of its memory. If the model is causal, what is
/// given in one call goes on where the last call ended, with the same bits as in a single call, until
/// rit_reset(). Else every call is a whole sequence of up to max_time steps.
///
/// Nothing is written unless the call succeeds. Inputs and outputs may not overlap.
///
/// @param session  a session
/// @param inputs  as many as the plan has
/// @param input_count  how many that are
/// @param outputs  as many as the plan has
/// @param output_count  how many that are
/// @return #RIT_OK; #RIT_DATA if a length, a count or an index does not fit; #RIT_BUSY;
///     #RIT_INVALID_ARGUMENT; #RIT_PANIC
///
/// Real time: may be called. With one thread, a call that succeeds does not allocate, lock or wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_run(
    session: *mut Session,
    inputs: *const RunInput,
    input_count: usize,
    outputs: *const RunOutput,
    output_count: usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what all pointers must be.
        let call = unsafe { Memory::new(inputs, input_count, outputs, output_count) }?;
        // SAFETY: as above.
        unsafe { call.run(claim(session)?, Steps::All) }
    })
}

/// The same for rows of different lengths: of row r the first `lengths[r]` steps count, the others
/// are padding.
///
/// Every row gets the bits that it has alone at its own length, whatever the padding holds; in
/// outputs that are sequences the padding is zero, unless a layer holds its outputs. The sequences of
/// #RIT_ANY_TIME have the same time.
///
/// @param session  a session
/// @param inputs  as many as the plan has
/// @param input_count  how many that are
/// @param lengths  the steps of each row that count
/// @param length_count  how many these are: as many as the batch has rows
/// @param outputs  as many as the plan has
/// @param output_count  how many that are
/// @return as rit_run(); #RIT_DATA also if a length is greater than the time of the sequences
///
/// Real time: may be called after rit_session_reserve_lengths(), without which the first such call of
/// a session allocates.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_run_lengths(
    session: *mut Session,
    inputs: *const RunInput,
    input_count: usize,
    lengths: *const usize,
    length_count: usize,
    outputs: *const RunOutput,
    output_count: usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what all pointers must be.
        unsafe {
            let call = Memory::new(inputs, input_count, outputs, output_count)?;
            let lengths = pointer::slice(lengths, length_count, "the lengths")?;
            let range = addresses(lengths.as_ptr(), lengths.len());
            call.check_apart(&range, "the lengths")?;
            call.run(claim(session)?, Steps::Lengths(lengths))
        }
    })
}

/// Runs one step of a causal model of one input and one output: `[batch, features]` to the same.
///
/// @param session  a session
/// @param x  the input
/// @param x_length  batch × features of the input
/// @param y  gets the output; it may not overlap `x`
/// @param y_length  batch × features of the output
/// @return #RIT_OK; #RIT_DATA if a length does not fit; #RIT_UNSUPPORTED if the model needs whole
///     sequences, or has other inputs or outputs (give those to rit_run(), with one step each);
///     #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
///
/// Real time: may be called. With one thread, a call that succeeds does not allocate, lock or wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_step(
    session: *mut Session,
    x: *const f32,
    x_length: usize,
    y: *mut f32,
    y_length: usize,
) -> Status {
    guard(|| {
        check_apart(&addresses(x, x_length), &addresses(y.cast_const(), y_length), "the input", 0)?;
        // SAFETY: the header says what all pointers must be; x and y do not overlap.
        let (mut stream, x, y) = unsafe {
            let x = pointer::slice(x, x_length, "the input")?;
            (claim(session)?, x, pointer::slice_mut(y, y_length, "the output")?)
        };
        stream.session.step(x, y).map_err(of_data)
    })
}

/// Forgets everything: all states are again as the model starts, zero or what it has learned.
///
/// @param session  a session
/// @return #RIT_OK; #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
///
/// Real time: may be called. It does not allocate, lock or wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_reset(session: *mut Session) -> Status {
    guard(|| {
        // SAFETY: the header says what `session` must be.
        unsafe { claim(session) }?.session.reset();
        Ok(())
    })
}

/// Forgets what one row of the batch has seen; the others go on.
///
/// @param session  a session
/// @param row  which one, from 0
/// @return as rit_reset(); #RIT_DATA if there is no such row
///
/// Real time: may be called. A call that succeeds does not allocate, lock or wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_reset_row(session: *mut Session, row: usize) -> Status {
    // SAFETY: the header says what `session` must be.
    guard(|| unsafe { claim(session) }?.session.reset_row(row).map_err(of_data))
}

/// The stream of a session, if no other thread is using it.
///
/// # Safety
///
/// As [`handle::see`].
pub(crate) unsafe fn claim<'a>(session: *mut Session) -> Result<Claimed<'a, Stream>, Status> {
    // SAFETY: the caller promises it.
    unsafe { handle::see(session.cast_const()) }?.stream.claim()
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err as it is")]
pub(crate) fn of_data(error: ritornello::Error) -> Status {
    library(&error, Status::RitData)
}

/// The memory of a call. What is read overlaps nothing that is written.
struct Memory<'a> {
    inputs: &'a [RunInput],
    outputs: &'a [RunOutput],
}

impl<'a> Memory<'a> {
    /// # Safety
    ///
    /// What is at the pointers is as the header says.
    unsafe fn new(
        inputs: *const RunInput,
        input_count: usize,
        outputs: *const RunOutput,
        output_count: usize,
    ) -> Result<Self, Status> {
        // SAFETY: the caller promises it.
        let memory = unsafe {
            Self {
                inputs: pointer::slice(inputs, input_count, "the inputs")?,
                outputs: pointer::slice(outputs, output_count, "the outputs")?,
            }
        };
        memory.check_apart(&addresses(inputs, input_count), "the table of inputs")?;
        memory.check_apart(&addresses(outputs, output_count), "the table of outputs")?;
        for input in memory.inputs {
            // Both elements have four bytes.
            memory.check_apart(&addresses(input.data.cast::<f32>(), input.length), "an input")?;
        }
        for (index, output) in memory.outputs.iter().enumerate() {
            let range = addresses(output.data.cast_const(), output.length);
            for (other, after) in memory.outputs.iter().enumerate().skip(index + 1) {
                let after = addresses(after.data.cast_const(), after.length);
                check_apart(&range, &after, "an output", other)?;
            }
        }
        Ok(memory)
    }

    /// Checks that no output is written over this.
    fn check_apart(&self, range: &Range<usize>, what: &str) -> Result<(), Status> {
        for (index, output) in self.outputs.iter().enumerate() {
            let written = addresses(output.data.cast_const(), output.length);
            check_apart(range, &written, what, index)?;
        }
        Ok(())
    }

    /// Runs a session on it.
    ///
    /// # Safety
    ///
    /// Each input and output has as much memory as it says, which nobody else uses.
    unsafe fn run(self, mut stream: Claimed<'_, Stream>, steps: Steps<'_>) -> Result<(), Status> {
        let Stream { session, inputs, outputs } = &mut *stream;
        // A call that was refused in the middle left some.
        inputs.clear();
        outputs.clear();
        let plan = session.plan();
        let counts = [self.inputs.len(), self.outputs.len()];
        let expected = [plan.inputs().len(), plan.outputs().len()];
        if counts != expected {
            return Err(crate::failure::refuse(
                Status::RitData,
                format_args!(
                    "{} inputs and {} outputs for a model with {} and {}",
                    counts[0], counts[1], expected[0], expected[1]
                ),
            ));
        }
        for (given, input) in self.inputs.iter().zip(plan.inputs()) {
            let name = input.name.as_str();
            // SAFETY: the caller promises that the memory is there for the call, after which the
            // list is cleared.
            inputs.push(unsafe {
                match input.element {
                    ritornello::model::Element::F32 => {
                        Numbers::F32(pointer::slice(given.data.cast(), given.length, name)?)
                    }
                    ritornello::model::Element::Index => {
                        Numbers::Index(pointer::slice(given.data.cast(), given.length, name)?)
                    }
                }
            });
        }
        for (given, output) in self.outputs.iter().zip(plan.outputs()) {
            // SAFETY: as above; `new` found that nothing overlaps it.
            outputs.push(unsafe { pointer::slice_mut(given.data, given.length, &output.name)? });
        }
        let done = session.run_numbers_into(inputs, steps, outputs);
        inputs.clear();
        outputs.clear();
        done.map_err(of_data)
    }
}

/// Checks that an output is not written over something else.
fn check_apart(
    range: &Range<usize>,
    written: &Range<usize>,
    what: &str,
    output: usize,
) -> Result<(), Status> {
    if !overlap(range, written) {
        return Ok(());
    }
    Err(argument(format_args!(
        "the memory of output {output} overlaps {what}; give it memory of its own"
    )))
}
