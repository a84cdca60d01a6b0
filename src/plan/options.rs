//! What a caller may ask of a plan.

use ritornello_kernels::{Isa, Precision, Tune};

use crate::parallel::Threads;

/// How a model is to be run. Everything has a default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PlanOptions {
    /// The level; by default the best that the CPU has, or what `RITORNELLO_ISA` names.
    pub isa: Option<Isa>,
    /// What the arithmetic is allowed to be; by default f32.
    pub precision: Precision,
    /// What kernels are chosen for, where the precision leaves that open; by default few rows.
    pub tune: Tune,
    /// The threads; by default as many as `RITORNELLO_THREADS` says, or one.
    pub threads: Option<Threads>,
}

impl PlanOptions {
    /// Sets the level.
    #[must_use]
    pub fn isa(self, isa: Isa) -> Self {
        Self { isa: Some(isa), ..self }
    }

    /// Sets the precision.
    #[must_use]
    pub fn precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// Sets the aim.
    #[must_use]
    pub fn tune(self, tune: Tune) -> Self {
        Self { tune, ..self }
    }

    /// Sets the threads.
    #[must_use]
    pub fn threads(self, threads: Threads) -> Self {
        Self { threads: Some(threads), ..self }
    }
}
