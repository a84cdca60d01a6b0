//! Where a step is compiled for a CPU better than the one that the build targets.

/// One step of a cell, or what else is a function by itself.
pub(super) trait Step {
    /// Does it. `#[inline(always)]`.
    fn run(self);
}

/// Does a step with what the CPU at hand has.
#[cfg(feature = "std")]
#[inline]
pub(super) fn fenced(step: impl Step) {
    struct Plain<T>(T);

    impl<S: crate::simd::Simd, T: Step> crate::simd::Work<S> for Plain<T> {
        #[inline(always)]
        fn run(self, _: S) {
            self.0.run();
        }
    }

    crate::isa::with_multiply_add(Plain(step));
}

/// Does a step with what the build targets.
#[cfg(not(feature = "std"))]
#[inline]
pub(super) fn fenced(step: impl Step) {
    step.run();
}
