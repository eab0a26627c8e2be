//! What each operation means, as loops over single bits. Never shipped.

pub(crate) fn bit(words: &[u64], index: usize) -> bool {
    (words[index / 64] >> (index % 64)) & 1 == 1
}

pub(crate) fn from_bits(bits: usize, value: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut words = vec![0; bits / 64];
    for index in (0..bits).filter(|index| value(*index)) {
        words[index / 64] |= 1 << (index % 64);
    }
    words
}

pub(crate) fn xor(a: &[u64], b: &[u64]) -> Vec<u64> {
    from_bits(a.len() * 64, |i| bit(a, i) != bit(b, i))
}

pub(crate) fn popcount(words: &[u64]) -> u64 {
    (0..words.len() * 64).filter(|i| bit(words, *i)).count() as u64
}

pub(crate) fn hamming(a: &[u64], b: &[u64]) -> u64 {
    (0..a.len() * 64).filter(|i| bit(a, *i) != bit(b, *i)).count() as u64
}

pub(crate) fn rotate(words: &[u64], by: usize) -> Vec<u64> {
    let bits = words.len() * 64;
    from_bits(bits, |i| bit(words, (i + bits - by % bits) % bits))
}

pub(crate) fn expand(feature: u64, words: usize) -> Vec<u64> {
    let mut out: Vec<u64> = Vec::new();
    for j in 0..words {
        out.push(if j < 4 {
            let golden = 0x9E37_79B9_7F4A_7C15_u64;
            let mut z = feature.wrapping_add(golden.wrapping_mul(j as u64 + 1));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        } else {
            xorshift(out[j - 4])
        });
    }
    out
}

pub(crate) fn xorshift(mut x: u64) -> u64 {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    x
}

/// (features with the bit set) - (features with it clear), for each bit.
pub(crate) fn counters(features: &[u64], words: usize) -> Vec<i64> {
    let mut counters = vec![0; words * 64];
    for feature in features {
        let vector = expand(*feature, words);
        for (i, counter) in counters.iter_mut().enumerate() {
            *counter += if bit(&vector, i) { 1 } else { -1 };
        }
    }
    counters
}

pub(crate) fn majority(counters: &[i64], tie: &[u64]) -> Vec<u64> {
    from_bits(counters.len(), |i| if counters[i] == 0 { bit(tie, i) } else { counters[i] > 0 })
}

/// All rows by distance, and by number where that is equal.
pub(crate) fn nearest(query: &[u64], matrix: &[u64], k: usize) -> Vec<(u64, usize)> {
    let rows = matrix.chunks(query.len().max(1)).enumerate();
    let mut all: Vec<(u64, usize)> = rows.map(|(row, words)| (hamming(query, words), row)).collect();
    all.sort_unstable();
    all.truncate(k);
    all
}
