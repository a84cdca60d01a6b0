//! The activation functions a model may name. Their mathematics is the kernels' business.

pub use ritornello_kernels::Activation;
