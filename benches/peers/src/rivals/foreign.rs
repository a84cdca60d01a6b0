//! Contestants in C++: shared objects that speak the interface of `shims/peer.h`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::sync::Arc;

use libloading::Library;

use crate::case::Case;
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::scratch::Places;

/// `peer_case` of `shims/peer.h`.
#[repr(C)]
struct PeerCase {
    cell: c_int,
    layers: c_int,
    directions: c_int,
    input_size: c_int,
    hidden_size: c_int,
    batch: c_int,
    time: c_int,
    threads: c_int,
    weights: *const f32,
    x: *const f32,
    hidden: *const f32,
    cell_state: *const f32,
}

type Version = unsafe extern "C" fn() -> *const c_char;
type New = unsafe extern "C" fn(*const PeerCase, *mut c_char, usize) -> *mut c_void;
type Run = unsafe extern "C" fn(*mut c_void) -> c_int;
type Answer = unsafe extern "C" fn(*mut c_void, *mut f32);
type Free = unsafe extern "C" fn(*mut c_void);

struct Functions {
    version: Version,
    new: New,
    run: Run,
    answer: Answer,
    free: Free,
    /// Keeps the functions where they are.
    _library: Library,
}

/// A rival in a shared object.
pub(crate) struct Foreign {
    name: &'static str,
    functions: Result<Arc<Functions>, String>,
}

impl Foreign {
    /// Opens `libpeer-NAME.so`, if it was built.
    pub(crate) fn new(name: &'static str, places: &Places) -> Self {
        let file = places.shims.join(format!("libpeer-{name}.so"));
        Self { name, functions: open(file).map(Arc::new) }
    }
}

fn open(file: PathBuf) -> Result<Functions, String> {
    if !file.exists() {
        return Err("its shared object was not built: see what run.sh says".into());
    }
    // SAFETY: the file is built by run.sh from shims/*.cpp, whose functions have the types of
    // shims/peer.h, which the types above repeat; its initialisers need nothing of this process.
    unsafe {
        let library = Library::new(file).map_err(|error| error.to_string())?;
        let missing = |error: libloading::Error| error.to_string();
        Ok(Functions {
            version: *library.get(b"peer_version\0").map_err(missing)?,
            new: *library.get(b"peer_new\0").map_err(missing)?,
            run: *library.get(b"peer_run\0").map_err(missing)?,
            answer: *library.get(b"peer_answer\0").map_err(missing)?,
            free: *library.get(b"peer_free\0").map_err(missing)?,
            _library: library,
        })
    }
}

impl Rival for Foreign {
    fn name(&self) -> &str {
        self.name
    }

    fn version(&self) -> Result<String, String> {
        let functions = self.functions.as_ref().map_err(Clone::clone)?;
        // SAFETY: `peer_version` gives a string that lives as long as the library.
        let version = unsafe { CStr::from_ptr((functions.version)()) };
        Ok(version.to_string_lossy().into_owned())
    }

    fn enter(&mut self, case: &Case, threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        let functions = self.functions.as_ref().map_err(Refusal::failed)?;
        let weights = case.flat_weights();
        let size = |value: usize| c_int::try_from(value).map_err(Refusal::failed);
        let shape = case.shape;
        let peer = PeerCase {
            cell: size(shape.cell.gates())?,
            layers: size(shape.layers)?,
            directions: size(shape.directions)?,
            input_size: size(shape.input_size)?,
            hidden_size: size(shape.hidden_size)?,
            batch: size(shape.batch)?,
            time: size(shape.time)?,
            threads: size(threads)?,
            weights: weights.as_ptr(),
            x: case.x.as_ptr(),
            hidden: case.hidden.as_ptr(),
            cell_state: case.cell.as_ptr(),
        };
        let mut why = [0_u8; 256];
        // SAFETY: `peer` and what it points to outlive the call, which copies what it keeps; the
        // arrays have the lengths that peer.h derives from the sizes; `why` has the length given.
        let handle =
            unsafe { (functions.new)(&raw const peer, why.as_mut_ptr().cast(), why.len()) };
        if handle.is_null() {
            let why = CStr::from_bytes_until_nul(&why).unwrap_or(c"no reason given");
            let why = why.to_string_lossy().into_owned();
            return Err(match why.strip_prefix("- ") {
                Some(reason) => Refusal::NotOffered(reason.into()),
                None => Refusal::Failed(why),
            });
        }
        Ok(Box::new(Entered { functions: functions.clone(), handle }))
    }
}

struct Entered {
    functions: Arc<Functions>,
    handle: *mut c_void,
}

impl Runner for Entered {
    fn run(&mut self) -> Result<(), String> {
        // SAFETY: the handle came from `peer_new` of the same library and was not freed.
        match unsafe { (self.functions.run)(self.handle) } {
            0 => Ok(()),
            code => Err(format!("peer_run gave {code}")),
        }
    }

    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        let mut answer = vec![f32::NAN; case.answer.len()];
        // SAFETY: the handle as above; `answer` has time × batch × directions × hidden numbers,
        // which is what `peer_answer` writes.
        unsafe { (self.functions.answer)(self.handle, answer.as_mut_ptr()) };
        Ok(answer)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        // SAFETY: the handle came from `peer_new`, and nobody uses it after this.
        unsafe { (self.functions.free)(self.handle) }
    }
}
