//! Vectors wider than those that every processor of the target has.

#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
pub(crate) use absent::Wide;
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) use detected::Wide;

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod detected {
    use fearless_simd::x86::{Avx2, Avx512};
    use fearless_simd::{Level, Simd};

    /// That this processor has vectors of 256 bits.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Wide {
        Avx2(Avx2),
        /// Of its vectors only those of 256 bits: twice as many can be worked on at a time as of those of 512, and no
        /// processor slows down for them. What it adds is a rotation, and any function of three words, in one instruction.
        Avx512(Avx512),
    }

    impl Wide {
        /// The best there is. Asks the processor once, and remembers.
        #[inline]
        pub(crate) fn detect() -> Option<Self> {
            let level = Level::new();
            level.as_avx512().map(Self::Avx512).or_else(|| level.as_avx2().map(Self::Avx2))
        }

        /// All there are.
        #[cfg(test)]
        pub(crate) fn each() -> impl Iterator<Item = Self> {
            let level = Level::new();
            let avx2 = level.as_avx2().map(Self::Avx2);
            avx2.into_iter().chain(level.as_avx512().map(Self::Avx512))
        }

        /// Does the work with these vectors: what is inlined into it is compiled for them.
        #[inline(always)]
        pub(crate) fn vectorize<R>(self, work: impl FnOnce() -> R) -> R {
            match self {
                Self::Avx2(avx2) => avx2.vectorize(work),
                Self::Avx512(avx512) => avx512.vectorize(work),
            }
        }
    }
}

#[cfg(not(all(feature = "std", target_arch = "x86_64")))]
mod absent {
    /// There are none, or nobody to ask for them.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Wide {}

    impl Wide {
        #[inline]
        pub(crate) fn detect() -> Option<Self> {
            None
        }

        #[cfg(test)]
        pub(crate) fn each() -> impl Iterator<Item = Self> {
            core::iter::empty()
        }

        #[inline(always)]
        pub(crate) fn vectorize<R>(self, _work: impl FnOnce() -> R) -> R {
            match self {}
        }
    }
}
