//! The least time that a run can take on a machine, if every layer projects before it recurs.
//!
//! ```text
//! For one direction of a recurrent layer, with B rows, T steps, I inputs, H units, G gates:
//!
//!     projection = max(2 B T G H I / (w F), W / R(W) + X / R(X))
//!     arithmetic = T (2 B G H H / w + 2 v B H) / F
//!     bytes      = T U / R(U) + Y / R(Y)
//!     latency    = T (p (⌈H / a⌉ L + M) + f (9 L + D))
//!     recurrence = max(arithmetic, bytes, latency)
//!     floor      = projection + recurrence
//!
//!     U, W, X, Y   bytes of recurrent and of input weights, of input and of output
//!     v            vector operations of a unit beside its sums:    lstm 72, gru 44, rnn tanh 18
//!     f            functions that wait for each other in a step:   lstm 2, gru 2, rnn tanh 1
//!     p            products that do so:                            1; gru with reset before 2
//!     w            products of an instruction for each lane:       1; of bytes with VNNI 4
//!     a            terms of a sum that are added in L:             chains(H); of bytes with VNNI 4, without 16;
//!                                                              in a matrix unit 32
//!     F            peak of the multiply-adds; for sums in a        (all of the rest is measured)
//!                  matrix unit its peak of f32 in parts, of
//!                  bf16 6 and of bytes 12 times that
//!     R(n)         bandwidth of n bytes that are read again and again
//!     L, D, M      latency of a multiply-add, of a division, of a number through memory
//! ```
//!
//! - Sizes are the real ones: what a kernel does for padding is its own loss. A vector operation
//!   takes the place of one vector multiply-add, hence its factor of 2. Other activations than
//!   those named are counted as relu: v = 3 for each gate, f = 0.
//! - Without VNNI products of bytes are counted as multiply-adds of f32: kernels take as many instructions
//!   for them, of which a sum waits for an addition of integers alone.
//! - Recurrent weights are read once a step, for all rows; input weights once a run.
//! - The recurrence of a chunk starts when its projection is done, so the two add up. That is an
//!   order of work, not a law: a program that projects a later chunk on the same core while the
//!   recurrence waits for memory or for results could be faster than this floor.
//! - What a projection writes and the recurrence reads is not counted: it is a chunk's, and near.
//! - A dense layer has no recurrence and no projection of its own: max(arithmetic, bytes). Stages
//!   that only move numbers take no time.
//! - Stages follow each other, and so do the directions of a layer on one core.
//!
//! Threads beyond the number of cores count for nothing. For each layer they do whichever is fastest:
//!
//! - They take the directions first, and those that are left share the *rows* of each: arithmetic,
//!   input and output are divided.
//! - Or those that are left share the *units*: the weights are divided as well, each core reads its
//!   part at that part's bandwidth, and every product adds a hand-over between threads (none if it
//!   could not be measured).
//! - Or they take the *layers* of a stack at once, as a wavefront: a layer walks a step while the
//!   layer below walks a later one. The time that one thread needs is divided by the least of the
//!   threads, the layers and the steps, as if the layers were of one size and the wave had no
//!   beginning and no end. A stack is forward layers that each read the output of the stage before.

mod cost;

use std::fmt;

use super::{Machine, Plan, Stage, StageKind};
use crate::model::{Direction, Extent, Port, Shape};
use cost::{Products, Walk, dense};

/// The least time that a run can take, stage by stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Floor {
    /// The stages that take time, in the order in which they run.
    pub stages: Vec<StageFloor>,
    /// The bytes of recurrent weights that a run reads, once in every step.
    pub recurrent_bytes: f64,
}

/// The least time that a stage can take, in nanoseconds: its projection, and what each limit asks for
/// in its recurrence. A dense layer has no projection; its limits are those of the whole stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageFloor {
    /// The node's name.
    pub node: String,
    /// For the projection, which is done before the recurrence.
    pub projection: f64,
    /// For multiplications, additions and functions of the recurrence.
    pub arithmetic: f64,
    /// For what the recurrence reads and writes.
    pub bytes: f64,
    /// For results of the recurrence that wait for each other.
    pub latency: f64,
    /// For threads that wait for each other, beside all of this.
    pub hand_overs: f64,
    /// What sets the time of the projection.
    projection_limit: Limit,
}

/// What a stage cannot be faster than.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The vector units.
    Arithmetic,
    /// The bandwidth of the memory that holds the weights.
    Bytes,
    /// Results that wait for each other.
    Latency,
}

impl Limit {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arithmetic => "arithmetic",
            Self::Bytes => "bytes",
            Self::Latency => "latency",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl StageFloor {
    /// The least time.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.projection + self.recurrence()
    }

    /// The limit that holds the larger part: projection or recurrence.
    #[must_use]
    pub fn limit(&self) -> Limit {
        let [projection, recurrence] = self.parts();
        if projection.1 > recurrence.1 { projection.0 } else { recurrence.0 }
    }

    /// Projection and recurrence: what sets the time of each, and the time.
    fn parts(&self) -> [(Limit, f64); 2] {
        [(self.projection_limit, self.projection), (self.recurrence_limit(), self.recurrence())]
    }

    fn recurrence(&self) -> f64 {
        self.arithmetic.max(self.bytes).max(self.latency) + self.hand_overs
    }

    fn recurrence_limit(&self) -> Limit {
        if self.arithmetic >= self.bytes.max(self.latency) {
            Limit::Arithmetic
        } else if self.bytes >= self.latency {
            Limit::Bytes
        } else {
            Limit::Latency
        }
    }
}

impl Floor {
    /// The least time of a run.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.stages.iter().map(StageFloor::nanoseconds).sum()
    }

    /// The limit that holds for most of it; `None` if no stage takes time.
    #[must_use]
    pub fn limit(&self) -> Option<Limit> {
        let share = |limit| -> f64 {
            let parts = self.stages.iter().flat_map(StageFloor::parts);
            parts.filter(|part| part.0 == limit).map(|part| part.1).sum()
        };
        [Limit::Latency, Limit::Bytes, Limit::Arithmetic]
            .into_iter()
            .filter(|&limit| share(limit) > 0.0)
            .max_by(|&one, &other| share(one).total_cmp(&share(other)))
    }
}

impl Plan {
    /// The least time that a run over `time` steps of `batch` rows can take on a machine.
    ///
    /// Bandwidths that the machine does not know yet are measured. The plan itself counts with its
    /// shapes and its number of threads alone, so the machine may be made up.
    #[must_use]
    pub fn floor(&self, machine: &mut Machine, batch: usize, time: usize) -> Floor {
        let workers = self.inner.threads.count().min(machine.cores()).max(1);
        let precision = self.inner.precision;
        let kernels = self.inner.kernels;
        let at_once = kernels.products_at_once(precision);
        let mut floor = Floor { stages: Vec::new(), recurrent_bytes: 0.0 };
        for (place, stage) in self.inner.stages.iter().enumerate() {
            let steps = |value: usize| match self.inner.values[value].shape {
                Shape::Sequence { time: Extent::Input(_), .. } => time,
                Shape::Sequence { time: Extent::Fixed(steps), .. } => steps,
                Shape::States { count, .. } => count,
                Shape::Vector { .. } => 1,
            };
            let features = |value: usize| self.inner.values[value].shape.features();
            let rows = |value: usize| [steps(value), batch];
            let cost = match (&stage.kind, stage.inputs.first()) {
                (StageKind::Recurrent(layer), Some(&input)) => {
                    let products = Products::of(kernels, &layer.cells[0], at_once);
                    let walk = Walk::new(stage, layer, rows(input), products);
                    let directions = layer.cells.len();
                    let walks = (directions * steps(input)) as f64;
                    let [_, weight] = products.weights;
                    floor.recurrent_bytes += walks * (weight * walk.recurrent_weights) as f64;
                    let layers = layers_at_once(&self.inner.stages, place).min(steps(input));
                    walk.shared(machine, directions, layers, workers)
                }
                (StageKind::Dense { .. }, Some(&input)) => {
                    let outputs = stage.outputs[Port::Main.index()].map_or(0, features);
                    let weight = precision.bytes_of_dense_weight();
                    dense(machine, rows(input), [features(input), outputs], weight, workers)
                }
                _ => continue,
            };
            floor.stages.push(cost.of(&stage.name));
        }
        floor
    }
}

/// The layers of the stack that a recurrent stage belongs to.
fn layers_at_once(stages: &[Stage], place: usize) -> usize {
    let above = stages[place..].windows(2).take_while(|pair| follows(&pair[0], &pair[1])).count();
    let below = stages[..=place].windows(2).rev().take_while(|pair| follows(&pair[0], &pair[1]));
    below.count() + 1 + above
}

/// Whether a layer can take the steps of another as they come.
fn follows(lower: &Stage, upper: &Stage) -> bool {
    let forward = |stage: &Stage| match &stage.kind {
        StageKind::Recurrent(layer) => layer.direction == Direction::Forward,
        _ => false,
    };
    let output = lower.outputs[Port::Main.index()];
    forward(lower)
        && forward(upper)
        && upper.mask.is_none()
        && output.is_some()
        && upper.inputs.first().copied() == output
}
