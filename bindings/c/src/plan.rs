//! Plans: how this machine computes a model.

use std::ffi::{CString, c_char};

use ritornello::model::{Element, Extent, SequenceAxes, Shape};

use crate::failure::{argument, guard, library};
use crate::handle::{self, Kind};
use crate::model::Model;
use crate::options::{Options, write_sized};
use crate::pointer;
use crate::status::Status;

/// How this machine computes a model: weights packed, kernels chosen. Immutable: threads may share
/// one.
#[derive(Debug)]
pub struct Plan {
    _private: (),
}

/// What stands behind a plan's handle.
pub(crate) struct PlanBody {
    pub(crate) plan: ritornello::Plan,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
    isa: CString,
    precision: CString,
    explanation: CString,
    threads: usize,
    packed_bytes: usize,
}

impl Kind for Plan {
    const NAME: &'static str = "rit_plan";
    const MAGIC: u64 = u64::from_le_bytes(*b"rit_plan");
    type Body = PlanBody;
}

/// The order of the first two axes of sequences.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "C's enumerators share one scope")]
pub enum Axes {
    /// `[batch, time, features]`, as in Keras and in PyTorch with batch_first=True.
    RitBatchTime = 0,
    /// `[time, batch, features]`, as in PyTorch without it.
    RitTimeBatch = 1,
}

/// What the numbers of an input are.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "C's enumerators share one scope")]
pub enum ElementKind {
    /// float
    RitF32 = 0,
    /// int32_t: rows of an embedding's table. There is no axis of features.
    RitI32 = 1,
}

/// What the axes of an input or output are. All memory is dense, the last axis fastest.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::enum_variant_names, reason = "C's enumerators share one scope")]
pub enum ShapeKind {
    /// `[batch, time, features]`, or `[time, batch, features]` if the plan's axes say so.
    RitSequence = 0,
    /// `[batch, features]`
    RitVector = 1,
    /// `[time, batch, features]`, where time counts states and not steps.
    RitStates = 2,
}

// In C a macro of cbindgen.toml.
/// The time of a sequence that has as many steps as the caller gives.
pub const RIT_ANY_TIME: usize = usize::MAX;

/// What a plan is. Begin with #RIT_PLAN_INFO_INIT. Texts live as long as the plan.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PlanInfo {
    /// sizeof(rit_plan_info), which tells the library which members there are.
    pub size: usize,
    /// How many inputs it has.
    pub inputs: usize,
    /// How many outputs it has.
    pub outputs: usize,
    /// 1 if a sequence may be given in pieces, and steps one by one; 0 if every call needs a whole
    /// sequence.
    pub causal: usize,
    /// The threads, of which the caller's is one.
    pub threads: usize,
    /// The bytes of the packed weights.
    pub packed_bytes: usize,
    /// The level: "portable", "avx2" or "avx512".
    pub isa: *const c_char,
    /// What the arithmetic is: "f32", "f32-split", "bf16" or "int8".
    pub precision: *const c_char,
    /// What was chosen for each layer, and why: several lines.
    pub explanation: *const c_char,
    /// The order of the axes of sequences.
    pub axes: Axes,
}

/// What an input or output is. Begin with #RIT_VALUE_INFO_INIT. Texts live as long as the plan.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ValueInfo {
    /// sizeof(rit_value_info), which tells the library which members there are.
    pub size: usize,
    /// Its name.
    pub name: *const c_char,
    /// Steps of a sequence, or #RIT_ANY_TIME; the number of states; 1 of a vector.
    pub time: usize,
    /// The index of the input whose steps it has, where time is #RIT_ANY_TIME; else 0.
    pub follows: usize,
    /// The size of a row; 1 of indices.
    pub features: usize,
    /// What its axes are.
    pub shape: ShapeKind,
    /// What its numbers are.
    pub element: ElementKind,
}

/// Makes a model ready for this machine: packs every weight, chooses every kernel.
///
/// @param model  a model, which may be freed after the call
/// @param options  how it is to be run, or null for the defaults
/// @param plan  gets the plan, which rit_plan_free() frees; null unless the call succeeds
/// @return #RIT_OK; #RIT_UNSUPPORTED if the CPU lacks the level, or the system gives no threads;
///     #RIT_INVALID_ARGUMENT, also for an unknown level, precision or aim
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_plan_new(
    model: *const Model,
    options: *const Options,
    plan: *mut *mut Plan,
) -> Status {
    guard(|| {
        let what = "the place for a plan";
        // SAFETY: the header says what all three must be.
        unsafe {
            pointer::write(plan, std::ptr::null_mut(), what)?;
            let made = handle::see(model)?.plan(Options::read(options)?);
            let made = made.map_err(|error| library(&error, Status::RitInvalidArgument))?;
            pointer::write(plan, handle::give(PlanBody::new(made)), what)
        }
    })
}

/// What a plan is.
///
/// @param plan  a plan
/// @param info  gets what it is; its size says how much of that
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_plan_describe(plan: *const Plan, info: *mut PlanInfo) -> Status {
    // SAFETY: the header says what both must be.
    guard(|| unsafe { write_sized(info, handle::see(plan)?.info(), "the plan's info") })
}

/// What an input of a plan is.
///
/// @param plan  a plan
/// @param index  which one, from 0
/// @param info  gets what it is; its size says how much of that
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such input
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_plan_input(
    plan: *const Plan,
    index: usize,
    info: *mut ValueInfo,
) -> Status {
    guard(|| {
        // SAFETY: the header says what `plan` must be.
        let body = unsafe { handle::see(plan) }?;
        let input = at(body.plan.inputs(), index, "inputs")?;
        let value = ValueInfo::new(&body.inputs[index], input.shape, input.element);
        // SAFETY: the header says what `info` must be.
        unsafe { write_sized(info, value, "the input's info") }
    })
}

/// What an output of a plan is.
///
/// @param plan  a plan
/// @param index  which one, from 0
/// @param info  gets what it is; its size says how much of that
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT, also if there is no such output
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_plan_output(
    plan: *const Plan,
    index: usize,
    info: *mut ValueInfo,
) -> Status {
    guard(|| {
        // SAFETY: the header says what `plan` must be.
        let body = unsafe { handle::see(plan) }?;
        let output = at(body.plan.outputs(), index, "outputs")?;
        let value = ValueInfo::new(&body.outputs[index], output.shape, Element::F32);
        // SAFETY: the header says what `info` must be.
        unsafe { write_sized(info, value, "the output's info") }
    })
}

/// The bytes that a session of a plan takes, but for what steps that do not count need
/// (rit_session_reserve_lengths()).
///
/// @param plan  a plan
/// @param batch  rows
/// @param max_time  steps that the buffers are for
/// @param bytes  gets the number; SIZE_MAX if there is none so large
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_plan_workspace_bytes(
    plan: *const Plan,
    batch: usize,
    max_time: usize,
    bytes: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the header says what both must be.
        unsafe {
            let found = handle::see(plan)?.plan.workspace_bytes(batch, max_time);
            pointer::write(bytes, found, "the number of bytes")
        }
    })
}

/// Frees a plan. Sessions made of it live on.
///
/// @param plan  a plan, or null
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_plan_free(plan: *mut Plan) {
    // SAFETY: the header says that nobody uses the plan any more.
    guard(|| unsafe { handle::take_back(plan) }.map(drop));
}

fn at<'a, T>(all: &'a [T], index: usize, what: &str) -> Result<&'a T, Status> {
    let absent = || argument(format_args!("there are {} {what}, no number {index}", all.len()));
    all.get(index).ok_or_else(absent)
}

/// Text for C, which ends at the first zero.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or_default()).unwrap_or_default()
}

impl PlanBody {
    fn new(plan: ritornello::Plan) -> Self {
        let explained = plan.explain();
        Self {
            inputs: plan.inputs().iter().map(|input| c_text(&input.name)).collect(),
            outputs: plan.outputs().iter().map(|output| c_text(&output.name)).collect(),
            isa: c_text(explained.isa.name()),
            precision: c_text(explained.precision.name()),
            explanation: c_text(&explained.to_string()),
            threads: explained.threads,
            packed_bytes: explained.packed_bytes(),
            plan,
        }
    }

    fn info(&self) -> PlanInfo {
        PlanInfo {
            size: size_of::<PlanInfo>(),
            inputs: self.inputs.len(),
            outputs: self.outputs.len(),
            causal: usize::from(self.plan.is_causal()),
            threads: self.threads,
            packed_bytes: self.packed_bytes,
            isa: self.isa.as_ptr(),
            precision: self.precision.as_ptr(),
            explanation: self.explanation.as_ptr(),
            axes: match self.plan.axes() {
                SequenceAxes::BatchTime => Axes::RitBatchTime,
                SequenceAxes::TimeBatch => Axes::RitTimeBatch,
            },
        }
    }
}

impl ValueInfo {
    fn new(name: &std::ffi::CStr, shape: Shape, element: Element) -> Self {
        let (kind, time, follows) = match shape {
            Shape::Sequence { time: Extent::Input(input), .. } => {
                (ShapeKind::RitSequence, RIT_ANY_TIME, input)
            }
            Shape::Sequence { time: Extent::Fixed(time), .. } => (ShapeKind::RitSequence, time, 0),
            Shape::Vector { .. } => (ShapeKind::RitVector, 1, 0),
            Shape::States { count, .. } => (ShapeKind::RitStates, count, 0),
        };
        Self {
            size: size_of::<Self>(),
            name: name.as_ptr(),
            time,
            follows,
            features: shape.features(),
            shape: kind,
            element: match element {
                Element::F32 => ElementKind::RitF32,
                Element::Index => ElementKind::RitI32,
            },
        }
    }
}
