//! The least time that a run can take on a machine, whatever the program.
//!
//! ```text
//! For one direction of a recurrent layer, with B rows, T steps, I inputs, H units, G gates:
//!
//!     arithmetic = (2 B T G H (I + H) + 2 v B T H) / F
//!     bytes      = T U / R(U) + W / R(W) + (X + Y) / R(X + Y)
//!     latency    = T (p (⌈H / chains(H)⌉ L + M) + f (9 L + D))
//!     floor      = max(arithmetic, bytes, latency)
//!
//!     U, W, X, Y   bytes of recurrent and of input weights, of input and of output
//!     v            vector operations of a unit beside its sums:    lstm 72, gru 44, rnn tanh 18
//!     f            functions that wait for each other in a step:   lstm 2, gru 2, rnn tanh 1
//!     p            products that do so:                            1; gru with reset before 2
//!     F            peak of the multiply-adds                       (all of the rest is measured)
//!     R(n)         bandwidth of n bytes that are read again and again
//!     L, D, M      latency of a multiply-add, of a division, of a number through memory
//! ```
//!
//! - Sizes are the real ones: what a kernel does for padding is its own loss. A vector operation
//!   takes the place of one vector multiply-add, hence its factor of 2. Other activations than
//!   those named are counted as relu: v = 3 for each gate, f = 0.
//! - Recurrent weights are read once a step, for all rows; input weights once a run.
//! - The arithmetic of a projection may hide behind the bytes or the latency of the recurrence: no
//!   order of work forbids it.
//! - A dense layer is like a layer without recurrence: max(arithmetic, bytes). Stages that only move
//!   numbers take no time.
//! - Stages follow each other, and so do the directions of a layer on one core.
//!
//! Threads beyond the number of cores count for nothing. They take the directions first; those that
//! are left share each direction in one of two ways, whichever is faster: by rows, where arithmetic,
//! input and output are divided; or by units, where the weights are divided as well, each core reads
//! its part at that part's bandwidth, and every product adds a hand-over between threads (none if it
//! could not be measured).

mod cost;

use std::fmt;

use super::{Machine, Plan, StageKind};
use crate::model::{Extent, Port, Shape};
use cost::{Walk, bytes, dense};

/// The least time that a run can take, stage by stage.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Floor {
    /// The stages that take time, in the order in which they run.
    pub stages: Vec<StageFloor>,
    /// The bytes of recurrent weights that a run reads, once in every step.
    pub recurrent_bytes: f64,
}

/// The least time that a stage can take: what each limit asks for, in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StageFloor {
    /// The node's name.
    pub node: String,
    /// For multiplications, additions and functions.
    pub arithmetic: f64,
    /// For reading and writing.
    pub bytes: f64,
    /// For results that wait for each other.
    pub latency: f64,
    /// For threads that wait for each other, beside all of this.
    pub hand_overs: f64,
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
        self.arithmetic.max(self.bytes).max(self.latency) + self.hand_overs
    }

    /// The limit that holds.
    #[must_use]
    pub fn limit(&self) -> Limit {
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
            let held = self.stages.iter().filter(|stage| stage.limit() == limit);
            held.map(StageFloor::nanoseconds).sum()
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
        let mut floor = Floor { stages: Vec::new(), recurrent_bytes: 0.0 };
        for stage in &self.inner.stages {
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
                    let walk = Walk::new(stage, layer, rows(input));
                    let directions = layer.cells.len();
                    floor.recurrent_bytes +=
                        (directions * steps(input)) as f64 * bytes(walk.recurrent_weights);
                    walk.in_directions(machine, directions, workers)
                }
                (StageKind::Dense { .. }, Some(&input)) => {
                    let outputs = stage.outputs[Port::Main.index()].map_or(0, features);
                    dense(machine, rows(input), [features(input), outputs], workers)
                }
                _ => continue,
            };
            floor.stages.push(cost.of(&stage.name));
        }
        floor
    }
}
