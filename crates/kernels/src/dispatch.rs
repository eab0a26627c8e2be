//! The operations of [`Level`]: check lengths, then run the tier. The only caller of `arch::*`.

use crate::arch;
use crate::counters::Column;
use crate::gear::{NibbleGear, WINDOW};
use crate::level::{Level, Tier};

/// A plain `match` over the tiers, the same for every operation.
macro_rules! on_tier {
    ($level:ident, $operation:ident($($argument:ident),*)) => {
        match $level.tier() {
            Tier::Portable => arch::portable::$operation($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Tier::Avx2(_proof) => {
                // SAFETY: the proof in this variant is made only after the processor and the operating
                // system reported AVX2, which is all that the function's `#[target_feature]` asks for.
                unsafe { arch::x86_64::avx2::$operation($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512(_proof) => {
                // SAFETY: as for AVX2; this proof is of AVX2 and of AVX-512 F, BW, DQ and VL.
                unsafe { arch::x86_64::avx512::$operation($($argument),*) }
            }
            #[cfg(target_arch = "x86_64")]
            Tier::Avx512Vpopcntdq(_proof) => {
                // SAFETY: as for AVX2; this proof is of AVX2 and of AVX-512 F, BW, DQ, VL and VPOPCNTDQ.
                unsafe { arch::x86_64::avx512_vpopcntdq::$operation($($argument),*) }
            }
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Tier::Neon => {
                // SAFETY: this variant exists only where NEON belongs to the target of compilation, hence
                // to every processor the program may run on.
                unsafe { arch::aarch64::neon::$operation($($argument),*) }
            }
        }
    };
}

impl Level {
    /// Binds: `target ^= other`, word by word. Its own inverse.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn xor_into(self, target: &mut [u64], other: &[u64]) {
        assert_same_len(target, other);
        on_tier!(self, xor_into(target, other));
    }

    /// The number of bits in which `a` and `b` differ.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    #[must_use]
    pub fn hamming(self, a: &[u64], b: &[u64]) -> u64 {
        assert_same_len(a, b);
        on_tier!(self, hamming(a, b))
    }

    /// The number of set bits.
    #[must_use]
    pub fn popcount(self, words: &[u64]) -> u64 {
        on_tier!(self, popcount(words))
    }

    /// Permutes: bit `i` of `words` becomes bit `(i + bits) % (64 * words.len())` of `out`.
    ///
    /// Rotating by `bits` and then by `64 * words.len() - bits` gives the original words.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn rotate_into(self, out: &mut [u64], words: &[u64], bits: usize) {
        assert_same_len(out, words);
        if words.is_empty() {
            return;
        }
        let bits = bits % (words.len() * 64);
        on_tier!(self, rotate_into(out, words, bits));
    }

    /// Writes the pseudo-random words of a 64-bit feature. FROZEN FORMAT.
    ///
    /// Words 0..4 are [`mix64`](crate::mix64)`(feature + (i + 1) * 0x9E3779B97F4A7C15)`; every later
    /// word is one xorshift64 step (`x ^= x << 13; x ^= x >> 7; x ^= x << 17`) of the word four before
    /// it. So a shorter output is a prefix of a longer one, and four words at a time cost six vector
    /// instructions. The step is linear, hence words four apart are functions of one another; what
    /// bundling needs is that bits are unbiased and *pairwise* independent, which a bijective step
    /// keeps. It is not a cryptographic generator.
    ///
    /// ```
    /// use engrams_kernels::{Level, mix64};
    /// let mut words = [0; 16];
    /// Level::detect().expand(7, &mut words);
    /// assert_eq!(words[0], mix64(7 + 0x9E37_79B9_7F4A_7C15));
    /// ```
    pub fn expand(self, feature: u64, out: &mut [u64]) {
        on_tier!(self, expand(feature, out));
    }

    /// The Hamming distance from `query` to each row of a contiguous matrix of rows as long as it.
    ///
    /// For the nearest rows alone, see [`nearest`](Self::nearest).
    ///
    /// # Panics
    ///
    /// If `matrix` is not `distances.len()` rows of `query.len()` words, or if a row has 2^26 words or
    /// more (its distance might not fit in a `u32`).
    pub fn hamming_rows(self, query: &[u64], matrix: &[u64], distances: &mut [u32]) {
        assert!(query.len() < 1 << 26, "rows of {} words are too long to scan", query.len());
        assert_eq!(
            Some(matrix.len()),
            query.len().checked_mul(distances.len()),
            "the matrix must have one row of {} words per distance",
            query.len()
        );
        if query.is_empty() {
            distances.fill(0);
            return;
        }
        on_tier!(self, hamming_rows(query, matrix, distances));
    }

    /// Sets the bits of `matches` that stand for windows of 16 bytes with a gear state below 2^10: about one window
    /// in 64. FROZEN FORMAT.
    ///
    /// Bit `i % 64` of word `i / 64` is for `bytes[i..i + 16]`; bits after the last window are clear. What the
    /// state is, [`NibbleGear`] says; it is a function of the window alone, so input may be split anywhere if
    /// each part but the first repeats the last 15 bytes before it.
    ///
    /// ```
    /// use engrams_kernels::{Level, NibbleGear};
    /// let mut matches = [0];
    /// // All states are zero.
    /// Level::detect().gear_matches(&NibbleGear::new([0; 16], [0; 16]), b"seventeen bytes..", &mut matches);
    /// assert_eq!(matches, [0b11]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `matches` has not one bit for each window, rounded up to words: `(bytes.len() - 15).div_ceil(64)`, none
    /// for fewer than 16 bytes.
    pub fn gear_matches(self, gear: &NibbleGear, bytes: &[u8], matches: &mut [u64]) {
        let windows = bytes.len().saturating_sub(WINDOW - 1);
        assert_eq!(matches.len(), windows.div_ceil(64), "{windows} windows need a bit each");
        on_tier!(self, gear_matches(gear, bytes, matches));
    }

    /// Adds signed counters: `counters[i] += other[i]`, wrapping at the ends of `i64`.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn add_counters(self, counters: &mut [i64], other: &[i64]) {
        assert_eq!(counters.len(), other.len(), "there must be equally many counters");
        on_tier!(self, add_counters(counters, other));
    }

    /// Subtracts signed counters: `counters[i] -= other[i]`, wrapping; the exact inverse of
    /// [`add_counters`](Self::add_counters).
    ///
    /// # Panics
    ///
    /// If the lengths differ.
    pub fn subtract_counters(self, counters: &mut [i64], other: &[i64]) {
        assert_eq!(counters.len(), other.len(), "there must be equally many counters");
        on_tier!(self, subtract_counters(counters, other));
    }

    /// Writes the signs of counters as bits: set where a counter is positive, clear where it is negative,
    /// and as in `tie` where it is zero.
    ///
    /// # Panics
    ///
    /// If there are not 64 counters for each word of `out`, or `tie` has another length than `out`.
    pub fn threshold(self, counters: &[i64], tie: &[u64], out: &mut [u64]) {
        assert_same_len(tie, out);
        assert_eq!(counters.len(), out.len() * 64, "one counter per bit is needed");
        on_tier!(self, threshold(counters, tie, out));
    }

    /// Adds rows of a Walsh-Hadamard matrix to votes, with signs.
    ///
    /// The matrix has `size` rows and columns, +1 or -1: `(-1)^parity(r & j)` in row `r`, column `j`. Added
    /// are the rows `256 * i + rows[i]`. Votes are whole repetitions of `size` columns; vote `j` changes by
    /// the sum of column `j % size` times `signs[j]`, which is 1 or -1 (else the result is not defined).
    ///
    /// Votes wrap at the ends of `i8`: they hold what 127 rows can add up to.
    ///
    /// # Panics
    ///
    /// If `size` is not a power of two from 256 to 16,384, if there are more than `size / 256` rows, if
    /// the votes are not whole repetitions or the signs are not as many.
    pub fn add_walsh_rows(self, rows: &[u8], size: usize, signs: &[i8], votes: &mut [i8]) {
        assert_walsh_size(size);
        let slots = size / 256;
        assert!(rows.len() <= slots, "{} rows do not fit into {slots} slots", rows.len());
        assert!(votes.len().is_multiple_of(size), "{} votes do not repeat {size} columns", votes.len());
        assert_eq!(votes.len(), signs.len(), "one sign per vote is needed");
        on_tier!(self, add_walsh_rows(rows, slots, signs, votes));
    }

    /// Correlates `words ^ mask` with every row of the Walsh-Hadamard matrix of `scores.len()` columns:
    /// score `r` is the number of bits equal to those of row `r` (a set bit is a -1), less the number of
    /// those unequal. Words may repeat the columns; their correlations add up, saturating at the ends of
    /// `i16`, alike on all tiers.
    ///
    /// A fast transform, whose lowest four levels are looked up.
    ///
    /// # Panics
    ///
    /// If the number of scores is not a power of two from 256 to 16,384, or the words are not whole
    /// repetitions of as many bits (1,024 repetitions at most), or the mask is not as long.
    pub fn walsh_scores(self, words: &[u64], mask: &[u64], scores: &mut [i16]) {
        assert_same_len(words, mask);
        assert_walsh_size(scores.len());
        let period = scores.len() / 64;
        assert!(
            words.len().is_multiple_of(period) && words.len() / period <= 1024,
            "{} words do not repeat {} columns",
            words.len(),
            scores.len()
        );
        if words.is_empty() {
            scores.fill(0);
            return;
        }
        on_tier!(self, walsh_scores(words, mask, scores));
    }

    /// The `index ^ flip` of the largest score; of equally large ones, the smallest such.
    #[must_use]
    pub fn best_row(self, scores: &[i16; 256], flip: u8) -> u8 {
        on_tier!(self, best_row(scores, flip))
    }

    /// Sets bit `i` where vote `i` is negative and clears it elsewhere.
    ///
    /// # Panics
    ///
    /// If there are not 64 votes for each word.
    pub fn negative_bits(self, votes: &[i8], out: &mut [u64]) {
        assert_eq!(votes.len(), out.len() * 64, "64 votes per word are needed");
        on_tier!(self, negative_bits(votes, out));
    }

    /// Adds expanded features to planes of which no more than `used` are set afterwards.
    pub(crate) fn add_features(self, columns: &mut [Column], features: &[u64], used: usize) {
        on_tier!(self, add_features(columns, features, used));
    }

    /// Thresholds the lowest `used` planes at half of `count`.
    pub(crate) fn majority(self, columns: &[Column], count: u32, used: usize, tie: &[u64], out: &mut [u64]) {
        on_tier!(self, majority(columns, count, used, tie, out));
    }

    /// Adds `weight * (2 * plane count - count)` to each counter.
    pub(crate) fn flush(
        self,
        columns: &[Column],
        count: u32,
        used: usize,
        weight: i32,
        counters: &mut [i64],
    ) {
        on_tier!(self, flush(columns, count, used, weight, counters));
    }
}

#[track_caller]
fn assert_walsh_size(size: usize) {
    assert!(
        size.is_power_of_two() && (256..=16_384).contains(&size),
        "{size} columns are not a power of two from 256 to 16384"
    );
}

#[track_caller]
fn assert_same_len(a: &[u64], b: &[u64]) {
    assert_eq!(a.len(), b.len(), "hypervectors must have equally many words");
}
