//! What a plan chose, in words.

use std::fmt;

use ritornello_kernels::{Isa, Precision, Tune};

/// What a plan chose, stage by stage.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The level.
    pub isa: Isa,
    /// What the arithmetic may be.
    pub precision: Precision,
    /// What kernels are chosen for, where the precision leaves that open.
    pub tune: Tune,
    /// Whether there is a matrix unit for the precision: all but [`Precision::F32`] look for one, of which the
    /// system may refuse the use.
    pub has_matrix_unit: bool,
    /// The number of threads.
    pub threads: usize,
    /// Whether a sequence may be given in pieces.
    pub causal: bool,
    /// The stages in the order in which they run.
    pub stages: Vec<ExplainedStage>,
}

/// What a plan chose for one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExplainedStage {
    /// The node's name.
    pub node: String,
    /// What it is.
    pub op: String,
    /// The shape of its first result, with the names of the axes.
    pub output: String,
    /// Its weights and biases.
    pub parameters: usize,
    /// The kernel that does the work, if one does.
    pub kernel: String,
    /// The bytes that its weights occupy.
    pub packed_bytes: usize,
}

impl Explanation {
    /// Weights and biases of all stages.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.stages.iter().map(|stage| stage.parameters).sum()
    }

    /// The bytes that they occupy in a model.
    #[must_use]
    pub fn parameter_bytes(&self) -> usize {
        self.parameters() * size_of::<f32>()
    }

    /// The bytes that they occupy in the plan: vectors are filled up with zeros.
    ///
    /// A session needs [`workspace_bytes`](crate::Plan::workspace_bytes) beside them.
    #[must_use]
    pub fn packed_bytes(&self) -> usize {
        self.stages.iter().map(|stage| stage.packed_bytes).sum()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let streams = if self.causal { "any length, in pieces" } else { "whole sequences" };
        writeln!(
            f,
            "{} on {}, {} thread{}, {streams}",
            self.precision,
            self.isa,
            self.threads,
            if self.threads == 1 { "" } else { "s" }
        )?;
        if self.isa == Isa::Portable {
            writeln!(
                f,
                "portable: no fused multiply-add, so its bits differ from the other levels'{}",
                match self.precision {
                    Precision::F32 | Precision::F32Split => {
                        "; large projections run in matrixmultiply, which detects vector \
                         instructions itself"
                    }
                    _ => "",
                }
            )?;
        }
        match (self.precision, self.has_matrix_unit) {
            (Precision::F32Split | Precision::Bf16, true) => {
                writeln!(f, "{}: for {}", self.precision, self.tune)?;
            }
            (Precision::F32Split, false) => writeln!(
                f,
                "{}: no matrix unit here, or none that the system gives: everything is plain f32",
                self.precision
            )?,
            _ => {}
        }
        for stage in &self.stages {
            let kernel = if stage.kernel.is_empty() { "-" } else { &stage.kernel };
            writeln!(
                f,
                "{}: {} -> {}, {kernel}, {} bytes",
                stage.node, stage.op, stage.output, stage.packed_bytes
            )?;
        }
        writeln!(
            f,
            "total: {} parameters of {} bytes, {} bytes packed",
            self.parameters(),
            self.parameter_bytes(),
            self.packed_bytes()
        )
    }
}
