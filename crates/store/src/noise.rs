//! Noise: bytes that no coding makes smaller, told apart without coding them.

/// Shorter strings are coded to find out: their counts say too little.
const SHORTEST: usize = 8 << 10;

/// Whether all byte values are about equally frequent, as in compressed, encrypted and random data.
///
/// The sum of the squared counts of `n` random bytes is `n^2/256 + n` on average. Noise has less than `n^2/256 * 17/16`:
/// a code of single bytes would save 0.6 % at most there. (With 8 KiB or more, random bytes are below that by far: by more
/// than ten standard deviations.) Repeats do not show in counts, so this alone is no proof.
pub(crate) fn is_noise(bytes: &[u8]) -> bool {
    if bytes.len() < SHORTEST {
        return false;
    }
    // Four tables, so that equal neighbours do not wait for each other.
    let mut counts = [[0_u32; 256]; 4];
    let (blocks, rest) = bytes.as_chunks::<4>();
    for block in blocks {
        for (counts, byte) in counts.iter_mut().zip(block) {
            counts[usize::from(*byte)] += 1;
        }
    }
    for byte in rest {
        counts[0][usize::from(*byte)] += 1;
    }
    let total = |value: usize| counts.iter().map(|counts| u64::from(counts[value])).sum::<u64>();
    let squares: u64 = (0..256).map(|value| total(value).pow(2)).sum();
    // At most 2^52 each: a chunk has 64 MiB at most.
    squares * 256 * 16 < (bytes.len() as u64).pow(2) * 17
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(len: usize) -> Vec<u8> {
        let word = |i: u64| *blake3::hash(&i.to_le_bytes()).as_bytes();
        (0..).flat_map(word).take(len).collect()
    }

    #[test]
    fn random_bytes_are_noise_and_what_codes_well_is_not() {
        for len in [8 << 10, 65_537, 1 << 20] {
            assert!(is_noise(&random(len)), "{len}");
            let hex: Vec<u8> =
                random(len).iter().map(|byte| b"0123456789abcdef"[usize::from(byte % 16)]).collect();
            assert!(!is_noise(&hex));
            // One byte in four is always zero.
            let mut numbers = random(len);
            numbers.iter_mut().step_by(4).for_each(|byte| *byte = 0);
            assert!(!is_noise(&numbers));
        }
        assert!(!is_noise(&random(8191)) && !is_noise(&[]));
    }
}
