//! The bits themselves: they may change between versions only with a line in the changelog.
//!
//! A hash of the outputs of a few models, on every level with fused multiply-add. If one of these
//! changes, the arithmetic has: its order, a constant, a formula. Then say so in `CHANGELOG.md`, and
//! pin the new value.

mod models;

use std::path::Path;

use models::{all_layers, layer_with, noise};
use ritornello::load::{self, npz};
use ritornello::model::{Direction, PadOutput};
use ritornello::{Array, Isa, Mask, Model, Plan, PlanOptions};

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
    check_model(name, &model, expected, |plan| plan.run(&inputs).unwrap());
}

fn check_model(
    name: &str,
    model: &Model,
    expected: u64,
    run: impl Fn(&Plan) -> Vec<(String, Array)>,
) {
    for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::Portable) {
        let plan = model.plan(PlanOptions::default().isa(isa)).unwrap();
        let found = hash(&run(&plan));
        assert_eq!(found, expected, "{name} on {isa}: the bits are now {found:#018x}");
    }
}

const BATCH: usize = 3;
const TIME: usize = 9;

/// A bidirectional layer of a kind that the tests have a name for, which shows the state where steps do
/// not count: its sequence and its states on numbers that are drawn.
fn drawn(name: &str) -> (Model, Array) {
    let kinds = all_layers();
    let (_, kind) = kinds.iter().find(|(known, _)| *known == name).expect("a name of a kind");
    let mut layer = layer_with(*kind, Direction::Bidirectional, [5, 19], 1);
    layer.pad_output = PadOutput::HoldState;
    let mut graph = Model::graph();
    let x = graph.sequence("x", 5);
    let values = graph.recurrent("layer", layer, x);
    graph.output("y", values.sequence);
    graph.output("last", values.last);
    graph.output("h", values.h_n);
    let mut next = noise(2);
    let x = (0..BATCH * TIME * 5).map(|_| next()).collect();
    (graph.build().unwrap(), Array::new(&[BATCH, TIME, 5], x).unwrap())
}

fn check_drawn(name: &str, expected: u64) {
    let (model, x) = drawn(name);
    check_model(name, &model, expected, |plan| plan.run(&[("x", &x)]).unwrap());
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

#[test]
fn an_lstm_with_a_projection() {
    check_drawn("lstm, projection", 0x9b18_c6c4_4cc4_4671);
}

#[test]
fn an_lstm_with_peepholes() {
    check_drawn("lstm, peepholes", 0x4808_365d_e678_1b57);
}

#[test]
fn an_lstm_with_coupled_gates_and_peepholes() {
    check_drawn("lstm, i = 1 - f, peepholes", 0xff8e_6365_03be_ae67);
}

#[test]
fn an_lstm_with_gates_coupled_the_other_way() {
    check_drawn("lstm, f = 1 - i", 0x0f72_7672_06f8_2b4f);
}

#[test]
fn an_lstm_with_all_at_once() {
    check_drawn("lstm, all at once", 0x8c61_af45_f562_cf6a);
}

#[test]
fn an_lstm_with_a_diagonal() {
    check_drawn("lstm, diagonal", 0xd2bd_7f5e_3867_e68b);
}

#[test]
fn a_gru_with_a_diagonal() {
    check_drawn("gru, reset after, diagonal", 0x76a9_7d84_7d8e_941f);
}

#[test]
fn a_gru_with_a_diagonal_that_resets_before_the_product() {
    check_drawn("gru, reset before, diagonal", 0x6829_d644_85f7_ee6e);
}

#[test]
fn an_elman_network_with_an_identity() {
    check_drawn("rnn, identity", 0x2a06_69b6_c627_368c);
}

#[test]
fn an_lstm_with_an_identity() {
    check_drawn("lstm, identity", 0x4922_a00e_c223_6c40);
}

/// A row with holes, one that counts as a whole and one of which nothing counts.
fn check_masked(name: &str, expected: u64) {
    let (model, x) = drawn(name);
    let counts = |place: usize| match place / TIME {
        0 => place % 3 != 1,
        row => row == 1,
    };
    let mask = Mask::new([BATCH, TIME], (0..BATCH * TIME).map(counts).collect()).unwrap();
    check_model(name, &model, expected, |plan| plan.run_masked(&[("x", &x)], &mask).unwrap());
}

#[test]
fn a_masked_lstm() {
    check_masked("lstm", 0x4586_1b5b_263f_cbc0);
}

#[test]
fn a_masked_gru() {
    check_masked("gru, reset after", 0xad4e_0ba7_897f_026a);
}

#[test]
fn a_masked_lstm_with_a_projection() {
    check_masked("lstm, projection", 0xba15_ef27_1bf6_86f6);
}
