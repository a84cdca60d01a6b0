//! ritornello, through its public interface.

use ritornello::model::{
    Cell as Equations, CellWeights, Direction, GruReset, Matrix, Model, Recurrent, RecurrentWeights,
};
use ritornello::{Array, Error, PlanOptions, Precision, Session, State, Threads};

use super::{OURS, locked};
use crate::case::{Case, Weights};
use crate::contest::{Contestant, Refusal, Rival, Runner};
use crate::grid::{Cell, Signal};

/// The library of this repository.
#[derive(Debug)]
pub(crate) struct Ours;

impl Rival for Ours {
    fn name(&self) -> &str {
        OURS
    }

    fn version(&self) -> Result<String, String> {
        locked("ritornello")
    }

    fn precisions(&self) -> &[Precision] {
        &Precision::ALL
    }

    fn enter(&mut self, case: &Case, threads: usize) -> Result<Box<dyn Contestant>, Refusal> {
        Ok(Box::new(Run::new(case, threads).map_err(Refusal::failed)?))
    }
}

struct Run {
    session: Session,
    /// Where a run starts, if not at zero.
    start: Option<State>,
    x: Vec<f32>,
    y: Vec<f32>,
}

impl Run {
    fn new(case: &Case, threads: usize) -> Result<Self, Error> {
        let shape = case.shape;
        let mut chain = Model::chain(shape.input_size);
        for (layer, sides) in case.layers.iter().enumerate() {
            let weights: Result<Vec<CellWeights>, Error> =
                sides.iter().map(|weights| convert(case, layer, weights)).collect();
            let direction =
                if sides.len() == 2 { Direction::Bidirectional } else { Direction::Forward };
            chain = chain.recurrent(Recurrent::new(equations(shape.cell), direction, weights?)?);
        }
        let options = PlanOptions::default().precision(case.precision).tune(case.tune);
        let options = options.threads(Threads::new(threads)?);
        let mut session = chain.build()?.plan(options)?.session(shape.batch, shape.time)?;
        let start =
            (shape.signal == Signal::Decay).then(|| start(&mut session, case)).transpose()?;
        let outputs = shape.batch * shape.time * shape.directions * shape.hidden_size;
        Ok(Self { session, start, x: case.x_by_row(), y: vec![0.0; outputs] })
    }
}

impl Runner for Run {
    fn run(&mut self) -> Result<(), String> {
        match &self.start {
            None => self.session.reset(),
            Some(state) => self.session.set_state(state).map_err(|error| error.to_string())?,
        }
        self.session.run_into(&self.x, &mut self.y).map_err(|error| error.to_string())
    }

    fn last(&mut self, case: &Case) -> Result<Vec<f32>, String> {
        Ok(case.by_time(&self.y))
    }
}

/// The level that plans choose on this machine.
pub(crate) fn level() -> String {
    let case = Case::new(crate::grid::rows()[0]);
    let run = Run::new(&case, 1);
    run.map_or_else(|error| error.to_string(), |run| run.session.plan().explain().isa.to_string())
}

fn equations(cell: Cell) -> Equations {
    match cell {
        Cell::Rnn => Equations::SIMPLE_RNN,
        Cell::Lstm => Equations::LSTM,
        Cell::Gru => Equations::gru(GruReset::AfterMatmul),
    }
}

fn convert(case: &Case, layer: usize, weights: &Weights) -> Result<CellWeights, Error> {
    let hidden_size = case.shape.hidden_size;
    let rows = case.shape.cell.gates() * hidden_size;
    let recurrent = Matrix::new(rows, hidden_size, weights.recurrent.clone())?;
    Ok(CellWeights {
        input: Matrix::new(rows, case.width(layer), weights.input.clone())?,
        recurrent: RecurrentWeights::Matrix(recurrent),
        bias: Some(weights.bias.clone()),
        recurrent_bias: Some(weights.recurrent_bias.clone()),
        peepholes: None,
        projection: None,
    })
}

/// The case's initial state under the names that the session uses.
fn start(session: &mut Session, case: &Case) -> Result<State, Error> {
    let known = session.state()?;
    let given = known.arrays().iter().map(|(name, array)| {
        let values = if name.ends_with(".c") { &case.cell } else { &case.hidden };
        let sides: usize = array.shape()[0];
        Ok((name.clone(), Array::new(array.shape(), values.repeat(sides))?))
    });
    Ok(State::from_arrays(given.collect::<Result<_, Error>>()?))
}
