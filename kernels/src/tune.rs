//! What kernels are chosen for.

use std::fmt;
use std::str::FromStr;

/// The aim of a plan, where a [`Precision`](crate::Precision) leaves a choice that changes bits:
/// [`F32Split`](crate::Precision::F32Split) and [`Bf16`](crate::Precision::Bf16) do, where there is a matrix unit.
/// All else is chosen by shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tune {
    /// Few rows: the sooner a step is done, the better.
    #[default]
    Latency,
    /// Many rows.
    Throughput,
}

impl Tune {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Latency, Self::Throughput];

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Throughput => "throughput",
        }
    }
}

impl fmt::Display for Tune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tune {
    type Err = UnknownTune;

    fn from_str(name: &str) -> Result<Self, UnknownTune> {
        let known = Self::ALL.into_iter().find(|tune| tune.name() == name);
        known.ok_or_else(|| UnknownTune(name.into()))
    }
}

/// No aim has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownTune(pub String);

impl fmt::Display for UnknownTune {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Tune::ALL.map(Tune::name).join(", ");
        write!(f, "unknown aim '{}'; there are: {names}", self.0)
    }
}

impl std::error::Error for UnknownTune {}
