//! Products of bytes with VNNI, the instructions that some CPUs of a level have for them, are those without,
//! to the bit. Where the CPU has no such instructions, they are emulated.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod emulator;
mod layer;
mod product;

use layer::{Extras, GRU_AFTER, GRU_BEFORE, LSTM, Layer, RNN, bits};
use product::{Product, Projection, ROWS};
use ritornello_kernels::{Isa, Kernels, Precision, View};

/// Of each level that this CPU has and that knows VNNI: its kernels without, and with.
fn pairs() -> Vec<[&'static Kernels; 2]> {
    emulator::install();
    let is_there = |isa: &Isa| {
        let found = isa.kernels();
        found.inspect_err(|absent| eprintln!("not run: {absent}")).is_ok()
    };
    let levels = [Isa::Avx2, Isa::Avx512].into_iter().filter(is_there);
    // SAFETY: the CPU has these levels, and knows VNNI or it is emulated.
    let of = |isa: Isa, vnni| unsafe { isa.kernels_with_vnni(vnni) }.expect("a level with VNNI");
    levels.map(|isa| [of(isa, false), of(isa, true)]).collect()
}

/// Whether this CPU has VNNI on a level, as detection finds.
fn is_native(isa: Isa) -> bool {
    isa.kernels().is_ok_and(|found| found.products_at_once(Precision::Int8) > 1)
}

/// What is found with some kernels and those of the same level with VNNI, which are used.
fn check<T: PartialEq>(pair: [&Kernels; 2], what: &str, found: impl Fn(&Kernels) -> T) {
    let [without, with] = pair;
    let before = emulator::instructions_done();
    let expected = found(without);
    let same = found(with) == expected;
    assert!(same, "{what} on {}", with.isa());
    let native = is_native(with.isa());
    // Other tests run at the same time: there are some at least.
    assert!(native || emulator::instructions_done() > before, "{what}: no such instruction");
}

#[test]
fn projections_are_the_same() {
    for pair in pairs() {
        for kind in [RNN, LSTM, GRU_AFTER] {
            for depth in [3, 13] {
                for size in [1, 17, 33, 70] {
                    for rows in [1, 2, 7, ROWS] {
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
                for batch in [1, 2, 6, 13] {
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
            let mut layer = Layer::random(RNN, Extras::NONE, [true, true], [1 << 17, 3, 1, 2], 5);
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
fn names_say_which_instructions() {
    let mut layer = Layer::random(LSTM, Extras::NONE, [true, true], [5, 19, 2, 3], 5);
    for pair in pairs() {
        let names = |layer: &Layer| pair.map(|kernels| kernels.cell_name(&layer.packed(kernels)));
        layer.precision = Precision::Int8;
        let [without, with] = names(&layer);
        let isa = pair[0].isa();
        assert!(without.contains(&format!("-{isa}-")), "{without}");
        assert!(with.contains(&format!("-{isa}vnni-")), "{with}");
        layer.precision = Precision::F32;
        let [without, with] = names(&layer);
        assert_eq!(without, with);
        let at_once = |precision| pair.map(|kernels| kernels.products_at_once(precision));
        assert_eq!([at_once(Precision::F32), at_once(Precision::Int8)], [[1, 1], [1, 4]]);
        let mut terms = |precision| {
            layer.precision = precision;
            pair.map(|kernels| kernels.terms_at_once(&layer.packed(kernels)))
        };
        assert_eq!([terms(Precision::F32), terms(Precision::Int8)], [[2, 2], [16, 4]]);
    }
}
