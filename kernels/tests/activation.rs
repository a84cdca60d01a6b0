//! Every activation on every level: its stated maximum error, its limits, its bits.
//!
//! Errors are counted in units in the last place (ULP) of the exact result, which is the f64
//! reference. By default every 1201st of all f32 is tried, and all around the thresholds; the test
//! that is ignored tries all of them.

mod layer;

use layer::{noise, reference_activation};
use ritornello_kernels::{Activation, Isa, Kernels, ViewMut};
use ritornello_reference::{self as reference, UNIT_ROUNDOFF, log_softmax, softmax, widen};

/// Those that map number to number, with parameters beside the usual ones.
fn elementwise() -> Vec<Activation> {
    let usual = Activation::ALL.into_iter().filter(|activation| !activation.works_on_rows());
    let others = [
        Activation::LeakyRelu { alpha: 0.01 },
        Activation::Elu { alpha: 1.98 },
        Activation::Elu { alpha: 0.3 },
        Activation::HardSigmoid { slope: 0.37, offset: 0.25 },
    ];
    usual.chain(others).collect()
}

/// The levels that round a product and its sum once.
fn fused_levels() -> Vec<&'static Kernels> {
    let levels = Kernels::available().into_iter();
    levels.filter(|kernels| kernels.isa() != Isa::Portable).collect()
}

/// The number that guards the memory around rows; no activation gives it.
const GUARD: f32 = -12345.678;

/// Applies to one row, behind which nothing is touched.
fn apply(kernels: &Kernels, activation: Activation, numbers: &[f32]) -> Vec<f32> {
    let mut rows = [numbers, &[GUARD; 32]].concat();
    let shape = [1, 1, numbers.len()];
    kernels.activate(activation, ViewMut::time_major(&mut rows, shape));
    let guards = rows.split_off(numbers.len());
    assert!(guards == [GUARD; 32], "{activation} on {} left its row", kernels.isa());
    rows
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// The exact value.
fn exact(activation: Activation, x: f32) -> f64 {
    match activation {
        Activation::Relu6 => f64::from(x).clamp(0.0, 6.0),
        other => reference_activation(other).apply(x.into()),
    }
}

/// The distance of f32 numbers around `y`; that of the greatest beyond them.
fn ulp(y: f64) -> f64 {
    let exponent = i32::try_from(y.abs().to_bits() >> 52).expect("11 bits") - 1023;
    2.0_f64.powi(exponent.clamp(-126, 127) - 23)
}

/// A result as a number: infinity is where the next f32 would be.
fn number(found: f32) -> f64 {
    if found.is_infinite() { 2.0_f64.powi(128).copysign(found.into()) } else { found.into() }
}

/// The error in ULP; infinite where one is NaN and the other is not.
fn error_in_ulp(found: f32, expected: f64) -> f64 {
    if found.is_nan() || expected.is_nan() {
        return if found.is_nan() && expected.is_nan() { 0.0 } else { f64::INFINITY };
    }
    let expected = expected.clamp(-(2.0_f64.powi(128)), 2.0_f64.powi(128));
    (number(found) - expected).abs() / ulp(expected)
}

/// The stated maximum error in ULP of tanh, sigmoid and exp, measured over all f32. The portable
/// level rounds the products of their polynomials by themselves.
fn stated(activation: Activation, isa: Isa) -> f64 {
    match (activation, isa) {
        (Activation::Tanh, Isa::Portable) => 2.7,
        (Activation::Tanh, _) => 2.6,
        (Activation::Sigmoid, _) => 2.5,
        (Activation::Exponential, _) => 1.1,
        (other, _) => panic!("{other} has another bound"),
    }
}

/// The largest error that an activation may have at `x`, where `y` is exact.
fn allowed(activation: Activation, isa: Isa, x: f32, y: f64) -> f64 {
    let (x, fused) = (f64::from(x), isa != Isa::Portable);
    let sigmoid = |x: f64| reference::Activation::Sigmoid.apply(x);
    let sigmoid_error = |gate: f64| stated(Activation::Sigmoid, isa) * ulp(gate);
    match activation {
        Activation::Linear
        | Activation::Relu
        | Activation::Relu6
        | Activation::HardTanh
        | Activation::Softmax
        | Activation::LogSoftmax => 0.0,
        Activation::Tanh | Activation::Sigmoid | Activation::Exponential => {
            stated(activation, isa) * ulp(y)
        }
        // One rounding.
        Activation::LeakyRelu { .. } => 0.5 * ulp(y),
        // One rounding; without fused multiply-add two, the first of the product.
        Activation::HardSigmoid { slope, .. } => {
            0.5 * ulp(y) + if fused { 0.0 } else { 0.5 * ulp(f64::from(slope) * x) }
        }
        // That of expm1, and the product's rounding.
        Activation::Elu { alpha } if x < 0.0 => {
            let own = if fused { 1.0 } else { 1.6 };
            let product = if alpha == 1.0 { 0.0 } else { 0.5 * ulp(y) };
            own * ulp(x.exp_m1()) * f64::from(alpha) + product
        }
        Activation::Elu { .. } => 0.0,
        Activation::Selu if x < 0.0 => ulp(y) * if fused { 1.9 } else { 2.3 },
        Activation::Selu => 1.1 * ulp(y),
        Activation::Softplus => ulp(y) * if fused { 1.9 } else { 2.1 },
        // One rounding of the sum, at most 1 ULP of the quotient, and one of the quotient.
        Activation::Softsign => 1.5 * ulp(y),
        // That of the sigmoid, and the product's rounding.
        Activation::Silu => x.abs() * sigmoid_error(sigmoid(x)) + 0.5 * ulp(y),
        // Without fused multiply-add the square in exp(-x²/2) is rounded, and exp moves by as much.
        Activation::Gelu if x < 0.0 => {
            let square = if fused { 0.0 } else { 0.5 * x * x * UNIT_ROUNDOFF };
            y.abs() * square.exp_m1() + ulp(y) * if fused { 6.3 } else { 7.5 }
        }
        Activation::Gelu => ulp(y) * if fused { 3.6 } else { 4.0 },
        // The sigmoid's argument has two rounded constants and passes four roundings, five without
        // fused multiply-add: its relative error becomes one of the sigmoid by the slope of ln
        // sigmoid. Then as above.
        Activation::GeluTanh => {
            let argument = (8.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            let gate = sigmoid(argument);
            let roundings = if fused { 6.0 } else { 7.0 };
            let shift = roundings * UNIT_ROUNDOFF * argument.abs() * (1.0 - gate);
            x.abs() * (gate * shift.exp_m1() + sigmoid_error(gate)) + 0.5 * ulp(y)
        }
        other => panic!("no bound is stated for {other}"),
    }
}

/// Where a formula changes, or a result becomes denormal, zero, one or infinite.
const THRESHOLDS: [f32; 34] = [
    0.0,
    1.2e-38,
    2.4e-38,
    3.0e-8,
    5.9e-8,
    1.2e-7,
    2.4e-4,
    0.173,
    0.346_573_6,
    0.5,
    0.549,
    std::f32::consts::LN_2,
    0.9,
    1.0,
    1.04,
    2.5,
    3.0,
    6.0,
    9.0,
    9.01,
    9.1,
    14.5,
    15.0,
    16.64,
    17.33,
    18.0,
    18.2,
    87.34,
    88.0,
    88.722_84,
    89.0,
    103.28,
    103.972,
    104.0,
];

/// Every 1201st f32 of both signs, 400 neighbours of each threshold, and many ordinary numbers.
fn inputs() -> Vec<f32> {
    let mut inputs: Vec<f32> = (0..=u32::MAX).step_by(1201).map(f32::from_bits).collect();
    let far = [33_554_432.0, 2.0_f32.powi(64), f32::MAX];
    for threshold in THRESHOLDS.into_iter().chain(far) {
        let middle = threshold.to_bits();
        for bits in middle.saturating_sub(200)..=middle + 200 {
            inputs.extend([f32::from_bits(bits), -f32::from_bits(bits)]);
        }
    }
    let mut next = noise(5);
    inputs.extend((0..200_000).map(|_| 18.0 * next()));
    inputs.extend((0..100_000).map(|_| 1.5 * next()));
    inputs
}

/// The largest errors seen, in ULP.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    ulp: [f64; 2],
    at: [f32; 2],
}

impl Worst {
    /// Takes one result; `Err` says that it is too far away.
    fn see(&mut self, activation: Activation, isa: Isa, x: f32, found: f32) -> Result<(), String> {
        let y = exact(activation, x);
        let error = error_in_ulp(found, y);
        let side = usize::from(x > 0.0);
        if error > self.ulp[side] {
            self.ulp[side] = error;
            self.at[side] = x;
        }
        // Right to the bit, as infinite and NaN results must be; the bounds are for finite ones.
        if error == 0.0 {
            return Ok(());
        }
        let allowed = if y.is_finite() { allowed(activation, isa, x, y) / ulp(y) } else { 0.0 };
        if error <= allowed {
            return Ok(());
        }
        Err(format!(
            "{activation} on {isa}: {found:e} at {x:e}, exact {y:e}: {error} ULP, allowed {allowed}"
        ))
    }

    fn merge(self, other: Self) -> Self {
        let mut both = self;
        for side in [0, 1] {
            if other.ulp[side] > both.ulp[side] {
                (both.ulp[side], both.at[side]) = (other.ulp[side], other.at[side]);
            }
        }
        both
    }
}

impl std::fmt::Display for Worst {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ([below, above], [at_below, at_above]) = (self.ulp, self.at);
        write!(f, "{below:.4} ULP below zero (at {at_below:e}), {above:.4} above (at {at_above:e})")
    }
}

/// Holds one activation against the reference; `Err` tells a result that is too far away.
fn check(kernels: &Kernels, activation: Activation, inputs: &[f32]) -> Result<Worst, String> {
    let mut worst = Worst::default();
    let mut problem = None;
    for (&x, found) in inputs.iter().zip(apply(kernels, activation, inputs)) {
        problem = worst.see(activation, kernels.isa(), x, found).err().or(problem);
    }
    problem.map_or(Ok(worst), |problem| Err(format!("{problem}; at most {worst}")))
}

#[test]
fn errors_are_at_most_what_is_stated() {
    let inputs = inputs();
    assert!(inputs.len() > 3_000_000, "dense enough: {} inputs", inputs.len());
    let mut problems = Vec::new();
    for kernels in Kernels::available() {
        for activation in elementwise() {
            match check(kernels, activation, &inputs) {
                Ok(worst) => println!("{activation} on {}: {worst}", kernels.isa()),
                Err(problem) => problems.push(problem),
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
#[ignore = "all 2^32 inputs: minutes"]
fn errors_are_at_most_what_is_stated_over_all_inputs() {
    for activation in [Activation::Tanh, Activation::Sigmoid, Activation::Exponential] {
        for kernels in Kernels::available() {
            // A thread takes every other block of inputs.
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            let worst = std::thread::scope(|scope| {
                let run = |first: usize| {
                    let mut worst = Worst::default();
                    for block in (first..1 << 12).step_by(threads) {
                        let start = u32::try_from(block << 20).expect("below 2^32");
                        let inputs: Vec<f32> =
                            (start..=start + ((1 << 20) - 1)).map(f32::from_bits).collect();
                        match check(kernels, activation, &inputs) {
                            Ok(block) => worst = worst.merge(block),
                            Err(problem) => panic!("{problem}"),
                        }
                    }
                    worst
                };
                let tasks: Vec<_> =
                    (0..threads).map(|first| scope.spawn(move || run(first))).collect();
                let results =
                    tasks.into_iter().map(|task| task.join().expect("no error too large"));
                results.fold(Worst::default(), Worst::merge)
            });
            println!("{activation} on {} over all f32: {worst}", kernels.isa());
        }
    }
}

#[test]
fn levels_with_fused_multiply_add_agree_to_the_bit() {
    let inputs = inputs();
    let Some((first, others)) = fused_levels().split_first().map(|(a, b)| (*a, b.to_vec())) else {
        println!("this CPU has no level with fused multiply-add: nothing compared");
        return;
    };
    println!("{} compared with {} other levels", first.isa(), others.len());
    for activation in elementwise() {
        let expected = apply(first, activation, &inputs);
        for other in &others {
            let found = apply(other, activation, &inputs);
            for ((x, a), b) in inputs.iter().zip(&expected).zip(found) {
                let same = a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                assert!(
                    same,
                    "{activation}({x:e}) is {a:e} on {}, {b:e} on {}",
                    first.isa(),
                    other.isa()
                );
            }
        }
    }
}

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

#[test]
fn rows_of_any_length_leave_the_memory_around_them_alone() {
    let all = elementwise().into_iter().chain([Activation::Softmax, Activation::LogSoftmax]);
    for activation in all {
        for kernels in Kernels::available() {
            for length in 0..=70 {
                let [time, batch, stride] = [2, 3, length + 1];
                let mut next = noise(length as u64);
                let mut memory = vec![GUARD; time * batch * stride + 40];
                let mut expected = memory.clone();
                for row in 0..time * batch {
                    let numbers: Vec<f32> = (0..length).map(|_| 4.0 * next()).collect();
                    let place = 20 + row * stride..20 + row * stride + length;
                    memory[place.clone()].copy_from_slice(&numbers);
                    expected[place].copy_from_slice(&apply(kernels, activation, &numbers));
                }
                // Batch-major: the rows of a step are `time` strides apart.
                let strides = [stride, time * stride];
                let view = ViewMut::new(&mut memory[20..], [time, batch, length], strides);
                kernels.activate(activation, view);
                assert_eq!(
                    bits(&memory),
                    bits(&expected),
                    "{activation} of {length} on {}",
                    kernels.isa()
                );
            }
        }
    }
}

/// Rows for softmax: ordinary, wide, one number far above all others, equal numbers, infinite lows.
fn softmax_rows(length: usize) -> Vec<Vec<f32>> {
    let mut next = noise(1000 + length as u64);
    let mut draw = |scale: f32| -> Vec<f32> { (0..length).map(|_| scale * next()).collect() };
    let mut peak = draw(1.0);
    peak[length / 2] = 30.0;
    let mut low = draw(3.0);
    if length > 1 {
        low[length - 1] = f32::NEG_INFINITY;
    }
    let mut huge = draw(3.0e38);
    huge[0] = f32::MAX;
    vec![
        draw(1.0),
        draw(20.0),
        draw(200.0),
        peak,
        low,
        huge,
        vec![7.25; length],
        vec![f32::MAX; length],
    ]
}

/// The error bounds of softmax and log-softmax for each element, by counting roundings: of the
/// difference to the maximum, which moves exp by as much; of exp; of the sum's additions, 16 lanes
/// and a tree of 4; of the division, or of ln and two differences.
fn softmax_bounds(row: &[f32], isa: Isa) -> (Vec<f64>, Vec<f64>) {
    const LANES: usize = 16;
    let row = widen(row);
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares = softmax(&row);
    let u = UNIT_ROUNDOFF;
    // ULP of a result are at most 2 u of it. Where a share is 0 the distance does not matter.
    let exp = 2.0 * stated(Activation::Exponential, isa) * u;
    let argument = |x: f64, share: f64| if share == 0.0 { 0.0 } else { (most - x) * u };
    let additions = (row.len().div_ceil(LANES) + 4) as f64 * u;
    let shifts: f64 = row.iter().zip(&shares).map(|(&x, &share)| share * argument(x, share)).sum();
    let total = shifts + exp + additions;
    let tiny = 2.0_f64.powi(-149);
    let of_share = |(&x, &share): (&f64, &f64)| {
        share * (argument(x, share) + exp + total + u) * 1.001 + 2.0 * tiny
    };
    let logs = log_softmax(&row);
    let ln_total = (row.len() as f64).ln();
    let of_log = |(&x, &log): (&f64, &f64)| {
        // ln errs by 0.9 ULP; portable by 1.2.
        (u * (most - x) + total + 2.0 * 1.2 * u * ln_total + u * log.abs()) * 1.001
    };
    let shares = row.iter().zip(&shares).map(of_share).collect();
    (shares, row.iter().zip(&logs).map(of_log).collect())
}

#[test]
fn softmax_and_log_softmax_are_right() {
    for kernels in Kernels::available() {
        let isa = kernels.isa();
        for length in 1..=70 {
            for row in softmax_rows(length) {
                let (bounds, log_bounds) = softmax_bounds(&row, isa);
                let shares = apply(kernels, Activation::Softmax, &row);
                let logs = apply(kernels, Activation::LogSoftmax, &row);
                for (what, found, expected, bounds) in [
                    ("softmax", &shares, softmax(&widen(&row)), &bounds),
                    ("log_softmax", &logs, log_softmax(&widen(&row)), &log_bounds),
                ] {
                    for j in 0..length {
                        let beyond =
                            expected[j] < -f64::from(f32::MAX) && found[j] == f32::NEG_INFINITY;
                        let error = (f64::from(found[j]) - expected[j]).abs();
                        assert!(
                            error <= bounds[j] || beyond,
                            "{what} on {isa}: {:e} at {j} of {length}, exact {:e}: off by {error:e}, allowed {:e}",
                            found[j],
                            expected[j],
                            bounds[j]
                        );
                    }
                }
                let sum: f64 = shares.iter().map(|&share| f64::from(share)).sum();
                let allowed: f64 = bounds.iter().sum();
                assert!((sum - 1.0).abs() <= allowed, "{length} shares sum to {sum} on {isa}");
                assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "shares in [0, 1]");
                assert!(
                    logs.iter().all(|&log| log <= 0.0),
                    "logarithms of shares, {length} on {isa}"
                );
            }
        }
    }
}

#[test]
fn softmax_of_infinity_and_nan() {
    for kernels in Kernels::available() {
        for activation in [Activation::Softmax, Activation::LogSoftmax] {
            for length in [1, 2, 7, 8, 9, 16, 17, 33, 70] {
                for place in [0, length / 2, length - 1] {
                    for what in [f32::NAN, -f32::NAN, f32::INFINITY] {
                        let mut row: Vec<f32> = (0..length).map(|i| i as f32).collect();
                        row[place] = what;
                        let found = apply(kernels, activation, &row);
                        // ∞ - ∞ has no value; beside it everything else has, 0 or -∞.
                        let right = if what.is_nan() || activation == Activation::Softmax {
                            found.iter().all(|y| y.is_nan())
                        } else {
                            found[place].is_nan()
                        };
                        assert!(
                            right,
                            "{activation} on {} of {length} with {what} at {place}: {found:?}",
                            kernels.isa()
                        );
                    }
                }
                let nothing = vec![f32::NEG_INFINITY; length];
                let found = apply(kernels, activation, &nothing);
                assert!(found.iter().all(|y| y.is_nan()), "{activation} of nothing but -∞");
            }
        }
    }
}

#[test]
fn softmax_does_not_depend_on_level_or_place() {
    for activation in [Activation::Softmax, Activation::LogSoftmax] {
        for length in 1..=70 {
            let mut rows = softmax_rows(length);
            rows.insert(3, vec![f32::NAN; length]);
            let count = rows.len();
            let mut of_levels: Vec<Vec<Vec<u32>>> = Vec::new();
            for kernels in Kernels::available() {
                let alone: Vec<Vec<u32>> =
                    rows.iter().map(|row| bits(&apply(kernels, activation, row))).collect();
                for first in 0..count {
                    let mut memory: Vec<f32> =
                        (0..count).flat_map(|i| rows[(first + i) % count].clone()).collect();
                    kernels
                        .activate(activation, ViewMut::time_major(&mut memory, [1, count, length]));
                    for (i, found) in memory.chunks(length).enumerate() {
                        let row = (first + i) % count;
                        let nan = found.iter().all(|y| y.is_nan()) && rows[row][0].is_nan();
                        assert!(
                            nan || bits(found) == alone[row],
                            "{activation} of {length} on {}: row {row} in place {i}",
                            kernels.isa()
                        );
                    }
                }
                if kernels.isa() != Isa::Portable {
                    of_levels
                        .push((0..count).filter(|&i| i != 3).map(|i| alone[i].clone()).collect());
                }
            }
            for other in of_levels.iter().skip(1) {
                assert_eq!(other, &of_levels[0], "{activation} of {length} on levels with FMA");
            }
        }
    }
}
