//! The laws that hypervectors and engrams obey.

use engrams_core::{Bundler, Dimension, Engram, Hypervector, encode};
use proptest::collection::vec;
use proptest::prelude::*;

fn any_dimension() -> impl Strategy<Value = Dimension> {
    prop_oneof![Just(64), Just(192), Just(320), Just(1024), Just(4096)]
        .prop_map(|bits| Dimension::new(bits).unwrap())
}

/// Many different, or few again and again.
fn any_features() -> impl Strategy<Value = Vec<u64>> {
    prop_oneof![vec(any::<u64>(), 0..60), vec(0..8_u64, 0..60)]
}

fn three_features() -> impl Strategy<Value = (Dimension, [u64; 3])> {
    (any_dimension(), any::<[u64; 3]>())
}

fn engram(dimension: Dimension, features: &[u64]) -> Engram {
    let mut engram = Engram::new(dimension);
    engram.add_features(features);
    engram
}

proptest! {
    #![proptest_config(crate::cases(64))]

    #[test]
    fn bind_is_a_commutative_group((dimension, features) in three_features()) {
        let [a, b, c] = features.map(|feature| Hypervector::from_feature(feature, dimension));
        prop_assert_eq!(a.bind(&b), b.bind(&a));
        prop_assert_eq!(a.bind(&b).bind(&c), a.bind(&b.bind(&c)));
        prop_assert_eq!(a.bind(&b).bind(&b), a.clone());
        prop_assert_eq!(a.bind(&Hypervector::zero(dimension)), a);
    }

    #[test]
    fn permute_is_an_isometry_with_an_inverse(
        (dimension, features) in three_features(),
        steps in prop_oneof![-100..100_isize, any::<isize>()],
    ) {
        let [a, b, _] = features.map(|feature| Hypervector::from_feature(feature, dimension));
        prop_assert_eq!(a.permute(steps).hamming(&b.permute(steps)), a.hamming(&b));
        prop_assert_eq!(a.permute(steps).bind(&b.permute(steps)), a.bind(&b).permute(steps));
        if let Some(back) = steps.checked_neg() {
            prop_assert_eq!(a.permute(steps).permute(back), a.clone());
        }
        prop_assert_eq!(a.permute(1).permute(2), a.permute(3));
    }

    #[test]
    fn hamming_is_a_metric((dimension, features) in three_features()) {
        let [a, b, c] = features.map(|feature| Hypervector::from_feature(feature, dimension));
        prop_assert_eq!(a.hamming(&a), 0);
        prop_assert_eq!(a.hamming(&b), b.hamming(&a));
        prop_assert!(a.hamming(&c) <= a.hamming(&b) + b.hamming(&c));
        prop_assert!((-1.0..=1.0).contains(&a.similarity(&b)));
        prop_assert_eq!(a.bind(&c).hamming(&b.bind(&c)), a.hamming(&b));
    }

    #[test]
    fn a_bundle_does_not_depend_on_order_or_grouping(
        dimension in any_dimension(),
        features in any_features(),
        at in any::<prop::sample::Index>(),
    ) {
        let bundle = encode(&features, dimension);
        let (a, b) = features.split_at(at.index(features.len() + 1));
        let mut bundler = Bundler::new(dimension);
        bundler.add_features(b);
        bundler.add_features(a);
        prop_assert_eq!(&bundler.majority(), &bundle);
        bundler.clear();
        bundler.add_features(&features);
        prop_assert_eq!(&bundler.majority(), &bundle);
        prop_assert_eq!(&engram(dimension, &features).majority(), &bundle);
        // A narrower bundle is the start of a wider one.
        prop_assert_eq!(bundle.truncate(Dimension::MIN), encode(&features, Dimension::MIN));
    }

    #[test]
    fn bytes_give_back_the_hypervector((dimension, features) in three_features()) {
        let vector = Hypervector::from_feature(features[0], dimension);
        let bytes = vector.to_bytes();
        prop_assert_eq!(bytes.len(), dimension.bytes());
        prop_assert_eq!(&bytes[..8], &vector.words()[0].to_le_bytes());
        prop_assert_eq!(Hypervector::from_bytes(&bytes), Ok(vector));
    }

    #[test]
    fn engrams_are_a_commutative_group(
        dimension in any_dimension(),
        features in [any_features(), any_features(), any_features()],
    ) {
        let [a, b, c] = features.clone().map(|features| engram(dimension, &features));
        let sum = |a: &Engram, b: &Engram| {
            let mut sum = a.clone();
            sum.merge(b);
            sum
        };
        prop_assert_eq!(sum(&a, &b), sum(&b, &a));
        prop_assert_eq!(sum(&sum(&a, &b), &c), sum(&a, &sum(&b, &c)));
        prop_assert_eq!(sum(&a, &Engram::new(dimension)), a.clone());
        prop_assert_eq!(sum(&a, &b), engram(dimension, &[&features[0][..], &features[1]].concat()));
        let mut difference = sum(&a, &b);
        difference.subtract(&b);
        prop_assert_eq!(&difference, &a);
        difference.subtract_features(&features[0]);
        prop_assert!(difference.is_zero());
        prop_assert_eq!(difference, Engram::new(dimension));
    }

    #[test]
    fn cosine_is_symmetric_and_one_for_itself(
        dimension in any_dimension(),
        features in [any_features(), any_features()],
    ) {
        let [a, b] = features.map(|features| engram(dimension, &features));
        prop_assert_eq!(a.cosine(&b), b.cosine(&a));
        prop_assert!((a.cosine(&a) - 1.0).abs() < 1e-12);
        let mut negative = Engram::new(dimension);
        negative.subtract(&a);
        let opposite = if a.counters().iter().all(|c| *c == 0) { 1.0 } else { -1.0 };
        prop_assert!((negative.cosine(&a) - opposite).abs() < 1e-12);
    }
}

#[test]
fn more_features_than_bit_counters_hold() {
    let features: Vec<u64> = (0..200_001).collect();
    let dimension = Dimension::new(192).unwrap();
    let mut bundler = Bundler::new(dimension);
    bundler.add_features(&features[..65_535]);
    let early = bundler.majority();
    assert_eq!(early, encode(&features[..65_535], dimension));
    bundler.add_features(&features[65_535..]);
    let late = bundler.majority();
    assert_eq!(late, bundler.majority());
    let whole = engram(dimension, &features);
    assert_eq!(whole.majority(), late);
    let mut parts = Engram::new(dimension);
    for part in features.chunks(1000) {
        parts.add_features(part);
    }
    assert_eq!(parts, whole);
    assert_eq!(whole.count(), 200_001);
}

#[test]
fn ties_are_broken_by_the_content() {
    let tied = |features: &[u64]| encode(features, Dimension::ENGRAM);
    // Two features tie in half of the bits, and there the XOR of both decides.
    let (a, b) =
        (Hypervector::from_feature(5, Dimension::ENGRAM), Hypervector::from_feature(9, Dimension::ENGRAM));
    let tie = Hypervector::from_feature(5 ^ 9, Dimension::ENGRAM);
    let bundle = tied(&[5, 9]);
    for (i, word) in bundle.words().iter().enumerate() {
        let (a, b, tie) = (a.words()[i], b.words()[i], tie.words()[i]);
        assert_eq!(*word, (a & b) | ((a ^ b) & tie));
    }
    assert_eq!(tied(&[]), Hypervector::from_feature(0, Dimension::ENGRAM));
}

#[test]
fn cosine_with_nothing_is_zero_and_of_nothings_is_one() {
    let nothing = Engram::new(Dimension::ENGRAM);
    assert_eq!(nothing.cosine(&nothing), 1.0);
    assert_eq!(nothing.cosine(&engram(Dimension::ENGRAM, &[1])), 0.0);
}

#[test]
#[should_panic(expected = "equal dimensions")]
fn merging_engrams_of_two_dimensions_panics() {
    Engram::new(Dimension::MIN).merge(&Engram::new(Dimension::ENGRAM));
}
