//! The item memory finds what a sorted list of all distances would.

use engrams_core::{Dimension, Hypervector, ItemMemory, encode};
use proptest::collection::vec;
use proptest::prelude::*;

fn memory(dimension: Dimension, features: &[u64]) -> ItemMemory<usize> {
    let mut memory = ItemMemory::new(dimension);
    for (label, feature) in features.iter().enumerate() {
        memory.insert(label, &Hypervector::from_feature(*feature, dimension));
    }
    memory
}

proptest! {
    #![proptest_config(crate::cases(64))]

    #[test]
    fn recall_is_the_start_of_the_sorted_list(
        bits in prop_oneof![Just(64), Just(192), Just(1024)],
        // Few features, hence equal rows, hence ties.
        features in vec(0..30_u64, 0..3000),
        query in 0..40_u64,
        k in 0..20_usize,
    ) {
        let dimension = Dimension::new(bits).unwrap();
        let memory = memory(dimension, &features);
        let query = Hypervector::from_feature(query, dimension);
        let distance = |feature: &u64| Hypervector::from_feature(*feature, dimension).hamming(&query);
        let mut expected: Vec<(u32, usize)> =
            features.iter().enumerate().map(|(index, feature)| (distance(feature), index)).collect();
        expected.sort_unstable();
        let nearest = expected.first().copied();
        expected.truncate(k);
        let found: Vec<(u32, usize)> =
            memory.recall(&query, k).iter().map(|item| (item.distance, *item.label)).collect();
        prop_assert_eq!(found, expected);
        for threshold in [0, 20, 65_536] {
            let cleaned = memory.cleanup(&query, threshold).map(|item| (item.distance, item.id as usize));
            prop_assert_eq!(cleaned, nearest.filter(|(distance, _)| *distance <= threshold));
        }
    }
}

#[test]
fn cleanup_undoes_noise() {
    let features: Vec<u64> = (0..5000).collect();
    let memory = memory(Dimension::RECALL, &features);
    // One part signal, two parts noise: a quarter of the bits are wrong.
    let noisy = encode(&[1234, 1 << 40, 1 << 41], Dimension::RECALL);
    let found = memory.cleanup(&noisy, 400).unwrap();
    assert_eq!((*found.label, memory.len()), (1234, 5000));
    // An unrelated one is near nothing.
    assert!(memory.cleanup(&Hypervector::from_feature(1 << 42, Dimension::RECALL), 400).is_none());
}

#[test]
#[should_panic(expected = "another dimension")]
fn an_item_of_another_dimension_panics() {
    ItemMemory::new(Dimension::RECALL).insert((), &Hypervector::zero(Dimension::MIN));
}
