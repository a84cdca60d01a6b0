//! The bits themselves: they may change between versions only with a line in the changelog.
//!
//! A hash of the outputs of a few models, on every level with fused multiply-add. If one of these
//! changes, the arithmetic has: its order, a constant, a formula. Then say so in `CHANGELOG.md`, and
//! pin the new value.

use std::path::Path;

use ritornello::load::{self, npz};
use ritornello::{Array, Isa, PlanOptions};

/// FNV-1a over the bits of all outputs.
fn hash(outputs: &[(String, Array)]) -> u64 {
    let numbers = outputs.iter().flat_map(|(_, array)| array.as_f32().unwrap());
    let bytes = numbers.flat_map(|x| x.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn check(name: &str, expected: u64) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let model = load::load(folder.join("model.keras")).unwrap();
    let case = npz::read(folder.join("case.npz")).unwrap();
    let inputs: Vec<(&str, &Array)> = case
        .iter()
        .filter_map(|(name, read)| Some((name.strip_prefix("input.")?, &read.array)))
        .collect();
    for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::Portable) {
        let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
        let found = hash(&plan.run(&inputs).unwrap());
        assert_eq!(found, expected, "{name} on {isa}: the bits are now {found:#018x}");
    }
}

#[test]
fn an_elman_network_with_relu() {
    check("simple-rnn-relu-dense", 0x903c_8fed_fbcf_b0cb);
}

#[test]
fn an_lstm_of_an_odd_size() {
    check("shapes-odd", 0xf83a_ee68_7077_ca73);
}

#[test]
fn a_stack_of_bidirectional_grus() {
    check("bigru-3-layers", 0x224f_8807_178e_6f1e);
}

#[test]
fn a_gru_that_resets_before_the_product() {
    check("gru-reset-before", 0xe1c6_c113_49ee_715d);
}

#[test]
fn every_activation_of_the_head() {
    check("activations", 0x2135_4f26_27d0_59ed);
}

#[test]
fn cells_without_a_kernel_of_their_own() {
    check("lstm-variants", 0x8f7d_29d1_f321_66ba);
}
