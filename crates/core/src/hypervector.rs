//! The hypervector: bind, permute, and how far apart two are.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use engrams_kernels::Level;

use crate::{Dimension, HypervectorError};

/// A binary hypervector: a point among 2^D, whose neighbours are what resembles it.
///
/// Bit `i` is bit `i % 64` of word `i / 64`. Operations on two hypervectors need equal dimensions and
/// panic otherwise: mixing dimensions is a programming error, and [`dimension`](Self::dimension) tells.
///
/// ```
/// use engrams_core::{Dimension, Hypervector};
/// let (a, b) = (Hypervector::from_feature(1, Dimension::RECALL), Hypervector::from_feature(2, Dimension::RECALL));
/// // Binding is its own inverse, and hides both parts.
/// let bound = a.bind(&b);
/// assert_eq!(bound.bind(&b), a);
/// assert!(bound.similarity(&a).abs() < 0.2);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Hypervector {
    // At least one word: every `Dimension` has one.
    words: Box<[u64]>,
}

impl Hypervector {
    /// All bits clear: the identity of [`bind`](Self::bind).
    #[must_use]
    pub fn zero(dimension: Dimension) -> Self {
        Self { words: vec![0; dimension.words()].into_boxed_slice() }
    }

    /// The pseudo-random hypervector of a feature (see [`engrams_kernels::Level::expand`]).
    ///
    /// A narrower dimension gives a prefix of a wider one. FROZEN FORMAT.
    #[must_use]
    pub fn from_feature(feature: u64, dimension: Dimension) -> Self {
        let mut vector = Self::zero(dimension);
        Level::detect().expand(feature, &mut vector.words);
        vector
    }

    /// The width in bits.
    #[must_use]
    pub fn dimension(&self) -> Dimension {
        Dimension::from_words(self.words.len())
    }

    /// The words; bit `i` of the hypervector is bit `i % 64` of word `i / 64`.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Binds two hypervectors by XOR: commutative, associative, its own inverse, and unlike both parts.
    ///
    /// # Panics
    ///
    /// If the dimensions differ.
    #[must_use]
    pub fn bind(&self, other: &Self) -> Self {
        let mut bound = self.clone();
        Level::detect().xor_into(&mut bound.words, &other.words);
        bound
    }

    /// Undoes [`bind`](Self::bind): what was bound with `other`, or, from a bundle, something near it.
    ///
    /// The same operation, since XOR is its own inverse; the name says what is meant.
    ///
    /// # Panics
    ///
    /// If the dimensions differ.
    #[must_use]
    pub fn unbind(&self, other: &Self) -> Self {
        self.bind(other)
    }

    /// Permutes by rotation: bit `i` moves to bit `(i + steps) mod D`. Negative steps undo positive ones.
    ///
    /// Distances between hypervectors do not change, and a permuted hypervector is unlike itself, so
    /// that permuting marks an order or a role.
    #[must_use]
    pub fn permute(&self, steps: isize) -> Self {
        let dimension = self.dimension();
        // In 0..D, and D fits easily.
        let bits = steps.rem_euclid(dimension.bits().cast_signed()).cast_unsigned();
        let mut permuted = Self::zero(dimension);
        Level::detect().rotate_into(&mut permuted.words, &self.words, bits);
        permuted
    }

    /// The Hamming distance in bits: 0 to D; near D/2 (give or take sqrt(D)/2) for unrelated ones.
    ///
    /// # Panics
    ///
    /// If the dimensions differ.
    #[must_use]
    pub fn hamming(&self, other: &Self) -> u32 {
        // At most 65,536.
        Level::detect().hamming(&self.words, &other.words) as u32
    }

    /// The similarity `1 - 2 * hamming / D`, in -1.0..=1.0: 1 for equal, 0 for unrelated, -1 for opposite.
    ///
    /// It is the cosine of the two as vectors of +1 and -1. For unrelated hypervectors its standard
    /// deviation is `1 / sqrt(D)`: 0.031 at 1,024 bits.
    ///
    /// # Panics
    ///
    /// If the dimensions differ.
    #[must_use]
    pub fn similarity(&self, other: &Self) -> f64 {
        1.0 - 2.0 * f64::from(self.hamming(other)) / self.dimension().bits() as f64
    }

    /// The first bits, as a narrower hypervector: what [`encode`](crate::encode) gives at that dimension.
    ///
    /// # Panics
    ///
    /// If `dimension` is wider than this hypervector.
    #[must_use]
    pub fn truncate(&self, dimension: Dimension) -> Self {
        Self { words: self.words[..dimension.words()].into() }
    }

    /// The words in little-endian order: `D / 8` bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        if cfg!(target_endian = "little") {
            bytemuck::cast_slice(&self.words).to_vec()
        } else {
            self.words.iter().flat_map(|word| word.to_le_bytes()).collect()
        }
    }

    /// The inverse of [`to_bytes`](Self::to_bytes); the number of bytes gives the dimension.
    ///
    /// # Errors
    ///
    /// [`HypervectorError::Length`] if the number of bytes is not a multiple of 8 from 8 to 8,192.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, HypervectorError> {
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() || Dimension::new(words.len() * 64).is_err() {
            return Err(HypervectorError::Length { bytes: bytes.len() });
        }
        Ok(Self { words: words.iter().map(|word| u64::from_le_bytes(*word)).collect() })
    }
}

impl fmt::Debug for Hypervector {
    /// The dimension and the first word, which is enough to tell two apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hypervector({} bits, {:016x}..)", self.dimension().bits(), self.words[0])
    }
}
