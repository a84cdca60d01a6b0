//! States of a session, taken and given back.

use std::ffi::c_char;

use crate::failure::{argument, guard};
use crate::handle;
use crate::options::write_sized;
use crate::pointer;
use crate::run::{claim, of_data};
use crate::session::Session;
use crate::status::Status;

/// An array among the states. Begin with #RIT_STATE_INFO_INIT. Texts live as long as the session.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StateInfo {
    /// sizeof(rit_state_info), which tells the library which members there are.
    pub size: usize,
    /// Its name: `LAYER.h` or `LAYER.c`.
    pub name: *const c_char,
    /// Where it begins among the floats of rit_state_get().
    pub offset: usize,
    /// The first axis of `[directions, batch, features]`.
    pub directions: usize,
    /// The second axis.
    pub batch: usize,
    /// The last axis, which is dense.
    pub features: usize,
}

/// How many arrays the states have, and how many floats these have together.
///
/// @param session  a session
/// @param count  gets the number of arrays: one or two for each recurrent layer
/// @param length  gets the number of floats, which is never 0 unless count is
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_state_size(
    session: *const Session,
    count: *mut usize,
    length: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what all three must be.
        unsafe {
            let states = &handle::see(session)?.states;
            let floats = states.iter().map(|part| part.shape.iter().product::<usize>()).sum();
            pointer::write(count, states.len(), "the number of states")?;
            pointer::write(length, floats, "the length of the states")
        }
    })
}

/// What an array among the states is.
///
/// @param session  a session
/// @param index  which one, from 0
/// @param info  gets what it is; its size says how much of that
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such array
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_state_describe(
    session: *const Session,
    index: usize,
    info: *mut StateInfo,
) -> Status {
    guard(|| {
        // SAFETY: the header says what `session` must be.
        let states = &unsafe { handle::see(session) }?.states;
        let Some(part) = states.get(index) else {
            let count = states.len();
            return Err(argument(format_args!("there are {count} states, no number {index}")));
        };
        let before = states[..index].iter().map(|part| part.shape.iter().product::<usize>());
        let [directions, batch, features] = part.shape;
        let value = StateInfo {
            size: size_of::<StateInfo>(),
            name: part.name.as_ptr(),
            offset: before.sum(),
            directions,
            batch,
            features,
        };
        // SAFETY: the header says what `info` must be.
        unsafe { write_sized(info, value, "the state's info") }
    })
}

/// Copies all states, array after array, as rit_state_describe() says.
///
/// @param session  a session
/// @param state  gets the states
/// @param length  how many floats there is room for: exactly what rit_state_size() says
/// @return #RIT_OK; #RIT_DATA if the length does not fit; #RIT_BUSY; #RIT_INVALID_ARGUMENT; #RIT_PANIC
///
/// Real time: may be called. A call that succeeds does not allocate, lock or wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_state_get(
    session: *mut Session,
    state: *mut f32,
    length: usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what both must be.
        let (stream, state) =
            unsafe { (claim(session)?, pointer::slice_mut(state, length, "the states")?) };
        stream.session.state_numbers(state).map_err(of_data)
    })
}

/// Goes on from states that rit_state_get() gave, of this session or of another of the same plan and
/// batch, or that were trained.
///
/// @param session  a session
/// @param state  the states
/// @param length  how many floats these are: exactly what rit_state_size() says
/// @return as rit_state_get()
///
/// Real time: may be called. A call that succeeds does not allocate, lock or wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_state_set(
    session: *mut Session,
    state: *const f32,
    length: usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what both must be.
        let (mut stream, state) =
            unsafe { (claim(session)?, pointer::slice(state, length, "the states")?) };
        stream.session.set_state_numbers(state).map_err(of_data)
    })
}
