//! The terms of a floor, for one layer.

use ritornello_kernels::{Kernels, PackedCell};

use super::{Limit, StageFloor};
use crate::model::{Activation, Cell, Gru, GruReset, Lstm, Port, SimpleRnn};
use crate::plan::{Machine, RecurrentStage, Stage};

/// Nanoseconds, as in [`StageFloor`].
#[derive(Clone, Copy)]
pub(super) struct Cost {
    projection: f64,
    projection_limit: Limit,
    arithmetic: f64,
    bytes: f64,
    latency: f64,
    hand_overs: f64,
}

impl Cost {
    pub(super) fn of(self, node: &str) -> StageFloor {
        let Self { projection, projection_limit, arithmetic, bytes, latency, hand_overs } = self;
        let node = node.into();
        StageFloor { node, projection, arithmetic, bytes, latency, hand_overs, projection_limit }
    }

    fn times(self, count: f64) -> Self {
        Self {
            projection: self.projection * count,
            projection_limit: self.projection_limit,
            arithmetic: self.arithmetic * count,
            bytes: self.bytes * count,
            latency: self.latency * count,
            hand_overs: self.hand_overs * count,
        }
    }
}

/// What the weights of recurrent layers are, and their products.
#[derive(Clone, Copy)]
pub(super) struct Products {
    /// Bytes of a weight of the projection, and of the recurrence.
    pub(super) weights: [usize; 2],
    /// Products of the projection, and of the recurrence, that a matrix unit does for one of f32 in parts; 0 if
    /// it does none.
    by_unit: [usize; 2],
    /// Products that an instruction adds to each number of a vector.
    at_once: usize,
    /// Terms of a recurrent sum that are added in the latency of a multiply-add.
    terms: usize,
}

impl Products {
    pub(super) fn of(kernels: &Kernels, cell: &PackedCell, at_once: usize) -> Self {
        Self {
            weights: cell.bytes_of_weights(),
            by_unit: kernels.unit_products(cell),
            at_once,
            terms: kernels.terms_at_once(cell),
        }
    }
}

/// One direction of a layer over a whole sequence.
pub(super) struct Walk {
    kind: Cell,
    time: usize,
    batch: usize,
    hidden_size: usize,
    state_size: usize,
    input_weights: usize,
    pub(super) recurrent_weights: usize,
    products: Products,
    /// Numbers of the input.
    inputs: usize,
    /// Numbers of the output, if there is one.
    outputs: usize,
}

/// In how many parts a walk is done at once.
#[derive(Clone, Copy)]
struct Split {
    rows: usize,
    units: usize,
}

impl Walk {
    pub(super) fn new(
        stage: &Stage,
        layer: &RecurrentStage,
        [time, batch]: [usize; 2],
        products: Products,
    ) -> Self {
        let (kind, hidden_size) = (layer.cells[0].kind(), layer.hidden_size());
        let state_size = layer.state_size();
        let output = if stage.outputs[Port::Main.index()].is_some() { state_size } else { 0 };
        Self {
            kind,
            time,
            batch,
            hidden_size,
            state_size,
            input_weights: kind.gates().len() * hidden_size * layer.input_size,
            recurrent_weights: layer.recurrent_weights,
            products,
            inputs: time * batch * layer.input_size,
            outputs: time * batch * output,
        }
    }

    /// The cost of a walk in each direction, by threads that may also have other layers at once.
    pub(super) fn shared(
        &self,
        machine: &mut Machine,
        directions: usize,
        layers: usize,
        workers: usize,
    ) -> Cost {
        let at_once = workers.min(directions);
        let left = workers / at_once;
        let by_rows = self.cost(machine, Split { rows: left.min(self.batch).max(1), units: 1 });
        let by_units = self.cost(machine, Split { rows: 1, units: left });
        let rounds = directions.div_ceil(at_once) as f64;
        let least = |cost: &Cost| cost.of("").nanoseconds();
        let parted = if least(&by_units) < least(&by_rows) { by_units } else { by_rows };
        let parted = parted.times(rounds);
        let layers = workers.min(layers);
        if layers < 2 {
            return parted;
        }
        let alone = self.cost(machine, Split { rows: 1, units: 1 });
        let by_layers = alone.times(directions as f64 / layers as f64);
        if least(&by_layers) < least(&parted) { by_layers } else { parted }
    }

    fn cost(&self, machine: &mut Machine, Split { rows, units }: Split) -> Cost {
        let (time, parts) = (self.time as f64, rows * units);
        let all_rows = (self.time * self.batch) as f64;
        let (operations, functions) = functions(self.kind);
        let Products { weights: [input_weight, recurrent_weight], by_unit, at_once, terms } =
            self.products;
        let cells = 2.0 * all_rows * operations * self.hidden_size as f64;
        // A unit that sees only itself needs no sums, and waits for no memory.
        let products = match self.kind {
            _ if self.recurrent_weights == 0 => 0.0,
            Cell::Gru(Gru { reset: GruReset::BeforeMatmul, .. }) => 2.0,
            _ => 1.0,
        };
        let measured = *machine.calibration();
        let at_peak = |operations: f64| operations / measured.peak_gflops / parts as f64;
        let sums = |weights: usize, by_unit: usize| {
            let operations = 2.0 * all_rows * weights as f64;
            match by_unit {
                0 => at_peak(operations / at_once as f64),
                many => operations / (many as f64 * measured.split_gflops) / parts as f64,
            }
        };
        let terms = self.state_size.div_ceil(terms) as f64;
        let product = terms * measured.fma_latency + measured.store_to_load;
        let function = 9.0 * measured.fma_latency + measured.division_latency;
        let waiting = if units > 1 { machine.hand_over().unwrap_or(0.0) } else { 0.0 };
        let projecting = sums(self.input_weights, by_unit[0]);
        let fetching = reading(machine, input_weight * self.input_weights.div_ceil(units))
            + reading(machine, NUMBER * self.inputs.div_ceil(parts));
        Cost {
            projection: projecting.max(fetching),
            projection_limit: if projecting >= fetching { Limit::Arithmetic } else { Limit::Bytes },
            arithmetic: sums(self.recurrent_weights, by_unit[1]) + at_peak(cells),
            bytes: time
                * reading(machine, recurrent_weight * self.recurrent_weights.div_ceil(units))
                + reading(machine, NUMBER * self.outputs.div_ceil(parts)),
            latency: time * (products * product + functions * function),
            hand_overs: time * products * waiting,
        }
    }
}

/// Vector operations of a unit, and functions in sequence.
fn functions(kind: Cell) -> (f64, f64) {
    let usual = (Activation::Tanh, Activation::Sigmoid);
    match kind {
        Cell::SimpleRnn(SimpleRnn { activation: Activation::Tanh, .. }) => (18.0, 1.0),
        Cell::Lstm(lstm) if lstm == Lstm::DEFAULT => (72.0, 2.0),
        Cell::Gru(Gru { activation, recurrent_activation, .. })
            if (activation, recurrent_activation) == usual =>
        {
            (44.0, 2.0)
        }
        other => (3.0 * other.gates().len() as f64, 0.0),
    }
}

/// A dense layer, whose work is cut in any way.
pub(super) fn dense(
    machine: &mut Machine,
    [time, batch]: [usize; 2],
    [inputs, outputs]: [usize; 2],
    weight: usize,
    workers: usize,
) -> Cost {
    let (rows, weights) = (time * batch, inputs * outputs);
    let operations = 2.0 * rows as f64 * weights as f64;
    Cost {
        projection: 0.0,
        projection_limit: Limit::Arithmetic,
        arithmetic: operations / machine.calibration().peak_gflops / workers as f64,
        bytes: reading(machine, weight * weights.div_ceil(workers))
            + reading(machine, NUMBER * (rows * (inputs + outputs)).div_ceil(workers)),
        latency: 0.0,
        hand_overs: 0.0,
    }
}

/// Bytes of a number that is no weight.
const NUMBER: usize = size_of::<f32>();

/// Nanoseconds to read so many bytes.
fn reading(machine: &mut Machine, bytes: usize) -> f64 {
    if bytes == 0 { 0.0 } else { bytes as f64 / machine.read_bandwidth(bytes) }
}
