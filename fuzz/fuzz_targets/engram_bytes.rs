//! `Engram::from_bytes` takes any bytes, and accepts each engram in one encoding only.
#![no_main]

use engrams::Engram;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
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
