//! Two layers through one sequence, forward and backward, merged: what each gives alone, and if their
//! cells are the same, what a bidirectional layer gives.

mod models;
mod refusal;

use models::{all_layers, assert_alike, bits_of, get, layer, layer_with, noise, plan};
use refusal::refused;
use ritornello::model::{Cell, Direction, GruReset, Merge, Model, Recurrent};
use ritornello::{Array, Isa, Mask};

const MERGES: [Merge; 4] = [Merge::Concat, Merge::Sum, Merge::Mul, Merge::Average];

fn drawn(shape: &[usize], seed: u64) -> Array {
    let mut next = noise(seed);
    Array::new(shape, (0..shape.iter().product()).map(|_| next()).collect()).unwrap()
}

/// The two directions of a bidirectional layer, each a layer of its own.
fn apart(whole: &Recurrent) -> [Recurrent; 2] {
    let mut sides = whole.weights().iter().cloned();
    [Direction::Forward, Direction::Reverse].map(|direction| {
        let weights = sides.next().expect("two directions");
        Recurrent::new(whole.cell(), direction, vec![weights]).unwrap()
    })
}

/// Both layers of a pair over the input `x`: `y`, the merged sequence, and `last`.
fn pair_model(pair: [Recurrent; 2], merge: Merge) -> Model {
    let mut graph = Model::graph();
    let input = graph.sequence("x", pair[0].input_size());
    let both = graph.both_ways("rnn", pair, merge, input).unwrap();
    graph.output("y", both.sequence);
    graph.output("last", both.last);
    graph.build().unwrap()
}

/// The same of a bidirectional layer.
fn layer_model(layer: Recurrent) -> Model {
    let mut graph = Model::graph();
    let input = graph.sequence("x", layer.input_size());
    let values = graph.recurrent("rnn", layer, input);
    graph.output("y", values.sequence);
    graph.output("last", values.last);
    graph.build().unwrap()
}

fn halves(merge: Merge, [forward, backward]: [&[f32]; 2], sizes: [usize; 2]) -> Vec<f32> {
    let rows = forward.chunks(sizes[0]).zip(backward.chunks(sizes[1]));
    rows.flat_map(|(f, b)| match merge {
        Merge::Concat => [f, b].concat(),
        Merge::Sum => f.iter().zip(b).map(|(f, b)| f + b).collect(),
        Merge::Mul => f.iter().zip(b).map(|(f, b)| f * b).collect(),
        Merge::Average => f.iter().zip(b).map(|(f, b)| (f + b) * 0.5).collect(),
    })
    .collect()
}

#[test]
fn both_ways_with_different_cells_is_each_alone_merged() {
    let (features, batch, time) = (4, 3, 7);
    let x = drawn(&[batch, time, features], 1);
    for (merge, sizes) in [
        (Merge::Concat, [5, 8]),
        (Merge::Sum, [6, 6]),
        (Merge::Mul, [6, 6]),
        (Merge::Average, [6, 6]),
    ] {
        let forward = layer(Cell::LSTM, Direction::Forward, [features, sizes[0]], 2);
        let gru = Cell::gru(GruReset::BeforeMatmul);
        let backward = layer(gru, Direction::Reverse, [features, sizes[1]], 3);
        let mut graph = Model::graph();
        let input = graph.sequence("x", features);
        let both = graph.both_ways("rnn", [forward, backward], merge, input).unwrap();
        for (name, value) in [
            ("y", both.sequence),
            ("last", both.last),
            ("f", both.forward.sequence),
            ("b", both.backward.sequence),
            ("f.last", both.forward.last),
            ("b.last", both.backward.last),
        ] {
            graph.output(name, value);
        }
        let model = graph.build().unwrap();
        for isa in Isa::available() {
            let found = plan(&model, isa).run(&[("x", &x)]).unwrap();
            let of = |name: &str| get(&found, name).as_f32().unwrap();
            for [merged, f, b] in [["y", "f", "b"], ["last", "f.last", "b.last"]] {
                let expected = halves(merge, [of(f), of(b)], sizes);
                assert_eq!(bits_of(of(merged)), bits_of(&expected), "{merge:?} {merged} on {isa}");
            }
        }
    }
}

/// Whole sequences, rows of different lengths, and rows with holes.
#[test]
fn both_ways_of_one_cell_is_a_bidirectional_layer() {
    let (batch, time) = (4, 6);
    let x = drawn(&[batch, time, 4], 4);
    let mut next = noise(5);
    let steps = (0..batch * time).map(|place| place >= time && next() < 0.3).collect();
    let mask = Mask::new([batch, time], steps).unwrap();
    for (name, kind) in all_layers() {
        for merge in MERGES {
            let mut whole = layer_with(kind, Direction::Bidirectional, [4, 6], 9);
            whole.merge = merge;
            let models = [pair_model(apart(&whole), merge), layer_model(whole)];
            for isa in Isa::available() {
                let [pair, single] = models.each_ref().map(|model| plan(model, isa));
                let what = format!("{name}, {merge:?} on {isa}");
                let input = [("x", &x)];
                assert_alike(&pair.run(&input).unwrap(), &single.run(&input).unwrap(), &what);
                let [found, expected] =
                    [&pair, &single].map(|plan| plan.run_lengths(&input, &[6, 0, 3, 1]).unwrap());
                assert_alike(&found, &expected, &format!("{what}, with lengths"));
                let [found, expected] =
                    [&pair, &single].map(|plan| plan.run_masked(&input, &mask).unwrap());
                assert_alike(&found, &expected, &format!("{what}, with a mask"));
            }
        }
    }
}

fn sides(directions: [Direction; 2], sizes: [usize; 2]) -> [Recurrent; 2] {
    let cells = [Cell::LSTM, Cell::gru(GruReset::AfterMatmul)];
    [0, 1].map(|side| layer(cells[side], directions[side], [4, sizes[side]], 6))
}

const BOTH: [Direction; 2] = [Direction::Forward, Direction::Reverse];

#[test]
fn layers_of_other_directions_are_refused() {
    use Direction::{Bidirectional, Forward, Reverse};
    for directions in [[Reverse, Forward], [Forward, Forward], [Forward, Bidirectional]] {
        let mut graph = Model::graph();
        let input = graph.sequence("x", 4);
        let result = graph.both_ways("rnn", sides(directions, [6, 6]), Merge::Concat, input);
        let found = format!("{directions:?}");
        refused(result.map(|_| ()), &["rnn", "directions", "[Forward, Reverse]", &found]);
    }
}

#[test]
fn layers_of_unlike_sizes_are_only_put_behind_each_other() {
    for merge in MERGES {
        let mut graph = Model::graph();
        let input = graph.sequence("x", 4);
        let both = graph.both_ways("rnn", sides(BOTH, [5, 8]), merge, input).unwrap();
        graph.output("y", both.sequence);
        let model = graph.build();
        if merge == Merge::Concat {
            let value = model.as_ref().unwrap().outputs()[0].value;
            assert_eq!(model.unwrap().shape(value).unwrap().features(), 13);
            continue;
        }
        refused(model, &["rnn", "[batch, time, 5]", "[batch, time, 8]", "one shape"]);
    }
}

#[test]
fn a_single_step_is_refused() {
    let mut graph = Model::graph();
    let input = graph.sequence("x", 4);
    let both = graph.both_ways("rnn", sides(BOTH, [6, 6]), Merge::Sum, input).unwrap();
    graph.output("y", both.sequence);
    let model = graph.build().unwrap();
    assert!(!model.is_causal());
    let mut session = refusal::plan(&model).session(1, 4).unwrap();
    let words = ["a single step", "'rnn.backward'", "whole sequence", "run"];
    refused(session.step(&[0.0; 4], &mut [0.0; 6]), &words);
    // Its forward side alone takes steps.
    let [forward, _] = sides(BOTH, [6, 6]);
    let model = Model::chain(4).recurrent(forward).build().unwrap();
    refusal::plan(&model).session(1, 1).unwrap().step(&[0.0; 4], &mut [0.0; 6]).unwrap();
}
