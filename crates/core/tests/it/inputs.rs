//! Test inputs, each a documented function of a length (and seed), frozen with the vectors.

use engrams_core::{Chunking, Hypervector, Scanner};
use engrams_kernels::mix64;
use proptest::prelude::*;

/// Outputs 1, 2, .. of splitmix64 from `seed`, as little-endian bytes.
pub(crate) fn random(seed: u64, len: usize) -> Vec<u8> {
    let word = |i: u64| mix64(seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    (1..=len.div_ceil(8) as u64).flat_map(|i| word(i).to_le_bytes()).take(len).collect()
}

/// Sixteen words in an order taken from [`random`], with a space after each and a line break, instead, after
/// every eleventh.
pub(crate) fn text(seed: u64, len: usize) -> Vec<u8> {
    const WORDS: [&str; 16] = [
        "the", "engram", "of", "a", "file", "is", "its", "features", "summed", "and", "recall", "corrects",
        "what", "chunks", "resemble", "not",
    ];
    random(seed, len)
        .iter()
        .enumerate()
        .flat_map(|(i, byte)| {
            let end = if i % 11 == 10 { "\n" } else { " " };
            [WORDS[usize::from(byte % 16)], end]
        })
        .flat_map(str::bytes)
        .take(len)
        .collect()
}

/// The first `period` bytes of [`random`], again and again.
pub(crate) fn periodic(seed: u64, period: usize, len: usize) -> Vec<u8> {
    random(seed, period).into_iter().cycle().take(len).collect()
}

/// Bytes of every kind a chunker meets: random, repetitive, few symbols.
pub(crate) fn any_bytes(largest: usize) -> impl Strategy<Value = Vec<u8>> {
    let seed_and_len = (any::<u64>(), 0..=largest);
    prop_oneof![
        seed_and_len.clone().prop_map(|(seed, len)| random(seed, len)),
        seed_and_len.clone().prop_map(|(seed, len)| text(seed, len)),
        (seed_and_len.clone(), 1..80_usize).prop_map(|((seed, len), period)| periodic(seed, period, len)),
        seed_and_len.prop_map(|(seed, len)| vec![seed as u8; len]),
        // Short periods glued together: dense and sparse matches next to each other.
        (any::<u64>(), proptest::collection::vec((1..40_usize, 1..200_usize), 0..=largest / 100)).prop_map(
            |(seed, parts)| {
                let part =
                    |(i, (period, len)): (usize, (usize, usize))| periodic(seed ^ i as u64, period, len);
                parts.into_iter().enumerate().flat_map(part).collect()
            }
        ),
    ]
}

/// The chunks of `data`, each with its features, as found when it comes in pieces of the given sizes (the
/// last of which repeats).
pub(crate) fn scan_pieces(chunking: Chunking, data: &[u8], pieces: &[usize]) -> Vec<(usize, Vec<u64>)> {
    let mut scanner = Scanner::new(chunking);
    let mut chunks = Vec::new();
    let mut finish = |scanner: &mut Scanner| {
        let len = scanner.len();
        let mut features = Vec::new();
        scanner.finish(&mut features);
        chunks.push((len, features));
    };
    let mut sizes = pieces.iter().copied().chain(std::iter::repeat(*pieces.last().unwrap_or(&usize::MAX)));
    let mut rest = data;
    while !rest.is_empty() {
        let (mut piece, later) = rest.split_at(rest.len().min(sizes.next().unwrap().max(1)));
        rest = later;
        while let Some(cut) = scanner.scan(piece) {
            finish(&mut scanner);
            piece = &piece[cut..];
        }
    }
    if !scanner.is_empty() {
        finish(&mut scanner);
    }
    chunks
}

/// The chunks of `data` given whole.
pub(crate) fn scan(chunking: Chunking, data: &[u8]) -> Vec<(usize, Vec<u64>)> {
    scan_pieces(chunking, data, &[])
}

/// The hypervector with each bit flipped with probability `rate`, independently.
pub(crate) fn flip(vector: &Hypervector, rate: f64, seed: u64) -> Hypervector {
    let mut bytes = vector.to_bytes();
    // 2^53 is exact in a float, and a rate of 1 flips all.
    let threshold = (rate * (1_u64 << 53) as f64) as u64;
    for (bit, number) in (0..bytes.len() * 8).zip(0_u64..) {
        if mix64(mix64(seed).wrapping_add(number)) >> 11 < threshold {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    Hypervector::from_bytes(&bytes).unwrap()
}

/// Fails unless `count` of `trials` events of probability `p` is within 4 standard deviations of what is due, and
/// `slack` (a part of what is due) for what a formula leaves out.
pub(crate) fn assert_binomial(count: usize, trials: usize, p: f64, slack: f64, what: &str) {
    let due = trials as f64 * p;
    let deviation = (due * (1.0 - p)).sqrt();
    assert!(
        (count as f64 - due).abs() <= 4.0 * deviation + slack * due,
        "{what}: {count} of {trials}, where {due:.1} are due, give or take {deviation:.1}"
    );
}
