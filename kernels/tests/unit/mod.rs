//! Kernels with a matrix unit. Where the CPU has no such unit, it is emulated.

#![allow(dead_code, reason = "each test takes what it needs")]

use std::ops::Range;

use ritornello_kernels::{
    Activation, Cell, Gru, GruReset, Isa, Kernels, Lstm, Precision, SimpleRnn, Tune, View, ViewMut,
};
use ritornello_reference::Recurrence;

use crate::emulator;
use crate::layer::{Extras, LSTM, Layer, RNN, bits};
use crate::product::{Projection, check_dots};

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

/// All rows against f64, with so many roundings of a sum, and some of them by themselves.
pub(crate) fn check_projection(
    layer: &Projection,
    kernels: &Kernels,
    input: View<'_>,
    terms: usize,
) {
    let what = layer.what(kernels);
    with_unit(&what, || {
        let whole = layer.run(kernels, input);
        let expected = layer.product.reference(input.batch());
        check_dots(&what, kernels, &layer.in_order(&whole), &expected, terms);
        let width = layer.packed.projection_width();
        for rows in [0, 1, 2, 15, 16, 17, 32] {
            let part = bits(&layer.run(kernels, input.rows(0, rows)));
            assert_eq!(part, bits(&whole[..rows * width]), "{rows} rows of {what}");
        }
    });
}

/// What the floor of a layer is reckoned from: bytes of weights, products of the unit, terms at once.
pub(crate) fn costs(layer: &Layer, kernels: &Kernels) -> ([usize; 2], [usize; 2], usize) {
    let packed = layer.packed(kernels);
    let terms = kernels.terms_at_once(&packed);
    (packed.bytes_of_weights(), kernels.unit_products(&packed), terms)
}

/// A layer whose steps the unit does as well as its projection, if it is large enough.
pub(crate) fn random(precision: Precision, kind: Cell, shape: [usize; 4], seed: u64) -> Layer {
    let layer = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
    Layer { precision, tune: Tune::Throughput, ..layer }
}

/// Layers that no kernel does as a whole: of many kinds, large enough for the unit.
pub(crate) fn with_extras(precision: Precision) -> Vec<Layer> {
    let elu = Activation::Elu { alpha: 0.7 };
    let lstm = Cell::Lstm(Lstm { activation: elu, ..Lstm::DEFAULT });
    let gru = |reset| Cell::Gru(Gru { activation: elu, ..Gru::new(reset) });
    let simple = Cell::SimpleRnn(SimpleRnn { activation: elu, clip: Some(0.5) });
    let projected = Extras { projection: Some(66), ..Extras::NONE };
    let peepholes = Extras { peepholes: true, ..projected };
    let diagonal = Extras { recurrence: Recurrence::Diagonal, ..Extras::NONE };
    let cells = [
        (lstm, Extras::NONE),
        (LSTM, projected),
        (LSTM, peepholes),
        (gru(GruReset::AfterMatmul), Extras::NONE),
        (gru(GruReset::BeforeMatmul), Extras::NONE),
        (simple, Extras::NONE),
        (RNN, diagonal),
    ];
    let layer = |(seed, (kind, extras)): (u64, _)| {
        let layer = Layer::random(kind, extras, [true, true], [40, 70, 2, 18], seed);
        Layer { precision, tune: Tune::Throughput, ..layer }
    };
    (1..).zip(cells).map(layer).collect()
}

/// Some panels of a projection and then the others are all of them.
pub(crate) fn check_shares(layer: &Layer, kernels: &Kernels) {
    let packed = layer.packed(kernels);
    let (time, batch, width) = (layer.time, layer.batch, packed.projection_width());
    let input = View::time_major(&layer.input, [time, batch, layer.input_size]);
    let project = |shares: &[Range<usize>]| {
        let mut found = vec![0.0; time * batch * width];
        for share in shares {
            let output = ViewMut::time_major(&mut found, [time, batch, width]);
            let scratch = &mut vec![f32::NAN; packed.projection_scratch_len(time * batch)];
            kernels.project_panels(&packed, share.clone(), input, output, scratch);
        }
        bits(&found)
    };
    let panels = packed.panels();
    assert_eq!(project(&[0..2, 2..panels]), project(&[0..panels, panels..panels]));
}
