//! The CPU tier as a value that proves its features are there.

use core::fmt;

#[cfg(target_arch = "x86_64")]
cpufeatures::new!(avx2_cpuid, "avx2");

/// A CPU tier on which the operations of this crate run.
///
/// A `Level` exists only for tiers the running processor has, so that holding one is the proof that
/// its instructions may be executed. It is one byte wide and free to copy.
///
/// ```
/// use engrams_kernels::Level;
/// for level in Level::all_available() {
///     assert_eq!(level.popcount(&[0b1011, u64::MAX]), 67);
/// }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level(Tier);

/// What `dispatch.rs` matches on. Variants other than `Portable` carry a proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tier {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

/// Proof that the processor and the operating system support AVX2; only this file can make one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Avx2(());

impl Level {
    /// The fastest tier of this processor. The first call asks the processor, later ones read a byte.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(proof) = Avx2::detect() {
            return Self(Tier::Avx2(proof));
        }
        Self::portable()
    }

    /// The tier that every processor has.
    #[must_use]
    pub const fn portable() -> Self {
        Self(Tier::Portable)
    }

    /// Every tier of this processor, slowest first, for tests and benchmarks that force each in turn.
    pub fn all_available() -> impl Iterator<Item = Self> {
        let best = Self::detect();
        core::iter::once(Self::portable()).chain((best != Self::portable()).then_some(best))
    }

    /// The tier's name: `"portable"` or `"avx2"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Tier::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_) => "avx2",
        }
    }

    pub(crate) const fn tier(self) -> Tier {
        self.0
    }
}

impl Default for Level {
    /// The same as [`Level::detect`].
    fn default() -> Self {
        Self::detect()
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.name())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    #[expect(
        unexpected_cfgs,
        reason = "the one cfg of this crate, set by hand in RUSTFLAGS; declaring it would need a build script"
    )]
    fn detect() -> Option<Self> {
        if cfg!(engrams_force_portable) {
            return None;
        }
        avx2_cpuid::get().then_some(Self(()))
    }
}
