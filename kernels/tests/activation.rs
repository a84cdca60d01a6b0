//! Every activation on every level: its stated maximum error, its bits, the rows it is applied to.
//!
//! Errors are counted in units in the last place (ULP) of the exact result, which is the f64
//! reference. By default every 1201st of all f32 is tried, and all around the thresholds; the test
//! that is ignored tries all of them.

mod domain;
mod layer;

use domain::{GUARD, apply, elementwise, inputs, stated};
use layer::{bits, fused, noise, reference_activation};
use ritornello_kernels::{Activation, Isa, Kernels, ViewMut};
use ritornello_reference::{self as reference, UNIT_ROUNDOFF};

/// The exact value.
fn exact(activation: Activation, x: f32) -> f64 {
    reference_activation(activation).apply(x.into())
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
        | Activation::ThresholdedRelu { .. }
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
        Activation::Affine { alpha, .. } => {
            0.5 * ulp(y) + if fused { 0.0 } else { 0.5 * ulp(f64::from(alpha) * x) }
        }
        // The argument is rounded, which moves tanh by its slope; tanh; and the product's rounding.
        Activation::ScaledTanh { alpha, beta } => {
            let z = f64::from(beta) * x;
            let argument = 0.5 * ulp(z) * (1.0 - z.tanh().powi(2));
            let own = stated(Activation::Tanh, isa) * ulp(z.tanh());
            f64::from(alpha).abs() * (argument + own) + 0.5 * ulp(y)
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

/// The levels that round a product and its sum once.
fn fused_levels() -> Vec<&'static Kernels> {
    let levels = Kernels::available().into_iter();
    levels.filter(|kernels| fused(kernels)).collect()
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
