//! Kernels with a matrix unit. Where the CPU has no such unit, it is emulated.

#![allow(dead_code, reason = "each test takes what it needs")]

use ritornello_kernels::{Cell, Isa, Kernels, Precision, Tune};

use crate::emulator;
use crate::layer::{Extras, Layer};

/// AVX-512 without a matrix unit, and with one, if this CPU has the level.
pub(crate) fn pair() -> Option<[&'static Kernels; 2]> {
    if let Err(absent) = Isa::Avx512.kernels() {
        eprintln!("not run: {absent}");
        return None;
    }
    // Asked for before it is used: refused instructions would be done in software.
    let _ = is_native();
    emulator::install();
    // SAFETY: the CPU has the level, and a matrix unit or it is emulated.
    let of = |unit| unsafe { Isa::Avx512.kernels_with_matrix_unit(unit) };
    Some([of(false)?, of(true)?])
}

/// Whether the CPU has a matrix unit, and the system gives it.
fn is_native() -> bool {
    Isa::Avx512.kernels().is_ok_and(Kernels::has_matrix_unit)
}

/// Does something with the unit, which is used: by the CPU itself, or instructions are done for it.
pub(crate) fn with_unit(what: &str, work: impl FnOnce()) {
    let before = emulator::tiles::products_done();
    work();
    // Other tests run at the same time: there are some at least.
    let used = is_native() || emulator::tiles::products_done() > before;
    assert!(used, "{what}: no such instruction");
}

/// A layer whose steps the unit does as well as its projection, if it is large enough.
pub(crate) fn random(precision: Precision, kind: Cell, shape: [usize; 4], seed: u64) -> Layer {
    let layer = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
    Layer { precision, tune: Tune::Throughput, ..layer }
}
