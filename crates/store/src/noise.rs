//! Noise: bytes that no coding makes smaller, told apart without coding them.

/// Bytes looked at; shorter strings are never noise, since their counts say too little.
const SAMPLES: usize = 4096;

/// Whether all byte values are about equally frequent, as in compressed, encrypted and random data.
///
/// 4,096 bytes, or up to three times as many, are counted all over the string. The sum of the squared counts of `n`
/// random bytes is `n^2/256 + n` on average; noise has less than `n^2/256 * 9/8 + n`, which is twenty standard
/// deviations more. Repeats do not show in counts, so this alone is no proof.
#[must_use]
pub fn is_noise(bytes: &[u8]) -> bool {
    if bytes.len() < SAMPLES {
        return false;
    }
    // Odd, so that each column of a table of numbers is looked at.
    let step = ((bytes.len() / SAMPLES) - 1) | 1;
    let mut counts = [0_u64; 256];
    let mut samples = 0;
    for &byte in bytes.iter().step_by(step) {
        counts[usize::from(byte)] += 1;
        samples += 1;
    }
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    squares < samples * samples / 256 * 9 / 8 + samples
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
        for len in [4096, 8 << 10, 65_537, 1 << 20] {
            assert!(is_noise(&random(len)), "{len}");
            let hex: Vec<u8> =
                random(len).iter().map(|byte| b"0123456789abcdef"[usize::from(byte % 16)]).collect();
            assert!(!is_noise(&hex));
            // One byte in four is always zero.
            let mut numbers = random(len);
            numbers.iter_mut().step_by(4).for_each(|byte| *byte = 0);
            assert!(!is_noise(&numbers));
        }
        assert!(!is_noise(&random(4095)) && !is_noise(&[]));
    }
}
