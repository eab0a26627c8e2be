//! Packed engrams: exact both ways, and total on hostile bytes.

use engrams_core::{Dimension, Engram, EngramError, Hypervector, HypervectorError};
use proptest::collection::vec;
use proptest::prelude::*;

fn engram(bits: usize, added: &[u64], subtracted: &[u64]) -> Engram {
    let mut engram = Engram::new(Dimension::new(bits).unwrap());
    engram.add_features(added);
    engram.subtract_features(subtracted);
    engram
}

proptest! {
    #![proptest_config(crate::cases(128))]

    #[test]
    fn bytes_give_back_the_engram(
        words in 1..20_usize,
        added in vec(any::<u64>(), 0..400),
        subtracted in vec(any::<u64>(), 0..40),
        doublings in 0..70,
    ) {
        let mut engram = engram(words * 64, &added, &subtracted);
        // Counters of every width; at 64 doublings they have wrapped to zero.
        for _ in 0..doublings {
            let copy = engram.clone();
            engram.merge(&copy);
        }
        let bytes = engram.to_bytes();
        prop_assert_eq!(Engram::from_bytes(&bytes), Ok(engram));
    }

    #[test]
    fn hostile_bytes_give_an_error_or_their_own_engram(
        header in (0..3_u8, 0..70_u8, 0..6_u16),
        rest in vec(any::<u8>(), 0..1000),
        exact: bool,
    ) {
        let (format, width, words) = header;
        let mut bytes = vec![format, width];
        bytes.extend(words.to_le_bytes());
        bytes.extend(&rest);
        if exact {
            bytes.resize(20 + usize::from(words) * usize::from(width) * 8, 0xA5);
        }
        if let Ok(engram) = Engram::from_bytes(&bytes) {
            prop_assert_eq!(engram.to_bytes(), bytes);
            let mut twice = engram.clone();
            twice.merge(&engram);
            twice.subtract(&engram);
            prop_assert!(twice == engram && engram.cosine(&twice) <= 1.0);
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_never_reads_as_the_same(at in 0..10_000_usize, change in 1..=255_u8) {
        let engram = engram(192, &[1, 2, 3, 4, 5], &[]);
        let mut bytes = engram.to_bytes();
        let at = at % bytes.len();
        bytes[at] ^= change;
        prop_assert_ne!(Engram::from_bytes(&bytes), Ok(engram));
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let good = engram(64, &[1, 2, 3], &[]).to_bytes();
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        Engram::from_bytes(&bytes).unwrap_err().to_string()
    };
    assert_eq!(changed(0, 9), "engram format 9 is unknown");
    assert_eq!(changed(1, 64), "engram counters of 64 bits are not of least width");
    assert_eq!(changed(2, 0), "engram of 0 words is not within 1..=1024");
    assert_eq!(changed(3, 5), "engram of 1281 words is not within 1..=1024");
    assert!(changed(1, 4).starts_with("engram has "));
    assert!(matches!(Engram::from_bytes(&[]), Err(EngramError::Length { bytes: 0, needed: 20, .. })));
    assert!(matches!(Engram::from_bytes(&good[..21]), Err(EngramError::Length { .. })));
}

#[test]
fn nothing_takes_only_a_header() {
    for bits in [64, 192, 65_536] {
        let nothing = engram(bits, &[], &[]);
        assert_eq!(nothing.to_bytes().len(), 20);
        assert_eq!(Engram::from_bytes(&nothing.to_bytes()), Ok(nothing));
    }
}

#[test]
fn a_megabyte_of_features_takes_about_four_kilobytes() {
    // 1 MiB of random data has about 6,370 features for recall.
    let features: Vec<u64> = (0..6370).map(engrams_kernels::mix64).collect();
    let bytes = engram(4096, &features, &[]).to_bytes();
    assert!(bytes.len() <= 20 + 4096 * 9 / 8 + 512, "{} bytes", bytes.len());
}

#[test]
fn hypervectors_of_impossible_lengths_are_refused() {
    for len in [0, 7, 9, 8200] {
        let error = Hypervector::from_bytes(&vec![0; len]).unwrap_err();
        assert!(matches!(error, HypervectorError::Length { bytes, .. } if bytes == len));
    }
    assert!(Hypervector::from_bytes(&[0; 8192]).is_ok());
}
