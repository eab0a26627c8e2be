//! The CPU tier as a value that proves its features are there.

use core::fmt;

#[cfg(target_arch = "x86_64")]
cpufeatures::new!(avx2_cpuid, "avx2");
#[cfg(target_arch = "x86_64")]
cpufeatures::new!(avx512_cpuid, "avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl");
#[cfg(target_arch = "x86_64")]
cpufeatures::new!(vpopcntdq_cpuid, "avx512vpopcntdq");

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

/// What `dispatch.rs` matches on. Variants which not every processor of the target can run carry a proof.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tier {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "x86_64")]
    Avx512Vpopcntdq(Avx512Vpopcntdq),
    #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
    Neon,
}

/// Proof that the processor and the operating system support AVX2; only this file can make one.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Avx2(());

/// Proof of AVX2 and of AVX-512 F, BW, DQ and VL, which come together (Skylake-X, Zen 4 and later).
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Avx512(());

/// [`Avx512`], and proof of VPOPCNTDQ (Ice Lake, Zen 4 and later).
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Avx512Vpopcntdq(());

#[expect(
    unexpected_cfgs,
    reason = "the one cfg of this crate, set by hand in RUSTFLAGS; declaring it would need a build script"
)]
const FORCE_PORTABLE: bool = cfg!(engrams_force_portable);

impl Level {
    /// The fastest tier of this processor. The first call asks the processor, later ones read a few bytes.
    #[must_use]
    pub fn detect() -> Self {
        let [fastest, others @ ..] = Self::above_portable();
        others.into_iter().fold(fastest, Option::or).unwrap_or(Self::portable())
    }

    /// The tier that every processor has.
    #[must_use]
    pub const fn portable() -> Self {
        Self(Tier::Portable)
    }

    /// Every tier of this processor, slowest first, for tests and benchmarks that force each in turn.
    pub fn all_available() -> impl Iterator<Item = Self> {
        core::iter::once(Self::portable()).chain(Self::above_portable().into_iter().rev().flatten())
    }

    /// The tier of this [`name`](Self::name), if this processor has it.
    ///
    /// ```
    /// use engrams_kernels::Level;
    /// assert_eq!(Level::named("portable"), Some(Level::portable()));
    /// assert_eq!(Level::named("abacus"), None);
    /// ```
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all_available().find(|level| level.name() == name)
    }

    /// The tier's name: `"portable"`, `"avx2"`, `"avx512"`, `"avx512-vpopcntdq"` or `"neon"`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.0 {
            Tier::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512Vpopcntdq(_) => "avx512-vpopcntdq",
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Tier::Neon => "neon",
        }
    }

    pub(crate) const fn tier(self) -> Tier {
        self.0
    }

    /// The tiers with instructions of their own, fastest first; absent are those the processor lacks.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn above_portable() -> [Option<Self>; 3] {
        [
            Avx512Vpopcntdq::detect().map(|proof| Self(Tier::Avx512Vpopcntdq(proof))),
            Avx512::detect().map(|proof| Self(Tier::Avx512(proof))),
            Avx2::detect().map(|proof| Self(Tier::Avx2(proof))),
        ]
    }

    /// The tiers with instructions of their own, fastest first.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    fn above_portable() -> [Option<Self>; 1] {
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        if !FORCE_PORTABLE {
            return [Some(Self(Tier::Neon))];
        }
        [None]
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

/// Whether the named features belong to the target of compilation. Then there is nothing to detect, not
/// even where nobody can be asked (Miri).
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($($feature:literal),*) => { cfg!(all($(target_feature = $feature),*)) };
}

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    #[inline]
    fn detect() -> Option<Self> {
        let there = compiled_for!("avx2") || avx2_cpuid::get();
        (there && !FORCE_PORTABLE).then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    #[inline]
    fn detect() -> Option<Self> {
        let there =
            compiled_for!("avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl") || avx512_cpuid::get();
        (there && !FORCE_PORTABLE).then_some(Self(()))
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512Vpopcntdq {
    #[inline]
    fn detect() -> Option<Self> {
        let there = compiled_for!("avx512vpopcntdq") || vpopcntdq_cpuid::get();
        Avx512::detect().filter(|_| there).map(|Avx512(())| Self(()))
    }
}
