//! The reversible mode: a piece of bytes as a hypervector from which the bytes can be read again.
//!
//! It assumes pieces of a length that both sides know. It refuses to know what the bytes mean, and how a
//! hypervector or a correction is stored.

mod correction;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use engrams_kernels::{Level, mix64};

pub use correction::ByteCorrection;

use crate::capacity::{Race, majority_similarity};
use crate::{Dimension, Hypervector, ReversibleError};

/// Rows of a byte: one for each value.
const VALUES: usize = 256;
/// The widest Walsh-Hadamard matrix in use.
const WIDEST: usize = 16_384;
/// The largest odd factor of a dimension.
const MOST_ODD: usize = 15;
/// Votes in a batch, beside one that breaks ties: an `i8` counts 127.
const BATCH: usize = 126;
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
/// Where the pseudo-random numbers of masks and flips begin.
const MASK_SEED: u64 = 0x7265_7665_7273_6962;
const FLIP_SEED: u64 = 0x6C65_2062_7974_6573;

/// An encoding of pieces of `n` bytes into hypervectors of `D` bits, and back.
///
/// Each byte value at each position has a codeword of `D` bits; a piece is the majority of its codewords.
/// To read it, each position is unbound and cleaned up: of the 256 codewords the most similar one wins. All
/// bytes contribute to all bits, so that damage anywhere costs every byte a little and none much: it is an
/// *error-tolerant memory*, not compression. At 64 bytes, 4,096 bits (512 bytes, eight times the piece)
/// give 99.99 % of the bytes right, and a [`ByteCorrection`] the rest; a wider vector needs none, and one
/// chosen by [`dimension_for`](Self::dimension_for) still needs none after a part of its bits was flipped.
///
/// # Codewords
///
/// `size` is the largest power of two that divides `D`, at most 16,384. Rows of the Walsh-Hadamard matrix
/// of that size are dealt out to `size / 256` positions, 256 rows to each; these form a group, all of
/// whose codewords are exactly orthogonal. Each group has a pseudo-random mask of `D` bits, with which the
/// row (repeated to `D` bits) is bound. So cleaning up all positions of a group is one fast
/// Walsh-Hadamard transform. Value `v` at position `p` takes row `v XOR flip(p)`, which keeps equal
/// bytes at several positions from adding up in few columns. FROZEN FORMAT.
///
/// # Accuracy
///
/// The majority of `n` codewords agrees with each of them in a bit with probability `1/2 + c/2`, where
/// `c = binom(2h, h) / 4^h` with `h = n/2` rounded down: near `sqrt(2 / (pi n))`. A bit flipped with probability `p`
/// makes it `c (1 - 2p)`. The score of a codeword, equal less unequal bits, is then near normal: the
/// right one's mean is `D c`, that of the 255 others 0, and the variance of each is `D (1 - s c^2)`, where
/// `s` is the number of positions in the group. (Write the majority, in +1 and -1, as `c` times the sum of
/// all codewords plus a rest uncorrelated with each of them. The squares add up to one, so the rest has
/// `1 - n c^2` per bit. Of the sum, the `s` codewords of the position's own group are orthogonal to a wrong one
/// and add no noise; the `n - s` others add `c^2` per bit each.) A byte is right if its score is the
/// largest of the 256: [`error_rate`](Self::error_rate) integrates that. The sum over 255 pairs bounds it:
/// `255 Q(c sqrt(D / (2 - 2 s c^2)))`, `Q` being the normal distribution's upper tail.
///
/// The first Fourier coefficients of the majority are in O'Donnell, *Analysis of Boolean Functions*,
/// 2014, section 5.3; the error of a cleanup from a bundle in Frady, Kleyko and Sommer, *A theory of sequence
/// indexing and working memory in recurrent neural networks*, 2018.
///
/// ```
/// use engrams_core::{Dimension, Reversible};
/// let code = Reversible::new(Dimension::ENGRAM, 64)?;
/// let piece = *b"All bytes contribute to all bits, hence damage costs each little";
/// let hypervector = code.encode(&piece);
/// let correction = code.correction(&hypervector, &piece);
///
/// let mut bytes = code.decode(&hypervector);
/// correction.apply(&mut bytes)?;
/// assert_eq!(bytes, piece);
/// # Ok::<(), engrams_core::ReversibleError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reversible {
    dimension: Dimension,
    piece_len: usize,
    /// Columns of the matrix.
    size: usize,
    /// The mask of each group, `D` bits.
    masks: Box<[u64]>,
    /// The same, and after them the mask of the vote that breaks ties: -1 for a set bit, 1 for a clear one.
    signs: Box<[i8]>,
    /// What the byte at each position is changed by to be a row.
    flips: Box<[u8]>,
}

impl Reversible {
    /// The longest piece, in bytes. At the widest dimension, 64 % of its bytes are right.
    pub const MAX_PIECE: usize = 4096;

    /// An encoding of pieces of `piece_len` bytes.
    ///
    /// The dimension must be an odd number from 1 to 15 times a power of two from 256: powers of
    /// two are fastest and the most accurate. Takes about `300 * piece_len * r` bytes of
    /// memory, where `r` is `D / size`, 15 at most. The codewords do not depend on `piece_len`.
    ///
    /// # Errors
    ///
    /// [`ReversibleError::Dimension`] and [`ReversibleError::PieceLen`] (1 to 4,096) name what does not work.
    pub fn new(dimension: Dimension, piece_len: usize) -> Result<Self, ReversibleError> {
        let size = size(dimension).ok_or(ReversibleError::Dimension { bits: dimension.bits() })?;
        if !(1..=Self::MAX_PIECE).contains(&piece_len) {
            return Err(ReversibleError::PieceLen { bytes: piece_len });
        }
        let groups = piece_len.div_ceil(size / VALUES) as u64;
        let words = dimension.words() as u64;
        let mask = |group: u64| {
            let seed = mix64(MASK_SEED.wrapping_add(group));
            (1..=words).map(move |word| mix64(seed.wrapping_add(word.wrapping_mul(GOLDEN))))
        };
        let masks: Box<[u64]> = (0..groups).flat_map(mask).collect();
        let signs = masks.iter().copied().chain(mask(u64::MAX)).flat_map(signs).collect();
        let flips = (0..piece_len as u64).map(|p| mix64(FLIP_SEED.wrapping_add(p)) as u8).collect();
        Ok(Self { dimension, piece_len, size, masks, signs, flips })
    }

    /// The width of the hypervectors.
    #[must_use]
    pub fn dimension(&self) -> Dimension {
        self.dimension
    }

    /// Bytes of a piece.
    #[must_use]
    pub fn piece_len(&self) -> usize {
        self.piece_len
    }

    /// The hypervector of a piece: the majority of the codewords of its bytes.
    ///
    /// Pieces that share bytes at the same positions have near hypervectors. An even number of codewords
    /// can tie; one more vote then decides, a codeword that depends on all bytes of the piece.
    ///
    /// # Panics
    ///
    /// If the piece does not have [`piece_len`](Self::piece_len) bytes.
    #[must_use]
    pub fn encode(&self, piece: &[u8]) -> Hypervector {
        assert_eq!(piece.len(), self.piece_len, "a piece of this encoding has {} bytes", self.piece_len);
        let level = Level::detect();
        let bits = self.dimension.bits();
        let slots = self.size / VALUES;
        let (signs, tie_signs) = self.signs.split_at(self.signs.len() - bits);
        let rows: Vec<u8> = piece.iter().zip(&self.flips).map(|(byte, flip)| byte ^ flip).collect();

        let mut votes = vec![0_i8; bits];
        if piece.len().is_multiple_of(2) {
            level.add_walsh_rows(&[tie_row(piece)], VALUES, tie_signs, &mut votes);
        }
        let batch = BATCH / slots;
        let mut earlier: Option<Vec<i16>> = None;
        for (rows, signs) in rows.chunks(batch * slots).zip(signs.chunks(batch * bits)) {
            for (rows, signs) in rows.chunks(slots).zip(signs.chunks_exact(bits)) {
                level.add_walsh_rows(rows, self.size, signs, &mut votes);
            }
            if piece.len() > batch * slots {
                let earlier = earlier.get_or_insert_with(|| vec![0; bits]);
                for (sum, vote) in earlier.iter_mut().zip(&mut votes) {
                    *sum += i16::from(core::mem::take(vote));
                }
            }
        }
        if let Some(earlier) = earlier {
            // The high byte has the sign.
            votes.iter_mut().zip(&earlier).for_each(|(vote, sum)| *vote = (sum >> 8) as i8);
        }
        let mut hypervector = Hypervector::zero(self.dimension);
        level.negative_bits(&votes, hypervector.words_mut());
        hypervector
    }

    /// The bytes read from a hypervector: at each position the value whose codeword is nearest; of equally
    /// near ones, the smallest.
    ///
    /// # Panics
    ///
    /// If the hypervector has another dimension.
    #[must_use]
    pub fn decode(&self, hypervector: &Hypervector) -> Vec<u8> {
        assert_eq!(hypervector.dimension(), self.dimension, "the encoding has another dimension");
        let level = Level::detect();
        let mut scores = vec![0; self.size];
        let mut bytes = Vec::with_capacity(self.piece_len);
        let masks = self.masks.chunks_exact(self.dimension.words());
        for (mask, flips) in masks.zip(self.flips.chunks(self.size / VALUES)) {
            level.walsh_scores(hypervector.words(), mask, &mut scores);
            let scores = scores.as_chunks::<VALUES>().0;
            bytes.extend(scores.iter().zip(flips).map(|(scores, flip)| level.best_row(scores, *flip)));
        }
        bytes
    }

    /// What [`decode`](Self::decode) gets wrong of a piece.
    ///
    /// # Panics
    ///
    /// If the hypervector has another dimension, or the piece another length.
    #[must_use]
    pub fn correction(&self, hypervector: &Hypervector, piece: &[u8]) -> ByteCorrection {
        assert_eq!(piece.len(), self.piece_len, "a piece of this encoding has {} bytes", self.piece_len);
        ByteCorrection::between(&self.decode(hypervector), piece)
    }

    /// The probability that a byte is read wrongly, if each bit was flipped with probability `flip_rate`
    /// (0.0 to 0.5): see [Accuracy](Self#accuracy).
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); [`ReversibleError::Rate`] if the rate is out of its range.
    pub fn error_rate(
        dimension: Dimension,
        piece_len: usize,
        flip_rate: f64,
    ) -> Result<f64, ReversibleError> {
        let size = size(dimension).ok_or(ReversibleError::Dimension { bits: dimension.bits() })?;
        check_piece_and_rate(piece_len, flip_rate)?;
        Ok(error_rate(dimension, size, piece_len, flip_rate))
    }

    /// The narrowest dimension at which a whole piece is read without any error but with probability
    /// `failure` at most, if each bit was flipped with probability `flip_rate` (0.0 to 0.5): the first one
    /// with `piece_len * error_rate <= failure`.
    ///
    /// ```
    /// use engrams_core::Reversible;
    /// assert_eq!(Reversible::dimension_for(64, 0.0, 1e-6)?.bits(), 8192);
    /// assert_eq!(Reversible::dimension_for(64, 0.1, 1e-6)?.bits(), 12_288);
    /// # Ok::<(), engrams_core::ReversibleError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReversibleError::PieceLen`] and [`ReversibleError::Rate`] name what does not work;
    /// [`ReversibleError::TooNarrow`] if 65,536 bits are not enough: shorter pieces are then.
    pub fn dimension_for(
        piece_len: usize,
        flip_rate: f64,
        failure: f64,
    ) -> Result<Dimension, ReversibleError> {
        check_piece_and_rate(piece_len, flip_rate)?;
        (1..=Dimension::MAX.words())
            .map(Dimension::from_words)
            .filter_map(|dimension| Some((dimension, size(dimension)?)))
            .find(|(dimension, size)| {
                error_rate(*dimension, *size, piece_len, flip_rate) * piece_len as f64 <= failure
            })
            .map(|(dimension, _)| dimension)
            .ok_or(ReversibleError::TooNarrow { piece_len })
    }
}

fn error_rate(dimension: Dimension, size: usize, piece_len: usize, flip_rate: f64) -> f64 {
    let similarity = majority_similarity(piece_len) * (1.0 - 2.0 * flip_rate);
    let orthogonal = piece_len.min(size / VALUES) as f64;
    let variance = 1.0 - orthogonal * similarity * similarity;
    let race = Race { mean: similarity, right_variance: variance, wrong_variance: variance };
    race.loss(dimension, VALUES - 1)
}

fn check_piece_and_rate(piece_len: usize, flip_rate: f64) -> Result<(), ReversibleError> {
    if !(1..=Reversible::MAX_PIECE).contains(&piece_len) {
        return Err(ReversibleError::PieceLen { bytes: piece_len });
    }
    // NaN is in no range.
    if !(0.0..=0.5).contains(&flip_rate) {
        return Err(ReversibleError::Rate { rate: flip_rate });
    }
    Ok(())
}

/// The columns of the matrix for a dimension, if it is one of those that work.
fn size(dimension: Dimension) -> Option<usize> {
    let bits = dimension.bits();
    let power = 1 << bits.trailing_zeros();
    (power >= VALUES && bits / power <= MOST_ODD).then_some(power.min(WIDEST))
}

/// The row that breaks ties of a piece: a hash of its bytes.
fn tie_row(piece: &[u8]) -> u8 {
    let (words, rest) = piece.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    // Independent products, so that the processor need not wait for one to begin the next.
    let keys = (1_u64..).map(|i| GOLDEN.wrapping_mul(i) | 1);
    let sum = words.zip(keys).fold(0_u64, |sum, (word, key)| sum.wrapping_add(mix64(word ^ key)));
    mix64(sum) as u8
}

/// -1 for each set bit, 1 for each clear one.
fn signs(word: u64) -> impl Iterator<Item = i8> {
    (0..64).map(move |bit| if (word >> bit) & 1 == 1 { -1 } else { 1 })
}
