//! What activations make of NaN, infinity and zero, and where they reach their limits.

mod domain;
mod layer;

use domain::{apply, elementwise, inputs};
use layer::bits;
use ritornello_kernels::{Activation, Kernels};

/// Signalling, quiet, of either sign, with the lowest and the highest payload.
const NANS: [u32; 6] =
    [0x7f80_0001, 0x7fc0_0000, 0x7fff_ffff, 0xff80_0001, 0xffc0_0000, 0xffff_ffff];

#[test]
fn nan_gives_nan_in_its_own_lane() {
    for kernels in Kernels::available() {
        for activation in elementwise() {
            for length in [1, 3, 8, 16, 37] {
                let clean: Vec<f32> = (0..length).map(|i| 0.37 * i as f32 - 2.0).collect();
                let expected = apply(kernels, activation, &clean);
                for place in 0..length {
                    let mut row = clean.clone();
                    row[place] = f32::from_bits(NANS[place % NANS.len()]);
                    for (lane, found) in apply(kernels, activation, &row).into_iter().enumerate() {
                        let right = if lane == place {
                            found.is_nan()
                        } else {
                            found.to_bits() == expected[lane].to_bits()
                        };
                        assert!(
                            right,
                            "{activation} on {}: {found} in lane {lane} of {length}, NaN in {place}",
                            kernels.isa()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn infinities_give_the_limits() {
    let infinity = f32::INFINITY;
    for kernels in Kernels::available() {
        for activation in elementwise() {
            let [low, high] = match activation {
                Activation::Linear | Activation::LeakyRelu { .. } => [-infinity, infinity],
                Activation::Tanh | Activation::Softsign | Activation::HardTanh => [-1.0, 1.0],
                Activation::Sigmoid | Activation::HardSigmoid { .. } => [0.0, 1.0],
                Activation::Relu6 => [0.0, 6.0],
                Activation::ScaledTanh { alpha, .. } => [-alpha, alpha],
                Activation::Affine { alpha, .. } if alpha < 0.0 => [infinity, -infinity],
                Activation::Affine { .. } => [-infinity, infinity],
                Activation::Elu { alpha } => [-alpha, infinity],
                Activation::Selu => [-1.758_099_3, infinity],
                _ => [0.0, infinity],
            };
            let found = apply(kernels, activation, &[-infinity, infinity]);
            assert_eq!(found, [low, high], "{activation} on {}", kernels.isa());
        }
    }
}

/// What keeps the sign of zero, and tiny numbers: those with slope 1 at 0 and value 0.
#[test]
fn zeros_and_denormals_are_respected() {
    let tiny: Vec<f32> = [1, 2, 3, 0x1234, 0x7f_ffff, 0x80_0000, 0x80_0001]
        .into_iter()
        .flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
        .collect();
    for kernels in Kernels::available() {
        let isa = kernels.isa();
        for activation in [Activation::Tanh, Activation::Softsign, Activation::HardTanh] {
            let zeros = apply(kernels, activation, &[0.0, -0.0]);
            assert_eq!(bits(&zeros), bits(&[0.0, -0.0]), "{activation} of zeros on {isa}");
            let found = apply(kernels, activation, &tiny);
            assert_eq!(bits(&found), bits(&tiny), "{activation} of tiny numbers on {isa}");
        }
        for (activation, at_zero) in [
            (Activation::Sigmoid, 0.5),
            (Activation::Exponential, 1.0),
            (Activation::HARD_SIGMOID, 0.5),
            (Activation::Relu, 0.0),
            (Activation::Silu, 0.0),
            (Activation::Gelu, 0.0),
            (Activation::GeluTanh, 0.0),
            (Activation::Elu { alpha: 1.0 }, 0.0),
            (Activation::Selu, 0.0),
        ] {
            let found = apply(kernels, activation, &[0.0, -0.0]);
            assert_eq!(found, [at_zero, at_zero], "{activation} of zeros on {isa}");
        }
        // exp reaches into the denormal numbers, and every one of them is there.
        let found = apply(kernels, Activation::Exponential, &[-88.0, -100.0, -103.0, -103.9]);
        assert!(
            found.iter().all(|y| *y > 0.0 && y.is_subnormal()),
            "denormal results on {isa}: {found:?}"
        );
    }
}

#[test]
fn tanh_and_sigmoid_stay_in_range_and_saturate_for_good() {
    let mut inputs: Vec<f32> = inputs().into_iter().filter(|x| !x.is_nan()).collect();
    inputs.sort_by(f32::total_cmp);
    for kernels in Kernels::available() {
        let isa = kernels.isa();
        let tanh = apply(kernels, Activation::Tanh, &inputs);
        let sigmoid = apply(kernels, Activation::Sigmoid, &inputs);
        for ((x, tanh), sigmoid) in inputs.iter().zip(&tanh).zip(&sigmoid) {
            assert!((-1.0..=1.0).contains(tanh), "tanh({x:e}) is {tanh:e} on {isa}");
            assert!((0.0..=1.0).contains(sigmoid), "sigmoid({x:e}) is {sigmoid:e} on {isa}");
        }
        // From the first number that gives a limit on, every greater one does; and that is where the
        // limit is nearer than any other f32, give or take the stated error.
        for (what, results, limit, [earliest, latest]) in
            [("tanh", &tanh, 1.0, [8.3, 9.1]), ("sigmoid", &sigmoid, 1.0, [15.9, 17.4])]
        {
            let first = results.iter().position(|&y| y == limit).expect("saturates");
            assert!(
                (earliest..=latest).contains(&inputs[first]),
                "{what} is 1 from {} on {isa}",
                inputs[first]
            );
            let beyond = inputs.partition_point(|&x| x < latest);
            assert!(
                results[beyond..].iter().all(|&y| y == limit),
                "{what} leaves its limit on {isa}"
            );
        }
        let below = inputs.partition_point(|&x| x <= -104.0);
        assert!(sigmoid[..below].iter().all(|&y| y.to_bits() == 0), "sigmoid below -104 on {isa}");
        let below = inputs.partition_point(|&x| x <= -9.1);
        assert!(tanh[..below].iter().all(|&y| y == -1.0), "tanh below -9.1 on {isa}");
        // Odd, to the bit.
        let mirrored: Vec<f32> = inputs.iter().map(|x| -x).collect();
        for (x, (a, b)) in
            inputs.iter().zip(tanh.iter().zip(apply(kernels, Activation::Tanh, &mirrored)))
        {
            assert_eq!(a.to_bits(), (-b).to_bits(), "tanh at ±{x:e} on {isa}");
        }
    }
}
