//! `Engram::from_bytes`, `Sample::from_bytes` and `Sketch::from_bytes` take any bytes, and accept each value in one encoding
//! only.
#![no_main]

use engrams::{Engram, Sample, Sketch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Sketch::from_bytes(bytes) {
        Ok(sketch) => assert_eq!(sketch.to_bytes(), bytes, "another encoding was accepted"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    match Sample::from_bytes(bytes) {
        Ok(sample) => check_sample(&sample, bytes),
        Err(error) => assert!(!error.to_string().is_empty()),
    }

    // The message of an error must hold for any bytes as well.
    let engram = match Engram::from_bytes(bytes) {
        Ok(engram) => engram,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert_eq!(engram.to_bytes(), bytes, "another encoding was accepted");

    let mut twice = engram.clone();
    twice.merge(&engram);
    twice.subtract(&engram);
    assert_eq!(twice, engram);
    twice.subtract(&engram);
    assert!(twice.is_zero());
    assert_eq!(Engram::from_bytes(&twice.to_bytes()), Ok(twice));

    let cosine = engram.cosine(&engram);
    assert!((cosine - 1.0).abs() < 1e-9, "the cosine with itself is {cosine}");
    assert_eq!(engram.majority().dimension(), engram.dimension());

    let mut more = engram.clone();
    more.add_features(&[1, 2, 3]);
    more.subtract_features(&[3, 2, 1]);
    assert_eq!(more, engram);
});

/// What a check at the end of a file keeps random bytes from reaching.
fn check_sample(sample: &Sample, bytes: &[u8]) {
    assert_eq!(sample.to_bytes(), bytes, "another encoding was accepted");
    let mut more = sample.clone();
    more.add_features(&[1, 2 << 16, 3 << 40]);
    more.subtract_features(&[3 << 40, 2 << 16, 1]);
    assert!(more.agrees_with(sample));
    let mut twice = sample.clone();
    twice.merge(sample);
    twice.subtract(sample);
    assert!(twice.agrees_with(sample));
    let found = sample.similarity(sample);
    for estimate in [found.jaccard, found.containment, found.containment_of_other] {
        assert!((0.0..=1.0).contains(&estimate.value) && estimate.low <= estimate.value && estimate.value <= estimate.high);
    }
    if let Ok(sketch) = Sketch::from_parts(Engram::new(engrams::core::Dimension::ENGRAM), sample.clone()) {
        assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Ok(sketch));
    }
}
