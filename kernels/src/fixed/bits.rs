//! The bits themselves, pinned: the same with `std` and with `libm`.

use super::{FixedDense, FixedGru, FixedLstm, FixedRnn, FixedSource};
use super::{HiddenState, LstmState, activate};
use crate::activation::Activation;
use crate::cell::GruReset;

/// Numbers in [-1, 1) from a seed: xorshift64*.
struct Noise(u64);

impl Noise {
    fn numbers<const N: usize>(&mut self) -> [f32; N] {
        core::array::from_fn(|_| {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
            high as f32 / 8_388_608.0 - 1.0
        })
    }
}

/// FNV-1a over the bits of numbers, begun with another hash.
fn hash(begun: u64, numbers: &[f32]) -> u64 {
    let bytes = numbers.iter().flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(begun, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

const BEGIN: u64 = 0xcbf2_9ce4_8422_2325;

/// The hash of what 100 steps of 3 features give.
fn run(mut step: impl FnMut(&[f32; 3]) -> [f32; 19]) -> u64 {
    let mut noise = Noise(2);
    (0..100).fold(BEGIN, |begun, _| hash(begun, &step(&noise.numbers())))
}

fn check(name: &str, found: u64, expected: u64) {
    assert_eq!(found, expected, "{name}: the bits are now {found:#018x}");
}

/// Numbers for 19 units and as many gates as any cell has.
struct Numbers {
    input: [f32; 4 * 19 * 3],
    recurrent: [f32; 4 * 19 * 19],
    biases: [[f32; 4 * 19]; 2],
}

impl Numbers {
    fn new() -> Self {
        let mut noise = Noise(1);
        let biases = [noise.numbers(), noise.numbers()];
        let recurrent = noise.numbers().map(|x: f32| 0.25 * x);
        Self { input: noise.numbers(), recurrent, biases }
    }

    fn source(&self, gates: usize) -> FixedSource<'_> {
        FixedSource {
            input_weights: &self.input[..gates * 19 * 3],
            recurrent_weights: &self.recurrent[..gates * 19 * 19],
            bias: Some(&self.biases[0][..gates * 19]),
            recurrent_bias: Some(&self.biases[1][..gates * 19]),
        }
    }
}

#[test]
fn of_an_lstm() {
    let cell = FixedLstm::<3, 19>::new(Numbers::new().source(4)).unwrap();
    let mut state = LstmState::ZERO;
    check("lstm", run(|x| *cell.step(x, &mut state)), 0x0f96_ee7a_5e3f_057d);
}

#[test]
fn of_a_gru_that_resets_after_the_product() {
    let cell = FixedGru::<3, 19>::new(Numbers::new().source(3), GruReset::AfterMatmul).unwrap();
    let mut state = HiddenState::ZERO;
    check("gru", run(|x| *cell.step(x, &mut state)), 0x71e1_3d22_bcea_74f5);
}

#[test]
fn of_a_gru_that_resets_before_the_product() {
    let cell = FixedGru::<3, 19>::new(Numbers::new().source(3), GruReset::BeforeMatmul).unwrap();
    let mut state = HiddenState::ZERO;
    check("gru", run(|x| *cell.step(x, &mut state)), 0x7432_ae9f_cdf4_e642);
}

#[test]
fn of_simple_networks() {
    let numbers = Numbers::new();
    let cell = FixedRnn::<3, 19>::tanh(numbers.source(1)).unwrap();
    let mut state = HiddenState::ZERO;
    check("tanh", run(|x| *cell.step(x, &mut state)), 0x3384_91d3_bcdd_e8de);
    let cell = FixedRnn::<3, 19>::relu(numbers.source(1)).unwrap();
    let mut state = HiddenState::ZERO;
    check("relu", run(|x| *cell.step(x, &mut state)), 0x8f02_2d11_af04_4b0d);
}

#[test]
fn of_a_head() {
    let numbers = Numbers::new();
    let layer = FixedDense::<3, 19>::new(&numbers.input[..3 * 19], None).unwrap();
    let found = Activation::ALL.into_iter().fold(BEGIN, |begun, activation| {
        let mut y = layer.apply(&[3.0, -2.0, 4.0]);
        let outcome = activate(activation, &mut y);
        assert_eq!(outcome.is_err(), activation.works_on_rows());
        hash(begun, &y)
    });
    check("head", found, 0xf2a9_8f90_21f4_60ac);
}

/// A state that each step halves is flushed once it is too small to count, below 2⁻⁹⁶.
#[test]
fn of_a_network_that_fades() {
    // 2⁻⁶⁰, of which tanh is itself.
    const BEGINNING: f32 = f32::from_bits((127 - 60) << 23);
    let source = FixedSource {
        input_weights: &[0.0; 3],
        recurrent_weights: &[0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.5],
        bias: None,
        recurrent_bias: None,
    };
    for cell in [FixedRnn::<1, 3>::tanh(source), FixedRnn::<1, 3>::relu(source)] {
        let (cell, mut state) = (cell.unwrap(), HiddenState { hidden: [BEGINNING; 3] });
        for step in 1..=40 {
            let found = cell.step(&[0.0], &mut state).iter().all(|h| *h > 0.0);
            assert_eq!(found, step <= 36, "step {step}: {:?}", state.hidden);
        }
        assert_eq!(state.hidden.map(f32::to_bits), [0; 3]);
    }
}
