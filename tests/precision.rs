//! Models with weights of bf16, whose numbers are those of the same model with rounded matrices where no matrix unit
//! rounds rows as well, and with weights of bytes, or split for such a unit; and all that is promised of bits.

mod models;

use models::{
    Arrays, Case, Extras, Kind, all_layers, batch_axis, bits, cases, layer_with, named, noise,
    pick, recipes,
};
use proptest::prelude::*;
use ritornello::model::{
    CellWeights, Dense, Direction, Matrix, Model, Recurrent, RecurrentWeights,
};
use ritornello::{Array, Isa, Plan, PlanOptions, Precision, Threads, Tune};

fn plan(model: &Model, isa: Isa, precision: Precision, threads: usize) -> Plan {
    // Of all that the precisions leave open this asks most of a matrix unit.
    let options = PlanOptions::default().isa(isa).precision(precision).tune(Tune::Throughput);
    model.plan(options.threads(Threads::new(threads).unwrap())).unwrap()
}

fn fused() -> impl Iterator<Item = Isa> {
    Isa::available().into_iter().filter(|&isa| isa != Isa::Portable)
}

/// The nearest bf16, the even one of two.
fn rounded(number: f32) -> f32 {
    let bits = number.to_bits();
    f32::from_bits((bits + 0x7fff + (bits >> 16 & 1)) & 0xffff_0000)
}

fn rounded_matrix(matrix: &Matrix) -> Matrix {
    let numbers = matrix.values().iter().copied().map(rounded).collect();
    Matrix::new(matrix.rows(), matrix.columns(), numbers).unwrap()
}

fn rounded_layer(layer: &Recurrent) -> Recurrent {
    let weights = layer.weights().iter().map(|weights| CellWeights {
        input: rounded_matrix(&weights.input),
        recurrent: match &weights.recurrent {
            RecurrentWeights::Matrix(matrix) => RecurrentWeights::Matrix(rounded_matrix(matrix)),
            other => other.clone(),
        },
        projection: weights.projection.as_ref().map(rounded_matrix),
        ..weights.clone()
    });
    Recurrent::new(layer.cell(), layer.direction(), weights.collect()).unwrap()
}

/// Of every kind of layer, under a dense one.
#[test]
fn a_model_is_that_of_rounded_matrices() {
    for (name, kind) in all_layers() {
        for (hidden, batch, time) in [(19, 3, 5), (70, 7, 4)] {
            let layer = layer_with(kind, Direction::Bidirectional, [9, hidden], 1);
            let features = layer.output_size();
            let mut next = noise(2);
            let mut numbers = |count: usize| (0..count).map(|_| next()).collect::<Vec<f32>>();
            let matrix = Matrix::new(6, features, numbers(6 * features)).unwrap();
            let x = Array::new(&[batch, time, 9], numbers(batch * time * 9)).unwrap();
            let head =
                |matrix| Dense::new(matrix, None, ritornello::model::Activation::Tanh).unwrap();
            let chain =
                |layer, matrix| Model::chain(9).recurrent(layer).dense(head(matrix)).build();
            let same = chain(rounded_layer(&layer), rounded_matrix(&matrix)).unwrap();
            let model = chain(layer, matrix).unwrap();
            for isa in fused() {
                // Of so few inputs, and for latency, a matrix unit does nothing.
                let options = PlanOptions::default().isa(isa).tune(Tune::Latency);
                let run = |model: &Model, precision| {
                    model
                        .plan(options.clone().precision(precision))
                        .unwrap()
                        .run(&[("x", &x)])
                        .unwrap()
                };
                let found = bits(&run(&model, Precision::Bf16));
                assert_eq!(found, bits(&run(&same, Precision::F32)), "{name} on {isa}");
                assert_ne!(
                    found,
                    bits(&run(&model, Precision::F32)),
                    "{name} on {isa}: not rounded"
                );
            }
        }
    }
}

fn any_but_f32() -> impl Strategy<Value = Precision> {
    prop::sample::select(vec![Precision::F32Split, Precision::Bf16, Precision::Int8])
}

/// Rows of the outputs of a case.
fn rows_of(case: &Case, found: &Arrays, rows: &[usize]) -> Arrays {
    let outputs = case.model.outputs().iter().zip(found).map(|(output, (name, array))| {
        let axis = batch_axis(case.model.shape(output.value).unwrap(), case.model.axes());
        (name.clone(), pick(array, axis, rows))
    });
    outputs.collect()
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn batch_and_levels_change_no_bit(recipe in recipes(Kind::Any), precision in any_but_f32()) {
        let case = recipe.case();
        let mut of_levels = Vec::new();
        for isa in Isa::available() {
            let plan = plan(&case.model, isa, precision, 1);
            let whole = plan.run(&named(&case.inputs)).unwrap();
            for row in 0..case.batch {
                let alone = plan.run(&named(&case.rows(&[row]).inputs)).unwrap();
                prop_assert_eq!(bits(&alone), bits(&rows_of(&case, &whole, &[row])), "row {} on {}", row, isa);
            }
            // A matrix unit has an order of sums of its own.
            let stages = plan.explain().stages;
            let by_unit = precision != Precision::Int8
                && stages.iter().any(|stage| stage.kernel.contains("amx"));
            if isa != Isa::Portable && !by_unit {
                of_levels.push(bits(&whole));
            }
        }
        prop_assert!(of_levels.windows(2).all(|pair| pair[0] == pair[1]), "levels with FMA");
    }

    #[test]
    fn cuts_change_no_bit(
        recipe in recipes(Kind::Stream),
        cut in any::<prop::sample::Index>(),
        precision in any_but_f32(),
    ) {
        let case = recipe.case();
        let cut = cut.index(case.time + 1);
        for isa in Isa::available() {
            let plan = plan(&case.model, isa, precision, 1);
            let whole = plan.run(&named(&case.inputs)).unwrap();
            let mut session = plan.session(case.batch, case.time.max(1)).unwrap();
            let head = models::run(&mut session, &case.steps(0, cut));
            let tail = models::run(&mut session, &case.steps(cut, case.time));
            let shape = case.model.shape(case.model.outputs()[0].value).unwrap();
            let joined = match shape {
                ritornello::model::Shape::Sequence { .. } => {
                    models::join(&[&head[0].1, &tail[0].1], models::time_axis(case.model.axes()))
                }
                _ => tail[0].1.clone(),
            };
            let joined = vec![(whole[0].0.clone(), joined)];
            prop_assert_eq!(bits(&joined), bits(&whole), "cut at {} on {}", cut, isa);
        }
    }
}

/// Threads that share rows, directions, layers and, of one row, units.
#[test]
fn threads_change_no_bit() {
    let stack = |direction| {
        let cells = all_layers();
        let (_, kind) = cells.iter().find(|(name, _)| *name == "lstm").unwrap();
        let first = layer_with((kind.0, Extras::NONE), direction, [30, 160], 5);
        let next = layer_with(*kind, Direction::Forward, [first.output_size(), 160], 6);
        Model::chain(30).recurrent(first).recurrent(next).build().unwrap()
    };
    for direction in [Direction::Forward, Direction::Bidirectional] {
        let model = stack(direction);
        for (batch, time) in [(1, 60), (2, 40), (17, 12)] {
            let mut next = noise(7);
            let numbers = (0..batch * time * 30).map(|_| next()).collect();
            let x = Array::new(&[batch, time, 30], numbers).unwrap();
            for isa in Isa::available() {
                for precision in [Precision::F32Split, Precision::Bf16, Precision::Int8] {
                    let run = |threads| {
                        bits(&plan(&model, isa, precision, threads).run(&[("x", &x)]).unwrap())
                    };
                    let expected = run(1);
                    for threads in 2..=4 {
                        let what = format!("{threads} threads, {batch} rows, {precision} on {isa}");
                        assert_eq!(run(threads), expected, "{what}");
                    }
                }
            }
        }
    }
}

/// The plan holds half the bytes, or little more than a quarter, and says so.
#[test]
fn a_plan_says_what_it_holds() {
    let cells = all_layers();
    let (_, kind) = cells.iter().find(|(name, _)| *name == "lstm").unwrap();
    let layer = layer_with(*kind, Direction::Forward, [256, 256], 5);
    let model = Model::chain(256).recurrent(layer).build().unwrap();
    for isa in Isa::available() {
        let [whole, split, half, quarter] =
            Precision::ALL.map(|precision| plan(&model, isa, precision, 1).explain());
        assert!(split.to_string().starts_with("f32-split on "), "{split}");
        if split.has_matrix_unit {
            assert!(split.packed_bytes() > whole.packed_bytes() * 149 / 100, "{split}");
            assert!(split.to_string().contains("for throughput"), "{split}");
            assert!(split.stages[0].kernel.contains("-f32split-"), "{split}");
        } else {
            assert!(split.to_string().contains("no matrix unit"), "{split}");
            assert_eq!(split.stages, whole.stages);
        }
        assert!(half.packed_bytes() < whole.packed_bytes() * 51 / 100, "{half}");
        assert!(half.to_string().starts_with("bf16 on "), "{half}");
        assert!(half.stages[0].kernel.contains("-bf16-"), "{half}");
        assert!(quarter.packed_bytes() < whole.packed_bytes() * 27 / 100, "{quarter}");
        assert!(quarter.to_string().starts_with("int8 on "), "{quarter}");
        assert!(quarter.stages[0].kernel.contains("-int8-"), "{quarter}");
    }
}

/// As near as f32 with a matrix unit, and the very numbers of f32 without.
#[test]
fn a_split_model_is_as_near_as_f32() {
    const STEPS: usize = 9;
    for (name, kind) in all_layers() {
        let layer = layer_with(kind, Direction::Bidirectional, [40, 70], 1);
        let model = Model::chain(40).recurrent(layer).build().unwrap();
        let mut next = noise(2);
        let x = (0..3 * STEPS * 40).map(|_| next()).collect();
        let x = Array::new(&[3, STEPS, 40], x).unwrap();
        for isa in Isa::available() {
            let plan = |precision| plan(&model, isa, precision, 1);
            let [exact, split] = [Precision::F32, Precision::F32Split].map(plan);
            let [expected, found] = [&exact, &split].map(|plan| plan.run(&[("x", &x)]).unwrap());
            if !split.explain().has_matrix_unit {
                assert_eq!(bits(&found), bits(&expected), "{name} on {isa}");
            } else if ["lstm", "gru"].contains(&name) {
                // 111 terms of a step, whose magnitudes add up to less than 20, may be off by 2^-24 of that
                // each, in both; a gate takes a quarter of it.
                let bound = STEPS as f32 * 2.0 * 116.0 * 20.0 / 4.0 / 2.0_f32.powi(24);
                let [found, expected] = [&found, &expected].map(|all| all[0].1.as_f32().unwrap());
                let distances = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
                let distance = distances.fold(0.0, f32::max);
                assert!(distance > 0.0 && distance < bound, "{name} on {isa}: {distance:e}");
            }
        }
    }
}

#[test]
fn layers_can_be_shown() {
    let layer = |sizes| layer_with(all_layers()[0].1, Direction::Forward, sizes, 5);
    let mut graph = Model::graph();
    let x = graph.sequence("x", 3);
    let first = graph.recurrent("first", layer([3, 4]), x);
    let second = graph.recurrent("second", layer([4, 5]), first.sequence);
    graph.output("second", second.last);
    let model = graph.build().unwrap();
    let shown = model.showing_layers().unwrap();
    let names: Vec<&str> = shown.outputs().iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "second_"]);
    let x = Array::new(&[2, 6, 3], vec![0.5; 36]).unwrap();
    let of = |model: &Model| model.plan(PlanOptions::default()).unwrap().run(&[("x", &x)]).unwrap();
    assert_eq!(bits(&of(&shown))[2].2, bits(&of(&model))[0].2);
    let shapes: Vec<Vec<usize>> = of(&shown).iter().map(|(_, y)| y.shape().to_vec()).collect();
    assert_eq!(shapes, [vec![2, 6, 4], vec![2, 6, 5], vec![2, 5]]);
}
