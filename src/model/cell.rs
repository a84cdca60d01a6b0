//! The recurrent step a layer takes, as data: what it computes is the kernels' business.

pub use ritornello_kernels::{Cell, Coupling, Gate, Gru, GruReset, Lstm, SimpleRnn};
