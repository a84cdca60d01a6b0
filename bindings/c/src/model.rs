//! Models: what is computed.

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;

use ritornello::load::{self, Spec};

use crate::failure::{guard, library};
use crate::handle::{self, Kind};
use crate::pointer;
use crate::status::Status;

/// What is computed: layers and their weights. Immutable: threads may share one.
#[derive(Debug)]
pub struct Model {
    _private: (),
}

impl Kind for Model {
    const NAME: &'static str = "rit_model";
    const MAGIC: u64 = u64::from_le_bytes(*b"ritmodel");
    type Body = ritornello::Model;
}

/// Reads a model file: what the library reads by itself, such as `.keras`, or the `.safetensors` of
/// `ritornello convert`.
///
/// @param path  the file; UTF-8, on Unix any bytes
/// @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
/// @return #RIT_OK; #RIT_IO if the file cannot be read; #RIT_MODEL_FILE if it is damaged;
///     #RIT_UNSUPPORTED if it is of another kind, holds something that is not run here, or needs a
///     spec (rit_model_load_with_spec()); #RIT_INVALID_ARGUMENT
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_model_load(path: *const c_char, model: *mut *mut Model) -> Status {
    make(model, || {
        // SAFETY: the header says what `path` must be.
        let path = unsafe { self::path(path) }?;
        load::load(path).map_err(of_file)
    })
}

/// The same for a file that is in memory, such as one that a plugin embeds. The bytes are not needed
/// after the call.
///
/// @param bytes  the whole file
/// @param length  its bytes
/// @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
/// @return as rit_model_load(), but for #RIT_IO
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_model_load_memory(
    bytes: *const c_void,
    length: usize,
    model: *mut *mut Model,
) -> Status {
    make(model, || {
        // SAFETY: the header says what `bytes` must be.
        let bytes = unsafe { pointer::slice(bytes.cast::<u8>(), length, "the bytes of a model") }?;
        load::from_bytes(bytes).map_err(of_file)
    })
}

/// Reads a file of weights only, such as a PyTorch state_dict as `.safetensors` or an `.npz`, and
/// takes the layers from a spec.
///
/// @param path  the file; UTF-8, on Unix any bytes
/// @param spec  the text of the spec, JSON (docs/spec.schema.json); `ritornello inspect --spec`
///     drafts one
/// @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
/// @return as rit_model_load(); #RIT_MODEL_FILE also if the spec and the weights do not fit
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_model_load_with_spec(
    path: *const c_char,
    spec: *const c_char,
    model: *mut *mut Model,
) -> Status {
    make(model, || {
        // SAFETY: the header says what both must be.
        let (path, spec) = unsafe { (self::path(path)?, self::spec(spec)?) };
        load::load_with_spec(path, &spec).map_err(of_file)
    })
}

/// The same for weights that are in memory. Neither the bytes nor the spec are needed after the call.
///
/// @param bytes  the whole file
/// @param length  its bytes
/// @param spec  the text of the spec, JSON
/// @param model  gets the model, which rit_model_free() frees; null unless the call succeeds
/// @return as rit_model_load_with_spec(), but for #RIT_IO
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_model_load_memory_with_spec(
    bytes: *const c_void,
    length: usize,
    spec: *const c_char,
    model: *mut *mut Model,
) -> Status {
    make(model, || {
        // SAFETY: the header says what both must be.
        let (bytes, spec) = unsafe {
            let bytes = pointer::slice(bytes.cast::<u8>(), length, "the bytes of weights")?;
            (bytes, self::spec(spec)?)
        };
        load::from_bytes_with_spec(bytes, &spec).map_err(of_file)
    })
}

/// The number of weights and biases.
///
/// @param model  a model
/// @param count  gets the number
/// @return #RIT_OK; #RIT_INVALID_ARGUMENT
///
/// Real time: may be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_model_parameters(model: *const Model, count: *mut usize) -> Status {
    guard(|| {
        // SAFETY: the header says what both must be.
        unsafe {
            pointer::write(count, handle::see(model)?.parameters(), "the number of parameters")
        }
    })
}

/// Frees a model. Plans made of it live on: they have weights of their own.
///
/// @param model  a model, or null
///
/// Real time: not to be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rit_model_free(model: *mut Model) {
    // SAFETY: the header says that nobody uses the model any more.
    guard(|| unsafe { handle::take_back(model) }.map(drop));
}

/// Writes a handle of what `load` gives, or null.
fn make(
    model: *mut *mut Model,
    load: impl FnOnce() -> Result<ritornello::Model, Status>,
) -> Status {
    guard(|| {
        let what = "the place for a model";
        // SAFETY: the header says what `model` must be.
        unsafe { pointer::write(model, std::ptr::null_mut(), what) }?;
        let loaded = load()?;
        // SAFETY: it was written a moment ago.
        unsafe { pointer::write(model, handle::give(loaded), what) }
    })
}

#[allow(clippy::needless_pass_by_value, reason = "it stands in map_err as it is")]
fn of_file(error: ritornello::Error) -> Status {
    library(&error, Status::RitModelFile)
}

/// # Safety
///
/// As [`pointer::text`].
unsafe fn spec(spec: *const c_char) -> Result<Spec, Status> {
    // SAFETY: the caller promises it.
    let text = unsafe { pointer::utf8(spec, "the spec") }?;
    Spec::from_json(text).map_err(of_file)
}

/// # Safety
///
/// As [`pointer::text`].
unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path, Status> {
    // SAFETY: the caller promises it.
    native(unsafe { pointer::text(path, "the path of a model") }?)
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere not all bytes are a path")]
fn native(path: &CStr) -> Result<&Path, Status> {
    use std::os::unix::ffi::OsStrExt;
    Ok(Path::new(std::ffi::OsStr::from_bytes(path.to_bytes())))
}

#[cfg(not(unix))]
fn native(path: &CStr) -> Result<&Path, Status> {
    let not_utf8 = |_| crate::failure::argument(format_args!("the path is not UTF-8: {path:?}"));
    path.to_str().map(Path::new).map_err(not_utf8)
}
