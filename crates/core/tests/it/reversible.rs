//! The reversible mode: what is read is what was written, as often as stated; corrections are exact and total.

use engrams_core::{ByteCorrection, Dimension, Hypervector, Reversible, ReversibleError};
use engrams_kernels::mix64;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::inputs::{assert_binomial, flip, random, text};

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn code(bits: usize, piece_len: usize) -> Reversible {
    Reversible::new(Dimension::new(bits).unwrap(), piece_len).unwrap()
}

/// The definition, bit by bit.
mod oracle {
    use super::*;

    fn size(bits: usize) -> usize {
        (1 << bits.trailing_zeros()).min(16_384)
    }

    fn mask(group: u64, bit: usize) -> bool {
        let seed = mix64(0x7265_7665_7273_6962_u64.wrapping_add(group));
        (mix64(seed.wrapping_add((bit as u64 / 64 + 1).wrapping_mul(GOLDEN))) >> (bit % 64)) & 1 == 1
    }

    /// Whether a bit of the codeword of a value at a position is set.
    fn codeword(bits: usize, position: usize, value: u8, bit: usize) -> bool {
        let slots = size(bits) / 256;
        let flip = mix64(0x6C65_2062_7974_6573_u64.wrapping_add(position as u64)) as u8;
        let row = 256 * (position % slots) + usize::from(value ^ flip);
        let parity = (row & (bit % size(bits))).count_ones() % 2 == 1;
        parity != mask((position / slots) as u64, bit)
    }

    fn tie(piece: &[u8], bit: usize) -> bool {
        // A full last word is followed by one of zeros.
        let mut padded = piece.to_vec();
        padded.resize(piece.len() / 8 * 8 + 8, 0);
        let mut sum = 0_u64;
        for (i, word) in padded.chunks(8).enumerate() {
            let key = GOLDEN.wrapping_mul(i as u64 + 1) | 1;
            sum = sum.wrapping_add(mix64(u64::from_le_bytes(word.try_into().unwrap()) ^ key));
        }
        let row = usize::from(mix64(sum) as u8);
        ((row & bit).count_ones() % 2 == 1) != mask(u64::MAX, bit)
    }

    pub(super) fn encode(bits: usize, piece: &[u8]) -> Hypervector {
        let mut bytes = vec![0; bits / 8];
        for bit in 0..bits {
            let set = piece.iter().enumerate().filter(|(p, v)| codeword(bits, *p, **v, bit)).count();
            let is_set = match (2 * set).cmp(&piece.len()) {
                std::cmp::Ordering::Equal => tie(piece, bit),
                order => order.is_gt(),
            };
            bytes[bit / 8] |= u8::from(is_set) << (bit % 8);
        }
        Hypervector::from_bytes(&bytes).unwrap()
    }

    pub(super) fn decode(vector: &Hypervector, piece_len: usize) -> Vec<u8> {
        let bits = vector.dimension().bits();
        let is_set = |bit: usize| (vector.words()[bit / 64] >> (bit % 64)) & 1 == 1;
        let distance =
            |p: usize, v: u8| (0..bits).filter(|bit| codeword(bits, p, v, *bit) != is_set(*bit)).count();
        (0..piece_len).map(|p| (0..=255_u8).min_by_key(|v| (distance(p, *v), *v)).unwrap()).collect()
    }
}

proptest! {
    #![proptest_config(crate::cases(24))]

    #[test]
    fn encoding_is_the_majority_of_codewords(
        bits in prop_oneof![Just(256), Just(768), Just(1024), Just(3840), Just(4096)],
        piece in prop_oneof![vec(any::<u8>(), 1..40), vec(0..3_u8, 120..260)],
    ) {
        let vector = code(bits, piece.len()).encode(&piece);
        prop_assert!(vector == oracle::encode(bits, &piece), "{} bytes in {bits} bits", piece.len());
    }

    #[test]
    fn decoding_is_the_nearest_codeword(
        bits in prop_oneof![Just(256), Just(768), Just(1024)],
        seed: u64,
        piece_len in 1..9_usize,
    ) {
        // Any hypervector reads as something; in 256 bits often by a tie.
        let vector = Hypervector::from_feature(seed, Dimension::new(bits).unwrap());
        prop_assert_eq!(code(bits, piece_len).decode(&vector), oracle::decode(&vector, piece_len));
    }

    #[test]
    fn every_piece_is_exact_after_correction(
        k in 1..=15_usize,
        power in 8..=13_u32,
        piece in vec(any::<u8>(), 1..300),
        rate in 0.0..0.5,
        seed: u64,
    ) {
        let bits = ((2 * (k / 2) + 1) << power).min(65_536);
        let code = code(bits, piece.len());
        let damaged = flip(&code.encode(&piece), rate, seed);
        let correction = code.correction(&damaged, &piece);
        let bytes = correction.to_bytes();
        let stored = ByteCorrection::from_bytes(&bytes, piece.len());
        prop_assert_eq!(stored.as_ref(), Ok(&correction));
        prop_assert!(bytes.len() <= 3 * correction.len());
        let mut read = code.decode(&damaged);
        stored.unwrap().apply(&mut read).unwrap();
        prop_assert_eq!(&read, &piece);
        // Codewords do not depend on the length of the piece.
        let longer = Reversible::new(code.dimension(), piece.len() + 7).unwrap();
        prop_assert_eq!(&longer.decode(&damaged)[..piece.len()], &code.decode(&damaged)[..]);
    }

    #[test]
    fn corrections_are_read_from_any_bytes_in_one_encoding_only(
        bytes in prop_oneof![vec(any::<u8>(), 0..40), vec(0..4_u8, 0..40), vec(0x7E..0x82_u8, 0..12)],
        piece_len in prop_oneof![Just(4096_usize), 0..300_usize, Just(usize::MAX)],
    ) {
        match ByteCorrection::from_bytes(&bytes, piece_len) {
            Ok(correction) => {
                prop_assert_eq!(correction.to_bytes(), &bytes[..]);
                prop_assert!(correction.changes().all(|(at, _)| at < piece_len));
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

/// Wrong bytes, and all of them.
fn wrong(code: &Reversible, pieces: impl Iterator<Item = Vec<u8>>, rate: f64) -> (usize, usize) {
    pieces.zip(1..).fold((0, 0), |(wrong, total), (piece, seed)| {
        let vector = flip(&code.encode(&piece), rate, seed);
        (wrong + code.correction(&vector, &piece).len(), total + piece.len())
    })
}

fn random_pieces(piece_len: usize, total: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..(total / piece_len) as u64).map(move |seed| random(seed, piece_len))
}

#[test]
fn bytes_are_read_wrongly_as_often_as_stated() {
    for (piece_len, bits, rate, total) in [
        (64, 2048, 0.0, 60_000),
        (64, 4096, 0.1, 60_000),
        (64, 3072, 0.0, 60_000),
        (33, 1280, 0.0, 60_000),
        (100, 4096, 0.05, 60_000),
        (127, 6144, 0.0, 60_000),
        (512, 16_384, 0.0, 60_000),
        (512, 20_480, 0.1, 60_000),
        (4096, 65_536, 0.0, 40_960),
        (1000, 61_440, 0.2, 40_000),
    ] {
        let code = code(bits, piece_len);
        let (wrong, total) = wrong(&code, random_pieces(piece_len, total), rate);
        let due = Reversible::error_rate(code.dimension(), piece_len, rate).unwrap();
        let what = format!("{piece_len} bytes in {bits} bits, {rate} flipped");
        assert_binomial(wrong, total, due, 0.05, &what);
    }
    // Of few codewords the majority's tails are not quite normal: up to twice the stated rate.
    let due = Reversible::error_rate(Dimension::new(512).unwrap(), 8, 0.0).unwrap();
    let (wrong, total) = wrong(&code(512, 8), random_pieces(8, 200_000), 0.0);
    assert!((0.5 * due..2.0 * due).contains(&(wrong as f64 / total as f64)), "{wrong} of {total}");
}

#[test]
fn in_4096_bits_999_of_1000_bytes_of_64_are_right_whatever_they_are() {
    let code = code(4096, 64);
    assert!(Reversible::error_rate(code.dimension(), 64, 0.0).unwrap() < 2e-4);
    let of = |bytes: Vec<u8>| {
        wrong(&code, bytes.chunks_exact(64).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter(), 0.0)
    };
    for (name, bytes) in [
        ("random", random(1, 64 * 1500)),
        ("text", text(2, 64 * 1500)),
        ("one byte in each", (0..=255).flat_map(|byte| [byte; 64]).collect()),
        ("ascending", (0..64 * 400).map(|i| (i % 253) as u8).collect()),
        ("two bytes", random(3, 64 * 400).iter().map(|byte| byte & 1).collect()),
        ("differences", (0..64 * 400).map(|i| (i * i / 64) as u8).collect()),
    ] {
        let (wrong, total) = of(bytes);
        // 1.02e-4 are due; 4 deviations above that is still below 0.1 % of the longest.
        let due = 1.02e-4 * total as f64;
        assert!((wrong as f64) < due + 4.0 * due.sqrt() + 1.0, "{name}: {wrong} of {total}");
        assert!(wrong * 1000 <= total, "{name}: {wrong} of {total}");
    }
}

#[test]
fn at_the_dimension_chosen_for_it_flipped_bits_cost_nothing() {
    let failure = 1e-4;
    for (piece_len, rate) in [(8, 0.1), (64, 0.0), (64, 0.1), (64, 0.25), (200, 0.1), (256, 0.05)] {
        let dimension = Reversible::dimension_for(piece_len, rate, failure).unwrap();
        let pieces = || random_pieces(piece_len, piece_len * 150);
        // 0.015 failures are due in all.
        let (wrong_bytes, _) = wrong(&code(dimension.bits(), piece_len), pieces(), rate);
        assert_eq!(wrong_bytes, 0, "{piece_len} bytes in {dimension:?}, {rate} flipped");
        // It is not wider than it must be by much: in a third of it bytes are lost.
        let narrow = 1 << (dimension.bits() / 3).ilog2();
        let (wrong_bytes, _) = wrong(&code(narrow, piece_len), pieces(), rate);
        assert!(wrong_bytes > 0, "{piece_len} bytes in {narrow} bits, {rate} flipped");
    }
}

#[test]
fn errors_name_what_does_not_work() {
    let new = |bits, len| Reversible::new(Dimension::new(bits).unwrap(), len).unwrap_err().to_string();
    let allowed = "is not an odd number up to 15 times a power of two from 256";
    assert_eq!(new(128, 8), format!("dimension of 128 bits {allowed}"));
    assert_eq!(new(17 * 256, 8), format!("dimension of 4352 bits {allowed}"));
    assert_eq!(new(4096, 0), "piece of 0 bytes is not within 1..=4096");
    assert_eq!(new(4096, 4097), "piece of 4097 bytes is not within 1..=4096");
    let rate = Reversible::error_rate(Dimension::ENGRAM, 8, f64::NAN).unwrap_err().to_string();
    assert_eq!(rate, "rate of flipped bits of NaN is not within 0.0..=0.5");
    let narrow = Reversible::dimension_for(4096, 0.0, 1e-6).unwrap_err().to_string();
    assert_eq!(narrow, "65536 bits are too narrow for pieces of 4096 bytes: shorten them");
    assert!(Reversible::dimension_for(0, 0.0, 1e-6).is_err());
    // All but the nearest of 255 rivals tie with noise: a guess.
    let guess = Reversible::error_rate(Dimension::ENGRAM, 8, 0.5).unwrap();
    assert!((guess - 255.0 / 256.0).abs() < 1e-3, "{guess}");
}

#[test]
fn corrections_that_do_not_fit_are_refused() {
    let correction = ByteCorrection::between(&[0; 300], &[7; 300]);
    assert_eq!((correction.len(), correction.to_bytes().len()), (300, 600));
    let far = ByteCorrection::between(&[0; 300], &[[0; 299].as_slice(), &[1]].concat());
    assert_eq!(far.to_bytes(), [0xAB, 0x02, 1]);
    let position = |piece_len| Err(ReversibleError::Position { position: 299, piece_len });
    assert_eq!(ByteCorrection::from_bytes(&far.to_bytes(), 299).map(|_| ()), position(299));
    let mut short = [0; 299];
    assert_eq!(far.apply(&mut short), position(299));
    assert_eq!(short, [0; 299]);
    for bytes in
        [&[0x80, 0x00, 1][..], &[0x80], &[0x00], &[1, 2, 3], &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01, 1]]
    {
        let error = ByteCorrection::from_bytes(bytes, usize::MAX);
        assert!(matches!(error, Err(ReversibleError::Encoding { .. })), "{bytes:?}: {error:?}");
    }
    let beyond = ByteCorrection::from_bytes(&[0xFF, 0xFF, 0xFF, 0xFF, 0x7F, 1], usize::MAX);
    assert!(matches!(beyond, Err(ReversibleError::Position { position: 0x7_FFFF_FFFF, .. })));
}

#[test]
#[should_panic(expected = "has 64 bytes")]
fn a_piece_of_another_length_panics() {
    let _ = code(4096, 64).encode(&[0; 63]);
}
