//! The laws of sequences, records, sets and levels.

use engrams_core::{
    Bundler, Dimension, Hypervector, Levels, Record, bundle, encode, item_at, n_gram, n_grams, sequence,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn any_items() -> impl Strategy<Value = (Dimension, Vec<Hypervector>)> {
    let bits = prop_oneof![Just(64), Just(192), Just(1024)];
    (bits, vec(0..20_u64, 0..12)).prop_map(|(bits, features)| {
        let dimension = Dimension::new(bits).unwrap();
        (dimension, features.iter().map(|feature| Hypervector::from_feature(*feature, dimension)).collect())
    })
}

proptest! {
    #![proptest_config(crate::cases(64))]

    #[test]
    fn unbinding_all_items_of_an_n_gram_but_one_gives_it((dimension, items) in any_items()) {
        let gram = n_gram(dimension, &items);
        for (place, item) in items.iter().enumerate() {
            let mut rest = gram.clone();
            for (other, item) in items.iter().enumerate().filter(|(other, _)| *other != place) {
                rest = rest.unbind(&item.permute((items.len() - 1 - other) as isize));
            }
            prop_assert_eq!(&rest, &item.permute((items.len() - 1 - place) as isize));
        }
    }

    #[test]
    fn encodings_are_the_bundles_they_are_documented_to_be((dimension, items) in any_items(), n in 0..5_usize) {
        let permuted: Vec<Hypervector> = items.iter().zip(0..).map(|(item, i)| item.permute(i)).collect();
        prop_assert_eq!(sequence(dimension, &items), bundle(dimension, &permuted));
        let grams: Vec<Hypervector> = match n {
            0 => Vec::new(),
            n => items.windows(n).map(|window| n_gram(dimension, window)).collect(),
        };
        prop_assert_eq!(n_grams(dimension, &items, n), bundle(dimension, &grams));
        // A bundle has no order.
        prop_assert_eq!(bundle(dimension, items.iter().rev()), bundle(dimension, &items));
        let mut record = Record::new(dimension);
        items.windows(2).for_each(|pair| record.set(&pair[0], &pair[1]));
        let pairs: Vec<Hypervector> = items.windows(2).map(|pair| pair[0].bind(&pair[1])).collect();
        prop_assert_eq!(record.encode(), bundle(dimension, &pairs));
    }

    #[test]
    fn one_item_is_read_back_exactly((dimension, items) in any_items(), at in 0..2000_usize) {
        if let Some(item) = items.first() {
            prop_assert_eq!(&bundle(dimension, [item]), item);
            let padded = item.permute((at % dimension.bits()) as isize);
            prop_assert_eq!(&item_at(&padded, at), item);
            prop_assert_eq!(&item_at(&sequence(dimension, [item]), 0), item);
        }
    }

    #[test]
    fn levels_are_exactly_as_far_apart_as_stated(
        bits in prop_oneof![Just(64_usize), Just(192), Just(1024)],
        count in 1..200_usize,
        seed: u64,
        i in any::<prop::sample::Index>(),
        j in any::<prop::sample::Index>(),
    ) {
        let dimension = Dimension::new(bits).unwrap();
        let (i, j) = (i.index(count), j.index(count));
        for (levels, span) in [
            (Levels::linear(seed, dimension, count), bits / 2),
            (Levels::thermometer(seed, dimension, count), bits),
        ] {
            prop_assert_eq!(levels.len(), count);
            let flipped = |level: usize| {
                if count == 1 { 0 } else { (2 * level * span + count - 1) / (2 * (count - 1)) }
            };
            let distance = levels.get(i).hamming(levels.get(j)) as usize;
            prop_assert_eq!(distance, flipped(i).abs_diff(flipped(j)));
            // Levels that share a hypervector read as the lowest of them.
            let read = levels.decode(levels.get(i));
            prop_assert!(read <= i && levels.get(read) == levels.get(i));
            prop_assert_eq!(levels.get(usize::MAX), levels.get(count - 1));
        }
    }

    #[test]
    fn every_scalar_has_the_nearest_level(value: f64, count in 1..50_usize) {
        let levels = Levels::linear(1, Dimension::MIN, count);
        let level = levels.level_of(value, -1.0, 1.0);
        prop_assert!(level < count);
        let steps = (count - 1) as f64;
        if (-1.0..=1.0).contains(&value) {
            prop_assert!((level as f64 - (value + 1.0) / 2.0 * steps).abs() <= 0.5 + 1e-9);
        } else if !value.is_nan() {
            prop_assert_eq!(level, if value < 0.0 { 0 } else { count - 1 });
        }
    }
}

#[test]
fn bundles_of_hypervectors_and_of_features_differ_in_ties_alone() {
    let features: Vec<u64> = (0..301).collect();
    let vectors: Vec<Hypervector> =
        features.iter().map(|feature| Hypervector::from_feature(*feature, Dimension::RECALL)).collect();
    // An odd number has no ties.
    assert_eq!(bundle(Dimension::RECALL, &vectors), encode(&features, Dimension::RECALL));
    let mut mixed = Bundler::new(Dimension::RECALL);
    mixed.add_features(&features[..150]);
    vectors[150..].iter().for_each(|vector| mixed.add(vector));
    assert_eq!(mixed.majority(), encode(&features, Dimension::RECALL));
}

#[test]
fn more_hypervectors_than_a_counter_holds_are_all_counted() {
    let dimension = Dimension::MIN;
    let (a, b) = (Hypervector::from_feature(1, dimension), Hypervector::from_feature(2, dimension));
    let mut bundler = Bundler::new(dimension);
    (0..70_000).for_each(|_| bundler.add(&a));
    (0..69_999).for_each(|_| bundler.add(&b));
    assert_eq!(bundler.majority(), a);
    bundler.add(&b);
    bundler.add(&b);
    assert_eq!(bundler.majority(), b);
}

#[test]
#[should_panic(expected = "another dimension")]
fn a_member_of_another_dimension_panics() {
    Bundler::new(Dimension::RECALL).add(&Hypervector::zero(Dimension::MIN));
}
