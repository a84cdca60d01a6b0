//! Products of bytes with VNNI or AMX, the instructions that some CPUs of a level have for them, are those
//! without, to the bit. Where the CPU has no such instructions, they are emulated.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod emulator;
mod layer;
mod product;

use std::sync::LazyLock;

use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits};
use product::{Product, Projection, ROWS};
use ritornello_kernels::{Isa, Kernels, Precision, View};

/// Kernels of a level without such instructions, and with some.
struct Pair {
    without: &'static Kernels,
    with: &'static Kernels,
    /// Whether this CPU has them.
    native: bool,
    /// Whether it does those by itself that multiply few rows.
    native_for_few: bool,
}

/// Of each level that this CPU has: with VNNI, and with AMX.
fn pairs() -> &'static [Pair] {
    static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(find_pairs);
    &PAIRS
}

fn find_pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for isa in [Isa::Avx2, Isa::Avx512] {
        let found = match isa.kernels() {
            Ok(found) => found,
            Err(absent) => {
                eprintln!("not run: {absent}");
                continue;
            }
        };
        // Asked for before it is used: refused instructions would be done in software.
        let has_unit = found.has_matrix_unit();
        emulator::install();
        // SAFETY: the CPU has the level, and knows these instructions or they are emulated.
        let [without, vnni, amx] = unsafe {
            [
                isa.kernels_with_vnni(false),
                isa.kernels_with_vnni(true),
                isa.kernels_with_matrix_unit(true),
            ]
        };
        let without = without.expect("a level with VNNI");
        // SAFETY: the CPU has the level.
        let native_for_few = unsafe { emulator::is_vnni_native(isa) };
        let pair = |native| move |with| Pair { without, with, native, native_for_few };
        let vnni = vnni.map(pair(found.products_at_once(Precision::Int8) > 1));
        pairs.extend(vnni.into_iter().chain(amx.map(pair(has_unit))));
    }
    pairs
}

/// What is found with some kernels and those of the same level with such instructions, which are used.
fn check<T: PartialEq>(pair: &Pair, what: &str, found: impl Fn(&Kernels) -> T) {
    let before = emulator::instructions_done();
    let expected = found(pair.without);
    let same = found(pair.with) == expected;
    assert!(same, "{what} on {}", pair.with.isa());
    // Other tests run at the same time: there are some at least.
    let native = pair.native || pair.native_for_few;
    let used = native || emulator::instructions_done() > before;
    assert!(used, "{what}: no such instruction");
}

#[test]
fn projections_are_the_same() {
    for pair in pairs() {
        for kind in [RNN, LSTM, GRU_AFTER] {
            for depth in [3, 13, 64, 130] {
                for size in [1, 17, 33, 70] {
                    for rows in [1, 2, 7, ROWS, 19] {
                        let what = format!("{kind:?} {depth}, {size} x {rows}");
                        check(pair, &what, |kernels| {
                            let outputs = kind.gates().len() * size;
                            let product = Product::new(depth, outputs, rows).in_int8();
                            let layer = Projection::of(kernels, kind, product, size);
                            let input = View::time_major(&layer.product.input, [1, rows, depth]);
                            bits(&layer.run(kernels, input))
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn layers_are_the_same() {
    for pair in pairs() {
        for (seed, kind) in (1..).zip([RNN, LSTM, GRU_AFTER, GRU_BEFORE]) {
            for size in [1, 17, 33, 66] {
                for batch in [1, 2, 6, 13, 17] {
                    let shape = [size + 3, size, 2, batch];
                    let mut layer = Layer::random(kind, Extras::NONE, [true, true], shape, seed);
                    layer.precision = Precision::Int8;
                    check(pair, &format!("{kind:?} {shape:?}"), |kernels| {
                        let name = kernels.cell_name(&layer.packed(kernels));
                        assert!(name.contains("-int8-"), "{name}");
                        layer.run(kernels).bits()
                    });
                }
            }
        }
    }
}

/// Sums of 2^17 products at their limits, and shifted ones beyond them on the way.
#[test]
fn the_longest_sums_are_the_same() {
    for pair in pairs() {
        for sign in [1.0, -1.0] {
            let mut layer = Layer::random(RNN, Extras::NONE, [true, true], [1 << 17, 3, 1, 4], 5);
            layer.input.fill(sign);
            layer.input_weights.fill(0.5 * sign);
            layer.precision = Precision::Int8;
            check(pair, "2^17 products", |kernels| {
                let found = layer.run(kernels);
                assert!(found.output.iter().all(|&h| h == 1.0), "the sum is not wrapped");
                found.bits()
            });
        }
    }
}

/// A row that is not finite is NaN, and no other.
#[test]
fn rows_that_are_not_finite_are_the_same() {
    let mut layer = Layer::random(LSTM, Extras::NONE, [true, true], [5, 19, 2, 3], 5);
    layer.precision = Precision::Int8;
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-42] {
        layer.input[7] = number;
        for pair in pairs() {
            check(pair, &number.to_string(), |kernels| {
                let output = layer.run(kernels).output;
                output.iter().map(|x| (!x.is_nan()).then(|| x.to_bits())).collect::<Vec<_>>()
            });
        }
    }
}

#[test]
fn many_rows_go_to_a_matrix_unit() {
    let mut layer = Layer::random(LSTM, Extras::NONE, [true, true], [70, 19, 1, 4], 5);
    layer.precision = Precision::Int8;
    for pair in pairs().iter().filter(|pair| pair.with.has_matrix_unit() && !pair.native) {
        let before = emulator::tiles::products_done();
        let _ = layer.run(pair.with);
        // Two blocks of 70 bytes for the 4 gates of two panels, and one of 19; other tests run meanwhile.
        assert!(emulator::tiles::products_done() >= before + 16 + 8);
    }
}

#[test]
fn names_say_which_instructions() {
    let mut layer = Layer::random(LSTM, Extras::NONE, [true, true], [5, 19, 2, 3], 5);
    for &Pair { without, with, .. } in pairs() {
        let both = [without, with];
        let names = |layer: &Layer| both.map(|kernels| kernels.cell_name(&layer.packed(kernels)));
        layer.precision = Precision::Int8;
        let [plain, named] = names(&layer);
        let isa = without.isa();
        assert!(plain.contains(&format!("-{isa}-")), "{plain}");
        let word = if with.has_matrix_unit() { "amx" } else { "vnni" };
        assert!(named.contains(&format!("-{isa}{word}-")), "{named}");
        layer.precision = Precision::F32;
        let [plain, named] = names(&layer);
        assert_eq!(plain, named);
        let at_once = |precision| both.map(|kernels| kernels.products_at_once(precision));
        assert_eq!([at_once(Precision::F32), at_once(Precision::Int8)], [[1, 1], [1, 4]]);
        let mut terms = |precision| {
            layer.precision = precision;
            both.map(|kernels| kernels.terms_at_once(&layer.packed(kernels)))
        };
        assert_eq!([terms(Precision::F32), terms(Precision::Int8)], [[2, 2], [16, 4]]);
    }
}
