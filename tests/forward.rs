//! Random models give what the equations say, on every level.
//!
//! Every node of every model is held against f64 with exact inputs and a derived bound; the scheme
//! is in `models/judge/mod.rs`.

mod models;

use models::{Case, Kind, bits, cases, judge, noise, passed, recipes};
use proptest::prelude::*;
use ritornello::model::{Activation, Op};
use ritornello::{Array, Isa, Model};

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn every_node_of_a_model_is_right(recipe in recipes(Kind::Any)) {
        let case = recipe.case();
        for isa in Isa::available() {
            passed(judge(&case, isa))?;
        }
    }

    #[test]
    fn levels_with_fused_multiply_add_agree_to_the_bit(recipe in recipes(Kind::Any)) {
        let case = recipe.case();
        let fused = Isa::available().into_iter().filter(|&isa| isa != Isa::Portable);
        let runs: Vec<_> = fused.map(|isa| (isa, case.run(isa))).collect();
        for pair in runs.windows(2) {
            prop_assert_eq!(bits(&pair[0].1), bits(&pair[1].1), "{} and {}", pair[0].0, pair[1].0);
        }
    }
}

/// Each activation as a node by itself: both tails, and the numbers around zero.
#[test]
fn every_activation_is_right() {
    for activation in Activation::ALL {
        let mut next = noise(7);
        let features = 37;
        let numbers: Vec<f32> = (0..60 * features)
            .map(|at| next() * [1e-30, 1e-3, 0.5, 1.0, 3.0, 10.0, 30.0, 80.0][at / features % 8])
            .collect();
        let mut graph = Model::graph();
        let x = graph.vector("x", features);
        let y = graph.node("y", Op::Activation(activation), &[x]);
        graph.output("y", y);
        let case = Case {
            model: graph.build().unwrap(),
            inputs: vec![("x".into(), Array::new(&[60, features], numbers).unwrap())],
            time: 1,
            batch: 60,
        };
        for isa in Isa::available() {
            judge(&case, isa).unwrap_or_else(|problem| panic!("{activation}: {problem}"));
        }
    }
}

/// Sequences that come from different inputs, and happen to have one length.
#[test]
fn sequences_of_different_inputs_may_be_combined() {
    for op in [Op::Concat, Op::Add, Op::Multiply] {
        let mut graph = Model::graph();
        let (a, b) = (graph.sequence("a", 3), graph.sequence("b", 3));
        let both = graph.node("both", op, &[a, b]);
        graph.output("y", both);
        let mut next = noise(11);
        let mut sequence = || Array::new(&[2, 4, 3], (0..24).map(|_| next()).collect()).unwrap();
        let case = Case {
            model: graph.build().unwrap(),
            inputs: vec![("a".into(), sequence()), ("b".into(), sequence())],
            time: 4,
            batch: 2,
        };
        for isa in Isa::available() {
            judge(&case, isa).unwrap();
        }
    }
}
