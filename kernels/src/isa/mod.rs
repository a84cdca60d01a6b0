//! Instruction sets: which there are, which this CPU has, which is used.
//!
//! The only folder that names an instruction set. A new one is a file here with its operations,
//! and its line in [`Isa`] and in [`Isa::kernels`]. What only some CPUs of a level have, and what changes
//! no bit, is a second table of that level.
//!
//! The unit tests of this crate look at no level, and are built with the portable one alone: each of
//! the others takes its minutes to compile. All levels are tested from outside (`kernels/tests`).

mod portable;
#[cfg(all(not(test), target_arch = "x86_64"))]
mod x86_64;

use std::fmt;
use std::str::FromStr;

use self::portable::Portable;
#[cfg(all(not(test), target_arch = "x86_64"))]
use self::x86_64::avx2::Avx2;
use crate::kernels::Kernels;
#[cfg(all(not(test), target_arch = "x86_64"))]
use crate::simd::Simd;
use crate::simd::Work;

/// A level: what the vector kernels may ask of the CPU. Ordered from the humblest to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Anything Rust runs on; products and sums are rounded one by one.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 lanes, 16 registers.
    Avx2,
    /// x86-64 with AVX-512F and BW as well: 16 lanes, 32 registers.
    Avx512,
}

/// Why a level cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsaError {
    /// No level has this name.
    Unknown(String),
    /// The CPU, or this build, lacks the level.
    Absent(Isa),
}

impl Isa {
    /// The environment variable that lowers the level.
    pub const VARIABLE: &str = "RITORNELLO_ISA";

    const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// The name that [`FromStr`] reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// The levels this CPU has, the best last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.kernels().is_ok()).collect()
    }

    /// The levels this library knows and this CPU lacks.
    #[must_use]
    pub fn missing() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.kernels().is_err()).collect()
    }

    /// The best level, or the one that `RITORNELLO_ISA` names.
    ///
    /// # Errors
    ///
    /// If the variable names no level, or one that the CPU lacks.
    pub fn detect() -> Result<Self, IsaError> {
        match std::env::var(Self::VARIABLE) {
            Ok(name) => {
                let isa: Self = name.parse()?;
                isa.kernels().map(|_| isa)
            }
            Err(_) => Ok(Self::available().pop().unwrap_or(Self::Portable)),
        }
    }

    /// The kernels of this level.
    ///
    /// # Errors
    ///
    /// If the CPU lacks it.
    pub fn kernels(self) -> Result<&'static Kernels, IsaError> {
        let kernels = match self {
            Self::Portable => Some(&portable::KERNELS),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            Self::Avx2 if x86_64::avx2::vnni::detected() => Some(&x86_64::avx2::vnni::KERNELS),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            Self::Avx2 => x86_64::avx2::detected().then_some(&x86_64::avx2::KERNELS),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            Self::Avx512 if x86_64::amx::detected() => Some(&x86_64::amx::KERNELS),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            Self::Avx512 if x86_64::avx512::vnni::detected() => {
                Some(&x86_64::avx512::vnni::KERNELS)
            }
            #[cfg(all(not(test), target_arch = "x86_64"))]
            Self::Avx512 => x86_64::avx512::detected().then_some(&x86_64::avx512::KERNELS),
            #[cfg(any(test, not(target_arch = "x86_64")))]
            Self::Avx2 | Self::Avx512 => None,
        };
        kernels.ok_or(IsaError::Absent(self))
    }

    /// The kernels of this level with VNNI, the dot products of bytes that some CPUs of the level have, or
    /// without: for tests, on whatever CPU. [`kernels`](Self::kernels) finds out.
    ///
    /// # Safety
    ///
    /// The CPU has the level, and VNNI if it is asked for; or something else does these instructions.
    #[doc(hidden)]
    #[must_use]
    pub unsafe fn kernels_with_vnni(self, vnni: bool) -> Option<&'static Kernels> {
        match (self, vnni) {
            #[cfg(all(not(test), target_arch = "x86_64"))]
            (Self::Avx2, true) => Some(&x86_64::avx2::vnni::KERNELS),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            (Self::Avx512, true) => Some(&x86_64::avx512::vnni::KERNELS),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            (Self::Avx2, false) => Some(&x86_64::avx2::KERNELS),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            (Self::Avx512, false) => Some(&x86_64::avx512::KERNELS),
            _ => None,
        }
    }
}

impl Isa {
    /// The kernels of this level with a matrix unit, or without whatever else only some CPUs of the level have:
    /// for tests, on whatever CPU. [`kernels`](Self::kernels) finds out.
    ///
    /// # Safety
    ///
    /// The CPU has the level, and the unit if it is asked for; or something else does these instructions.
    #[doc(hidden)]
    #[must_use]
    pub unsafe fn kernels_with_matrix_unit(self, unit: bool) -> Option<&'static Kernels> {
        match (self, unit) {
            #[cfg(all(not(test), target_arch = "x86_64"))]
            (Self::Avx512, true) => Some(&x86_64::amx::KERNELS_WITH_UNIT),
            #[cfg(all(not(test), target_arch = "x86_64"))]
            (Self::Avx512, false) => Some(&x86_64::avx512::KERNELS),
            _ => None,
        }
    }
}

/// Does work that needs no vectors of a level in a function that has fused multiply-add, if the CPU
/// has it.
#[cfg(all(not(test), target_arch = "x86_64"))]
#[inline]
pub(crate) fn with_multiply_add<W: Work<Avx2<false>> + Work<Portable>>(work: W) {
    match Avx2::<false>::found() {
        Some(level) => level.fenced(work),
        None => work.run(Portable),
    }
}

/// Does work that needs no vectors of a level with what the build targets.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
pub(crate) fn with_multiply_add<W: Work<Portable>>(work: W) {
    work.run(Portable);
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Isa {
    type Err = IsaError;

    fn from_str(name: &str) -> Result<Self, IsaError> {
        let known = Self::ALL.into_iter().find(|isa| isa.name() == name);
        known.ok_or_else(|| IsaError::Unknown(name.into()))
    }
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |levels: Vec<Isa>| {
            levels.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        match self {
            Self::Unknown(name) => {
                write!(f, "'{name}' is no instruction set; there are: {}", list(Isa::ALL.to_vec()))
            }
            Self::Absent(isa) => {
                write!(f, "this CPU has no {isa}; it has: {}", list(Isa::available()))
            }
        }
    }
}

impl std::error::Error for IsaError {}
