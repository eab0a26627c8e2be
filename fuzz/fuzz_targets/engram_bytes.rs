//! `Engram::from_bytes`, `Sample::from_bytes` and `Sketch::from_bytes` take any bytes, and accept each value in one encoding
//! only. Engram files are also given the check that they should have, which keeps other bytes from going further.
#![no_main]

use engrams::{Engram, Sample, Sketch};
use engrams_kernels::mix64;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    check_file(bytes);
    if let Some(content) = bytes.len().checked_sub(8).map(|len| &bytes[..len]) {
        check_file(&[content, &file_check(content)].concat());
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

/// An engram file, or none.
fn check_file(bytes: &[u8]) {
    match Sketch::from_bytes(bytes) {
        Ok(sketch) => {
            assert_eq!(sketch.to_bytes(), bytes, "another encoding was accepted");
            check_sample(sketch.sample(), &sketch.sample().to_bytes());
            let mut twice = sketch.clone();
            twice.merge(&sketch);
            twice.subtract(&sketch);
            assert_eq!(twice.engram(), sketch.engram());
            assert!(twice.sample().agrees_with(sketch.sample()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The check at the end of a file with this content, as documented at `Sketch::to_bytes`.
fn file_check(content: &[u8]) -> [u8; 8] {
    let words = content.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    });
    let check = words.fold(content.len() as u64, |check, word| {
        mix64(check.wrapping_add(word).wrapping_add(0x9E37_79B9_7F4A_7C15))
    });
    check.to_le_bytes()
}

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
        assert!(
            (0.0..=1.0).contains(&estimate.value)
                && estimate.low <= estimate.value
                && estimate.value <= estimate.high
        );
    }
    if let Ok(sketch) = Sketch::from_parts(Engram::new(engrams::core::Dimension::ENGRAM), sample.clone()) {
        assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Ok(sketch));
    }
}
