//! Features of a whole are those of its parts and of the seams between them, for every way to cut.

use engrams_core::{Dimension, Engram, SEAM_BYTES, bottom_k, features_of, seam};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::inputs::any_bytes;

fn features(bytes: &[u8]) -> Vec<u64> {
    let mut features = Vec::new();
    features_of(bytes, &mut features);
    features
}

fn engram(bytes: &[u8]) -> Engram {
    let mut engram = Engram::new(Dimension::MIN);
    engram.add_features(&features(bytes));
    engram
}

proptest! {
    #![proptest_config(crate::cases(400))]

    #[test]
    fn a_seam_is_exact_for_any_two_strings(data in any_bytes(400), at in any::<prop::sample::Index>()) {
        let (a, b) = data.split_at(at.index(data.len() + 1));
        let seam = seam(a, b);
        let mut joined = features(&data);
        joined.extend(seam.removed());
        joined.sort_unstable();
        let mut parts = features(a);
        parts.extend(features(b));
        parts.extend(seam.added());
        parts.sort_unstable();
        prop_assert_eq!(joined, parts);
    }

    #[test]
    fn a_seam_looks_at_47_bytes_on_each_side(a in any_bytes(300), b in any_bytes(300)) {
        let end = &a[a.len().saturating_sub(SEAM_BYTES)..];
        let start = &b[..b.len().min(SEAM_BYTES)];
        prop_assert_eq!(seam(end, start), seam(&a, &b));
    }

    #[test]
    fn an_engram_does_not_depend_on_chunking(
        data in any_bytes(8000),
        lengths in vec(64..1500_usize, 1..20),
    ) {
        let mut sum = Engram::new(Dimension::MIN);
        let (mut rest, mut before): (&[u8], &[u8]) = (&data, &[]);
        for length in lengths.iter().cycle() {
            let (piece, later) = rest.split_at(rest.len().min(*length));
            sum.merge(&engram(piece));
            let seam = seam(before, piece);
            sum.add_features(seam.added());
            sum.subtract_features(seam.removed());
            (rest, before) = (later, piece);
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(sum, engram(&data));
    }

    #[test]
    fn bottom_k_is_the_start_of_the_sorted_set(features in vec(0..60_u64, 0..80), k in 0..20_usize) {
        let mut expected = features.clone();
        expected.sort_unstable();
        expected.dedup();
        expected.truncate(k);
        prop_assert_eq!(bottom_k(&features, k), expected);
    }
}

#[test]
fn the_empty_string_has_no_seam() {
    let data = crate::inputs::random(1, 100);
    for seam in [seam(&data, &[]), seam(&[], &data), seam(&[], &[])] {
        assert!(seam.added().is_empty() && seam.removed().is_empty());
    }
}
