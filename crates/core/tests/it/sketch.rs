//! Samples and sketches: sums are samples of the sum, errors are what they say, bytes are total.

use engrams_core::{Engram, Sample, Sketch, SketchError, Sketcher, is_recall};
use proptest::collection::vec;
use proptest::prelude::*;

/// The `i`th of endless distinct features that count.
fn feature(i: u64) -> u64 {
    engrams_kernels::mix64(i) & !1
}

fn features(range: std::ops::Range<u64>) -> Vec<u64> {
    range.map(feature).collect()
}

fn sample(features: &[u64]) -> Sample {
    let mut sample = Sample::new();
    sample.add_features(features);
    sample
}

proptest! {
    #![proptest_config(crate::cases(64))]

    #[test]
    fn parts_add_up_to_the_sample_of_the_whole_in_any_order(
        parts in vec((0..9000_u64, 0..2500_u64), 1..6),
        rotation in 0..6_usize,
    ) {
        let lists: Vec<Vec<u64>> = parts.iter().map(|(from, len)| features(*from..from + len)).collect();
        let whole = sample(&lists.concat());
        let mut sum = Sample::new();
        for part in lists.iter().cycle().skip(rotation).take(lists.len()) {
            sum.merge(&sample(part));
        }
        prop_assert_eq!(sum, whole);
    }

    #[test]
    fn what_is_left_after_subtracting_is_a_sample_of_the_rest(
        kept in (0..9000_u64, 0..3000_u64),
        gone in (5000..12_000_u64, 0..3000_u64),
    ) {
        let (kept, gone) = (features(kept.0..kept.0 + kept.1), features(gone.0..gone.0 + gone.1));
        let mut rest = sample(&[&kept[..], &gone].concat());
        rest.subtract(&sample(&gone));
        prop_assert!(rest.agrees_with(&sample(&kept)));
        let mut one_by_one = sample(&[&kept[..], &gone].concat());
        gone.iter().for_each(|feature| one_by_one.subtract_features(&[*feature]));
        prop_assert!(one_by_one.agrees_with(&sample(&kept)));
    }

    #[test]
    fn bytes_give_back_the_sketch(add in 0..3000_u64, subtract in 0..3000_u64) {
        let mut sketch = Sketch::new();
        sketch.add_features(&features(0..add));
        sketch.subtract_features(&features(1000..1000 + subtract));
        let bytes = sketch.to_bytes();
        prop_assert!(bytes.len() <= Sketch::MAX_BYTES);
        prop_assert_eq!(Sketch::from_bytes(&bytes), Ok(sketch));
    }

    #[test]
    fn hostile_bytes_give_an_error_or_their_own_sample(bytes in vec(any::<u8>(), 0..60), known: bool) {
        let mut bytes = bytes;
        if let (true, Some(first)) = (known, bytes.first_mut()) {
            *first = 1;
        }
        if let Ok(sample) = Sample::from_bytes(&bytes) {
            prop_assert_eq!(sample.to_bytes(), bytes);
        }
    }
}

#[test]
fn every_changed_byte_of_a_file_is_noticed() {
    let bytes = Sketch::of_bytes(&engrams_noise(30_000)).to_bytes();
    assert!(Sketch::from_bytes(&bytes).is_ok());
    for at in (0..bytes.len()).step_by(7).chain(0..12) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        assert!(Sketch::from_bytes(&bad).is_err(), "byte {at}");
        assert!(Sketch::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    let mut newer = bytes;
    newer[7] = 2;
    assert_eq!(Sketch::from_bytes(&newer), Err(SketchError::Format { found: 2 }));
    assert_eq!(Sketch::from_bytes(b"something else"), Err(SketchError::Magic));
}

#[test]
fn a_stream_in_steps_has_the_sketch_of_the_whole() {
    let bytes = engrams_noise(200_000);
    let whole = Sketch::of_bytes(&bytes);
    for step in [1, 7, 31, 4096, 65_537] {
        let mut sketcher = Sketcher::new();
        bytes.chunks(step).for_each(|part| sketcher.push(part));
        assert_eq!(sketcher.finish(), whole, "in steps of {step}");
    }
    let mut two = Sketcher::new();
    two.push(&bytes[..70_000]);
    two.end_file();
    two.push(&bytes[70_000..]);
    let mut sum = Sketch::of_bytes(&bytes[..70_000]);
    sum.merge(&Sketch::of_bytes(&bytes[70_000..]));
    assert_eq!(two.finish(), sum);
}

#[test]
fn a_sketch_has_the_engram_of_the_same_features() {
    let bytes = engrams_noise(100_000);
    let mut features = Vec::new();
    engrams_core::features_of(&bytes, &mut features);
    features.retain(|feature| is_recall(*feature));
    let mut engram = Engram::new(engrams_core::Dimension::ENGRAM);
    engram.add_features(&features);
    assert_eq!(Sketch::of_bytes(&bytes).engram(), &engram);
}

/// Pairs of sets whose shares are known: the errors that are stated are the errors that are made.
#[test]
fn truths_lie_within_standard_errors_as_often_as_they_should() {
    let (mut within, mut count, mut covered) = ([0; 3], 0, 0);
    for trial in 0..400_u64 {
        let base = trial * 1_000_000;
        let size = 2000 + engrams_kernels::mix64(trial) % 20_000;
        let shared = engrams_kernels::mix64(trial + 7777) % size;
        let other = shared + engrams_kernels::mix64(trial + 99_999) % 20_000;
        let a = sample(&features(base..base + size));
        let b = sample(&features(base + size - shared..base + size - shared + other));
        let found = a.similarity(&b);
        let union = (size + other - shared) as f64;
        for (estimate, truth) in [
            (found.jaccard, shared as f64 / union),
            (found.containment, shared as f64 / size as f64),
            (found.containment_of_other, shared as f64 / other.max(1) as f64),
        ] {
            let errors = (estimate.value - truth).abs() / estimate.standard_error;
            (0..3).for_each(|z| within[z] += u32::from(errors <= z as f64 + 1.0));
            covered += u32::from((estimate.low..=estimate.high).contains(&truth));
            count += 1;
        }
    }
    let share = |hits: u32| f64::from(hits) / f64::from(count);
    assert!((0.63..0.73).contains(&share(within[0])), "{within:?} of {count}");
    assert!((0.93..0.975).contains(&share(within[1])), "{within:?} of {count}");
    assert!(share(within[2]) >= 0.99, "{within:?} of {count}");
    assert!((0.925..0.975).contains(&share(covered)), "{covered} of {count}");
}

#[test]
fn a_small_part_of_much_is_told_to_be_unknown() {
    let much = sample(&features(0..1_000_000));
    let little = sample(&features(1..4));
    assert!(little.similarity(&much).containment.is_unknown());
    assert!((much.distinct() / 1_000_000.0 - 1.0).abs() < 0.1);
}

/// Bytes that do not repeat.
fn engrams_noise(len: usize) -> Vec<u8> {
    (0..len as u64 / 8 + 1).flat_map(|i| engrams_kernels::mix64(i + 12_345).to_le_bytes()).take(len).collect()
}
