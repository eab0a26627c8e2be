//! Parameters are accepted up to their limits, and refused beyond with the name, value and limit.

use engrams_core::{ChunkParams, ChunkParamsError, Chunking, Dimension};

#[test]
fn limits_are_inclusive() {
    assert!(ChunkParams::new(64, 256, 257).is_ok());
    assert!(ChunkParams::new((16 << 20) - 1, 16 << 20, 64 << 20).is_ok());
    assert!(ChunkParams::from_average(256).is_ok());
    assert!(ChunkParams::from_average(16 << 20).is_ok());
    assert!(Chunking::fixed(64).is_ok());
    assert!(Chunking::fixed(64 << 20).is_ok());
    assert!(Dimension::new(64).is_ok() && Dimension::new(65_536).is_ok());
}

#[test]
fn errors_say_name_value_and_limit() {
    let message =
        |minimum, average, maximum| ChunkParams::new(minimum, average, maximum).unwrap_err().to_string();
    assert_eq!(message(63, 256, 1024), "minimum of 63 bytes is not within 64..=67108864");
    assert_eq!(message(64, 128, 1024), "average of 128 bytes is not within 256..=16777216");
    assert_eq!(message(64, 256, 67_108_865), "maximum of 67108865 bytes is not within 64..=67108864");
    assert_eq!(message(64, 300, 1024), "average of 300 bytes is not a power of two");
    assert_eq!(message(256, 256, 1024), "minimum of 256 bytes is not below the average of 256");
    assert_eq!(message(64, 256, 256), "average of 256 bytes is not below the maximum of 256");
    for average in [0, 128, 32 << 20, usize::MAX] {
        let error = ChunkParams::from_average(average).unwrap_err();
        assert!(
            matches!(error, ChunkParamsError::OutOfRange { name: "average", value, .. } if value == average),
            "{average}: {error}"
        );
    }
    for size in [0, 63, (64 << 20) + 1] {
        assert!(Chunking::fixed(size).unwrap_err().to_string().starts_with("fixed size of"));
        assert!(Chunking::Fixed(size).validate().is_err());
    }
    for bits in [0, 1, 65, 65_600, usize::MAX] {
        assert!(Dimension::new(bits).is_err());
    }
}
