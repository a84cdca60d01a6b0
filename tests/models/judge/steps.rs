//! Holds a recurrent layer against f64, each direction a step at a time.

use ritornello::model::{Direction, Merge, OutputOrder, PadOutput, Port, Recurrent};
use ritornello::{Array, Error, Isa, Model, Session, State};
use ritornello_reference as reference;
use ritornello_reference::widen;

use super::bounded::{Bounded, rounding};
use super::numbers::Numbers;
use super::truth::reference_layer;
use crate::models::{bits_of, plan};

/// The states of one direction after each step.
struct Walked {
    /// `[steps][batch × hidden]`, in the order of processing, the initial one first.
    hidden: Vec<Vec<f32>>,
    cell: Vec<Vec<f32>>,
    /// What the layer's sequence shows after each of them.
    shown: Vec<Vec<f32>>,
}

/// What a direction shows after each step: the state, or at a step that does not count what the layer
/// says; and before the first, which with a mask may follow others that did not count.
fn shown(
    layer: &Recurrent,
    hidden: &[Vec<f32>],
    counts: &dyn Fn(usize, usize) -> bool,
    [given, masked]: [bool; 2],
) -> Vec<Vec<f32>> {
    let size = layer.state_size();
    let mut shown = hidden.to_vec();
    if given && masked && layer.pad_output == PadOutput::Hold {
        shown[0].fill(0.0);
    }
    for (step, states) in shown.iter_mut().skip(1).enumerate() {
        for (row, state) in states.chunks_mut(size).enumerate() {
            let began = (0..step).any(|before| counts(before, row));
            let shows = match layer.pad_output {
                _ if counts(step, row) => true,
                PadOutput::Zero => false,
                PadOutput::Hold => began || !given,
                PadOutput::HoldState => true,
            };
            if !shows {
                state.fill(0.0);
            }
        }
    }
    shown
}

pub(super) fn judge_recurrent(
    layer: &Recurrent,
    inputs: &[&Numbers],
    mask: Option<&Numbers>,
    ours: Vec<(Port, &Numbers)>,
    isa: Isa,
) -> Result<(), String> {
    let [time, batch, _] = inputs[0].extent;
    let (state_size, hidden_size) = (layer.state_size(), layer.hidden_size());
    let initial = |state: usize, direction: usize, size: usize| match inputs.get(1 + state) {
        Some(given) => given.step(direction).to_vec(),
        None => vec![0.0; batch * size],
    };
    let mut walks = Vec::new();
    for direction in 0..layer.direction().count() {
        let backwards = direction == 1 || layer.direction() == Direction::Reverse;
        let in_time = |step: usize| if backwards { time - 1 - step } else { step };
        let steps: Vec<&[f32]> = (0..time).map(|t| inputs[0].step(in_time(t))).collect();
        let counts = |step: usize, row: usize| {
            mask.is_none_or(|mask| mask.at([in_time(step), row, 0]) != 0.0)
        };
        let given = inputs.len() > 1;
        let (h, c) = (initial(0, direction, state_size), initial(1, direction, hidden_size));
        let c = if layer.cell().has_cell_state() { c } else { Vec::new() };
        let walked = walk(layer, direction, &steps, &counts, (h, c), batch, isa);
        let mut walked = walked.map_err(|problem| format!("direction {direction}: {problem}"))?;
        walked.shown = shown(layer, &walked.hidden, &counts, [given, mask.is_some()]);
        walks.push(walked);
    }
    let merged = |numbers: Vec<&[f32]>| -> Vec<f32> {
        match numbers[..] {
            [one] => one.to_vec(),
            [forward, backward] => {
                let rows = forward.chunks(state_size).zip(backward.chunks(state_size));
                rows.flat_map(|(f, b)| merge(layer.merge, f, b)).collect()
            }
            _ => unreachable!("one direction or two"),
        }
    };
    for (port, found) in ours {
        let expected: Vec<f32> = match port {
            Port::Main => (0..time)
                .flat_map(|t| {
                    // After which step of each direction output t stands; 0 is the initial state.
                    let after = |direction: usize| match (layer.direction(), layer.order) {
                        (Direction::Reverse, OutputOrder::Time) => time - t,
                        _ if direction == 1 => time - t,
                        _ => t + 1,
                    };
                    let steps = walks.iter().enumerate();
                    merged(steps.map(|(d, walk)| &walk.shown[after(d)][..]).collect())
                })
                .collect(),
            Port::Last => merged(walks.iter().map(|walk| &walk.shown[time][..]).collect()),
            Port::FinalHidden => walks.iter().flat_map(|walk| walk.hidden[time].clone()).collect(),
            Port::FinalCell => walks.iter().flat_map(|walk| walk.cell[time].clone()).collect(),
        };
        if bits_of(&found.values) != bits_of(&expected) {
            return Err(format!(
                "{port:?} {:?} is not made of the layer's own steps: {:?}, expected {expected:?}",
                found.extent, found.values
            ));
        }
    }
    Ok(())
}

/// One step of both directions, merged in f64 and rounded once.
fn merge(merge: Merge, forward: &[f32], backward: &[f32]) -> Vec<f32> {
    let merge = match merge {
        Merge::Concat => reference::Merge::Concat,
        Merge::Sum => reference::Merge::Sum,
        Merge::Mul => reference::Merge::Mul,
        Merge::Average => reference::Merge::Average,
    };
    let merged = merge.features(&widen(forward), &widen(backward));
    #[allow(clippy::cast_possible_truncation, reason = "the one rounding that is meant")]
    merged.into_iter().map(|x| x as f32).collect()
}

/// Runs one direction alone, a step at a time, and judges each step.
fn walk(
    layer: &Recurrent,
    direction: usize,
    steps: &[&[f32]],
    counts: &dyn Fn(usize, usize) -> bool,
    (h, c): (Vec<f32>, Vec<f32>),
    batch: usize,
    isa: Isa,
) -> Result<Walked, String> {
    let (cell, size) = (layer.cell(), layer.state_size());
    let truth = reference_layer(layer, direction);
    let alone = Recurrent::new(cell, Direction::Forward, vec![layer.weights()[direction].clone()])
        .map_err(|error| error.to_string())?;
    let mut graph = Model::graph();
    let x = graph.sequence("x", layer.input_size());
    let values = graph.recurrent("r", alone, x);
    graph.output("y", values.sequence);
    let model = graph.build().map_err(|error| error.to_string())?;
    let mut session = plan(&model, isa).session(batch, 1).map_err(|error| error.to_string())?;
    let array = |values: &[f32], size| Array::new(&[1, batch, size], values.to_vec());
    let state = |h: &[f32], c: &[f32]| -> Result<State, Error> {
        let mut states = vec![("r.h".to_owned(), array(h, size)?)];
        if cell.has_cell_state() {
            states.push(("r.c".to_owned(), array(c, layer.hidden_size())?));
        }
        Ok(State::from_arrays(states))
    };
    let set = |session: &mut Session, h: &[f32], c: &[f32]| {
        state(h, c).and_then(|state| session.set_state(&state)).map_err(|error| error.to_string())
    };
    set(&mut session, &h, &c)?;

    let mut walked = Walked { hidden: vec![h], cell: vec![c], shown: Vec::new() };
    let mut y = vec![f32::NAN; batch * size];
    for (t, x) in steps.iter().enumerate() {
        session.step(x, &mut y).map_err(|error| error.to_string())?;
        let state = session.state().map_err(|error| error.to_string())?;
        let part = |name| state.get(name).and_then(Array::as_f32).unwrap_or_default().to_vec();
        let (mut h, mut c) = (part("r.h"), part("r.c"));
        if bits_of(&h) != bits_of(&y) {
            return Err(format!("step {t}: the output is not the state"));
        }
        for row in (0..batch).filter(|&row| counts(t, row)) {
            let of = |numbers: &[f32], size: usize| numbers[row * size..][..size].to_vec();
            let cell_size = if c.is_empty() { 0 } else { layer.hidden_size() };
            let before = reference::State::from_f32(
                &of(&walked.hidden[t], size),
                &of(&walked.cell[t], cell_size),
            );
            let step = truth.step(&widen(&of(x, layer.input_size())), &before);
            let tolerance = truth.tolerance(&before, &step, rounding(isa));
            let parts = [
                ("h", of(&h, size), &step.state.hidden, &tolerance.hidden),
                ("c", of(&c, cell_size), &step.state.cell, &tolerance.cell),
            ];
            for (name, found, expected, bounds) in parts {
                for unit in 0..found.len() {
                    let judged = Bounded { value: expected[unit], bound: bounds[unit] };
                    if !judged.accepts(found[unit]) {
                        return Err(format!(
                            "step {t}, row {row}: {name}[{unit}] is {}, expected {}: off by {:e} \
                             of {:e}",
                            found[unit],
                            judged.value,
                            (f64::from(found[unit]) - judged.value).abs(),
                            judged.bound
                        ));
                    }
                }
            }
        }
        // Rows whose step does not count stay where they were.
        for row in (0..batch).filter(|&row| !counts(t, row)) {
            let rows =
                [(&mut h, &walked.hidden[t], size), (&mut c, &walked.cell[t], layer.hidden_size())];
            for (now, before, size) in rows {
                if !before.is_empty() {
                    now[row * size..][..size].copy_from_slice(&before[row * size..][..size]);
                }
            }
        }
        set(&mut session, &h, &c)?;
        walked.hidden.push(h);
        walked.cell.push(c);
    }
    Ok(walked)
}
