//! Sessions: one stream each.

use std::ffi::CString;

use ritornello::Numbers;
use ritornello::model::{Extent, Shape};

use crate::claim::Claim;
use crate::failure::{argument, guard, library, refuse};
use crate::handle::{self, Kind};
use crate::plan::{Plan, c_text};
use crate::pointer;
use crate::status::Status;

/// One stream: states that live from call to call, and buffers for a fixed batch. One thread at a
/// time: who comes second gets #RIT_BUSY.
#[derive(Debug)]
pub struct Session {
    _private: (),
}

/// What stands behind a session's handle.
pub(crate) struct SessionBody {
    pub(crate) stream: Claim<Stream>,
    plan: ritornello::Plan,
    batch: usize,
    pub(crate) states: Vec<StatePart>,
}

/// What one call at a time uses.
pub(crate) struct Stream {
    pub(crate) session: ritornello::Session,
    /// Empty between calls; room for all inputs.
    pub(crate) inputs: Vec<Numbers<'static>>,
    /// Empty between calls; room for all outputs.
    pub(crate) outputs: Vec<&'static mut [f32]>,
}

/// An array among the states.
pub(crate) struct StatePart {
    pub(crate) name: CString,
    pub(crate) shape: [usize; 3],
}

impl Kind for Session {
    const NAME: &'static str = "rit_session";
    const MAGIC: u64 = u64::from_le_bytes(*b"ritsessn");
    type Body = SessionBody;
}

/// Makes a session: all memory that its calls will need.
///
/// A causal model runs sequences of any length in it, `max_time` steps at once; others up to
/// `max_time`. States are as the model starts: zero, or what it has learned.
///
/// @param plan  a plan, which may be freed after the call
/// @param batch  rows, which are independent of each other
/// @param max_time  steps that the buffers are for; for a stream the largest block, 1 for single
///     steps
/// @param session  gets the session, which rit_session_free() frees; null unless the call succeeds
/// @return #RIT_OK; #RIT_OUT_OF_MEMORY; #RIT_INVALID_ARGUMENT, also if the buffers are larger than
///     an address can say
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_session_new(
    plan: *const Plan,
    batch: usize,
    max_time: usize,
    session: *mut *mut Session,
) -> Status {
    guard(|| {
        let what = "the place for a session";
        // SAFETY: the header says what both must be.
        let plan = unsafe {
            pointer::write(session, std::ptr::null_mut(), what)?;
            &handle::see(plan)?.plan
        };
        let made = SessionBody::new(plan, batch, max_time)?;
        // SAFETY: it was written a moment ago.
        unsafe { pointer::write(session, handle::give(made), what) }
    })
}

/// Takes the memory of rit_run_lengths() now, so that not even its first call allocates. A model that
/// leaves steps out by masks of its own has it from the beginning.
///
/// @param session  a session
/// @return #RIT_OK; #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_session_reserve_lengths(session: *mut Session) -> Status {
    guard(|| {
        // SAFETY: the header says what `session` must be.
        let body = unsafe { handle::see(session.cast_const()) }?;
        body.stream.claim()?.session.reserve_lengths();
        Ok(())
    })
}

/// How many numbers an input has in a call.
///
/// @param session  a session
/// @param input  which one, from 0
/// @param time  the steps of the call, which count for sequences of #RIT_ANY_TIME only
/// @param length  gets the number: floats, or int32_t where the input is of indices
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such input, or that many numbers
///     cannot be in memory
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_session_input_length(
    session: *const Session,
    input: usize,
    time: usize,
    length: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what `session` must be.
        let body = unsafe { handle::see(session) }?;
        let shape = body.plan.inputs().get(input).map(|input| input.shape);
        let found = body.length(shape, time, "inputs")?;
        // SAFETY: the header says what `length` must be.
        unsafe { pointer::write(length, found, "the length") }
    })
}

/// How many floats an output has in a call.
///
/// @param session  a session
/// @param output  which one, from 0
/// @param time  the steps of the input that the output follows
/// @param length  gets the number
/// @return as rit_session_input_length()
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_session_output_length(
    session: *const Session,
    output: usize,
    time: usize,
    length: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what `session` must be.
        let body = unsafe { handle::see(session) }?;
        let shape = body.plan.outputs().get(output).map(|output| output.shape);
        let found = body.length(shape, time, "outputs")?;
        // SAFETY: the header says what `length` must be.
        unsafe { pointer::write(length, found, "the length") }
    })
}

/// Frees a session. One that another thread is using is left alone: rit_last_error() says so, and
/// its memory is lost.
///
/// @param session  a session, or null
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_session_free(session: *mut Session) {
    guard(|| {
        if session.is_null() {
            return Ok(());
        }
        // SAFETY: the header says what `session` must be.
        let body = unsafe { handle::see(session.cast_const()) }?;
        // One that broke is free, too.
        if let Err(Status::RitBusy) = body.stream.claim().map(drop) {
            return Err(Status::RitBusy);
        }
        // SAFETY: the header says that nobody uses the session any more, and nobody does.
        unsafe { handle::take_back(session) }.map(drop)
    });
}

impl SessionBody {
    fn new(plan: &ritornello::Plan, batch: usize, max_time: usize) -> Result<Self, Status> {
        reserve(plan.workspace_bytes(batch, max_time))?;
        let refused = |error| library(&error, Status::RitInvalidArgument);
        let mut session = plan.session(batch, max_time).map_err(refused)?;
        if plan.has_masks() {
            session.reserve_lengths();
        }
        let states = session.state().map_err(refused)?;
        let part = |(name, array): &(String, ritornello::Array)| {
            let mut shape = [0; 3];
            shape.copy_from_slice(array.shape());
            StatePart { name: c_text(name), shape }
        };
        let stream = Stream {
            session,
            inputs: Vec::with_capacity(plan.inputs().len()),
            outputs: Vec::with_capacity(plan.outputs().len()),
        };
        Ok(Self {
            stream: Claim::new(stream),
            plan: plan.clone(),
            batch,
            states: states.arrays().iter().map(part).collect(),
        })
    }

    /// Numbers of a value in a call of `time` steps.
    fn length(&self, shape: Option<Shape>, time: usize, what: &str) -> Result<usize, Status> {
        let Some(shape) = shape else {
            return Err(argument(format_args!("the model has not that many {what}")));
        };
        let time = match shape {
            Shape::Sequence { time: Extent::Input(_), .. } => time,
            Shape::Sequence { time: Extent::Fixed(time), .. } => time,
            Shape::Vector { .. } => 1,
            Shape::States { count, .. } => count,
        };
        let length =
            self.batch.checked_mul(time).and_then(|rows| rows.checked_mul(shape.features()));
        length.ok_or_else(|| {
            argument(format_args!(
                "{time} steps of {} rows are more than memory can hold",
                self.batch
            ))
        })
    }
}

/// Finds out whether there is so much memory; where there is not, an allocation would end the
/// process.
fn reserve(bytes: usize) -> Result<(), Status> {
    // A size that overflows is refused by name later.
    if bytes == usize::MAX {
        return Ok(());
    }
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(bytes).map_err(|_| {
        refuse(
            Status::RitOutOfMemory,
            format_args!(
                "a session of {bytes} bytes: there is not that much memory; ask for a smaller batch \
                 or fewer steps"
            ),
        )
    })
}
