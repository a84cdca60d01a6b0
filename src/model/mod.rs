//! What is computed: mathematics, without CPU, file, thread or batch.
//!
//! A [`Model`] is a small graph of named values over a closed set of nodes ([`Op`]). The common
//! case, a straight chain, is written with [`Model::chain`]; anything else with [`Model::graph`].

mod activation;
mod builder;
mod causal;
mod cell;
mod constant;
mod dense;
mod graph;
mod infer;
mod layers;
mod mask;
mod recurrent;
mod shape;
mod shown;
mod weights;

pub use activation::Activation;
pub use builder::{BothWays, ChainBuilder, GraphBuilder, RecurrentValues};
#[doc(inline)]
pub use cell::{Cell, Coupling, Gate, Gru, GruReset, Lstm, SimpleRnn};
pub use constant::Constant;
pub use dense::{Dense, Embedding, ScaleShift};
pub use graph::{Input, Model, Node, Op, Output, Port, Select, Value};
pub use mask::MaskRule;
pub use recurrent::{Direction, Merge, OutputOrder, PadOutput, Recurrent, StateScope};
pub use shape::{Element, Extent, SequenceAxes, Shape};
pub use shown::ShownAxis;
pub(crate) use shown::{described, lengths};
pub use weights::{CellTensor, CellWeights, Matrix, RecurrentWeights};
