//! Cut points and features: against an oracle, and whatever the pieces.

use engrams_core::{ChunkParams, Chunking, Gear, Scanner, features_of, locate_features};
use engrams_kernels::mix64;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::inputs::{any_bytes, periodic, random, scan, scan_pieces};

/// The gear hash of the 16 bytes up to `position`, from the definition.
fn state(data: &[u8], position: usize) -> u16 {
    (0..16).fold(0_u16, |sum, age| {
        sum.wrapping_add(Gear::FROZEN.nibbles().words()[usize::from(data[position - age])] << age)
    })
}

fn is_raw(data: &[u8], position: usize) -> bool {
    position >= 31 && state(data, position) < 1024
}

fn is_selected(data: &[u8], position: usize) -> bool {
    is_raw(data, position) && !(position.saturating_sub(16)..position).any(|before| is_raw(data, before))
}

/// The strong hash of the 32 bytes up to `position`, from the definition.
fn feature(data: &[u8], position: usize) -> u64 {
    let word = |i: usize| {
        let start = position - 31 + 8 * i;
        u64::from_le_bytes(data[start..start + 8].try_into().unwrap()) ^ Gear::FROZEN.keys()[i]
    };
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        (product % (1 << 64)) as u64 ^ (product >> 64) as u64
    };
    mix64(fold(word(0), word(1)).wrapping_add(fold(word(2), word(3))))
}

/// The feature rule as it is written down, position by position.
pub(crate) fn features_oracle(data: &[u8]) -> Vec<u64> {
    (0..data.len()).filter(|i| is_selected(data, *i)).map(|i| feature(data, i)).collect()
}

/// The length of the first chunk, from the cut rule as it is written down.
fn first_chunk_oracle(params: &ChunkParams, data: &[u8]) -> usize {
    let (minimum, average) = (params.minimum() as u64, params.average() as u64);
    let excess = (3 * average).saturating_sub(4 * minimum);
    let turn = minimum + 4 * excess / 15 + 2 * excess * excess / (225 * average);
    let longest = data.len().min(params.maximum());
    for len in params.minimum()..longest {
        let positions = if (len as u64) < turn { 4 * average } else { average / 4 };
        // 64 (64/63)^16, positions to a feature, in units of 2^-64.
        let limit = 0x5257090B76951543D5_u128 / u128::from(positions);
        if is_selected(data, len - 1) && u128::from(feature(data, len - 1).rotate_left(32)) < limit {
            return len;
        }
    }
    longest
}

pub(crate) fn any_params() -> impl Strategy<Value = ChunkParams> {
    (8..12_u32, any::<prop::sample::Index>(), 1..5000_usize).prop_map(|(bits, minimum, over)| {
        let average = 1 << bits;
        let minimum = 64 + minimum.index(average - 64);
        ChunkParams::new(minimum, average, average + over).unwrap()
    })
}

fn any_chunking() -> impl Strategy<Value = Chunking> {
    prop_oneof![
        any_params().prop_map(Chunking::ContentDefined),
        (64..5000_usize).prop_map(|size| Chunking::fixed(size).unwrap()),
    ]
}

proptest! {
    #![proptest_config(crate::cases(96))]

    #[test]
    fn chunks_match_the_oracle(params in any_params(), data in any_bytes(6000)) {
        let mut rest = &data[..];
        for (len, features) in scan(Chunking::ContentDefined(params), &data) {
            prop_assert_eq!(len, first_chunk_oracle(&params, rest));
            prop_assert_eq!(features, features_oracle(&rest[..len]));
            rest = &rest[len..];
        }
        prop_assert!(rest.is_empty());
    }

    #[test]
    fn pieces_make_no_difference(
        chunking in any_chunking(),
        data in any_bytes(20_000),
        pieces in vec(1..3000_usize, 1..20),
    ) {
        let whole = scan(chunking, &data);
        prop_assert_eq!(&scan_pieces(chunking, &data, &pieces), &whole);
        prop_assert_eq!(&scan_pieces(chunking, &data, &[1]), &whole);
    }

    #[test]
    fn chunk_lengths_stay_within_the_parameters(chunking in any_chunking(), data in any_bytes(20_000)) {
        let chunks = scan(chunking, &data);
        prop_assert_eq!(chunks.iter().map(|(len, _)| len).sum::<usize>(), data.len());
        for (index, (len, _)) in chunks.iter().enumerate() {
            prop_assert!(*len <= chunking.maximum());
            prop_assert!(*len >= chunking.minimum() || index == chunks.len() - 1);
        }
    }

    #[test]
    fn a_forced_cut_restarts_everything(
        chunking in any_chunking(),
        before in any_bytes(500),
        data in any_bytes(5000),
    ) {
        let mut scanner = Scanner::new(chunking);
        let _ = scanner.scan(&before);
        scanner.finish(&mut Vec::new());
        prop_assert!(scanner.is_empty());
        let first = scanner.scan(&data);
        let mut features = Vec::new();
        scanner.finish(&mut features);
        let chunks = scan(chunking, &data);
        let expected = chunks.first().cloned().unwrap_or_default();
        prop_assert_eq!((first.unwrap_or(data.len()), features), expected);
    }

    #[test]
    fn places_of_features_are_where_their_windows_begin(data in any_bytes(5000), piece in 1..400_usize) {
        let mut scanner = Scanner::new(Chunking::fixed(1 << 20).unwrap());
        for piece in data.chunks(piece) {
            let _ = scanner.scan(piece);
        }
        let (mut features, mut starts, mut located) = (Vec::new(), Vec::new(), Vec::new());
        scanner.finish_located(&mut features, &mut starts);
        locate_features(&data, &mut located);
        let found: Vec<_> = features.iter().zip(&starts).map(|(&f, &start)| (start as usize, f)).collect();
        prop_assert_eq!(found, located.iter().map(|one| (one.start, one.feature)).collect::<Vec<_>>());
    }

    #[test]
    fn features_of_a_part_are_those_of_the_part_alone(
        data in any_bytes(3000),
        from in 0..3000_usize,
        len in 0..3000_usize,
    ) {
        let (mut features, mut starts, mut scanner) =
            (Vec::new(), Vec::new(), Scanner::new(Chunking::fixed(1 << 20).unwrap()));
        let _ = scanner.scan(&data);
        scanner.finish_located(&mut features, &mut starts);
        let from = from.min(data.len());
        let part = from..(from + len).min(data.len());
        let mut found = Vec::new();
        Gear::FROZEN.features_of_part(&data, &features, &starts, part.clone(), &mut found);
        prop_assert_eq!(found, features_oracle(&data[part]));
    }

    #[test]
    fn features_of_a_string_match_the_oracle(data in any_bytes(3000)) {
        let mut features = vec![5];
        features_of(&data, &mut features);
        prop_assert_eq!(&features[1..], &features_oracle(&data)[..]);
    }

    #[test]
    fn an_edit_moves_cut_points_only_near_itself(seed: u64, at in 0..100_000_usize, inserted in 1..100_usize) {
        let chunking = Chunking::ContentDefined(ChunkParams::from_average(1024).unwrap());
        let data = random(seed, 100_000);
        let mut edited = data.clone();
        edited.splice(at..at, random(!seed, inserted));
        let tail = |data: &[u8]| {
            let chunks = scan(chunking, data);
            let mut lengths: Vec<usize> = chunks.into_iter().map(|(len, _)| len).collect();
            lengths.reverse();
            lengths
        };
        // The chunks after the edit come back within 24 averages (chance of failure below 1e-6).
        let (old, new) = (tail(&data), tail(&edited));
        let same: usize = old.iter().zip(&new).take_while(|(a, b)| a == b).map(|(a, _)| a).sum();
        prop_assert!(same + 24 * 1024 >= data.len() - at, "only the last {} bytes are cut alike", same);
    }
}

#[test]
fn random_data_gives_chunks_of_the_average() {
    for (minimum, average, maximum) in
        [(64, 256, 1024), (256, 1024, 4096), (100, 1024, 65_536), (3000, 4096, 40_000), (512, 1024, 8192)]
    {
        let params = ChunkParams::new(minimum, average, maximum).unwrap();
        let len = average * 4000;
        let chunks = scan(Chunking::ContentDefined(params), &random(average as u64, len)).len();
        let mean = len as f64 / chunks as f64;
        assert!((mean / average as f64 - 1.0).abs() < 0.04, "{params:?} gives {mean}");
    }
}

#[test]
fn random_data_gives_one_feature_in_82_bytes() {
    let mut features = Vec::new();
    features_of(&random(1, 2_000_000), &mut features);
    let spacing = 2_000_000.0 / features.len() as f64;
    // 64 / (63/64)^16
    assert!((spacing - 82.3).abs() < 1.5, "one in {spacing}");
    let recall = features.iter().filter(|feature| engrams_core::is_recall(**feature)).count();
    assert!((recall as f64 / features.len() as f64 - 0.5).abs() < 0.02);
}

#[test]
fn constant_and_short_period_data_has_few_features() {
    for period in 1..=16 {
        for seed in 0..40 {
            let mut features = Vec::new();
            features_of(&periodic(seed, period, 10_000), &mut features);
            assert!(features.len() <= 1, "period {period} gives {} features", features.len());
        }
    }
    for byte in 0..=255 {
        let mut features = Vec::new();
        features_of(&[byte; 5000], &mut features);
        assert!(features.len() <= 1);
    }
}

#[test]
fn another_gear_shares_nothing() {
    let chunking = Chunking::ContentDefined(ChunkParams::from_average(1024).unwrap());
    let data = random(3, 50_000);
    let mut other = Scanner::with_gear(chunking, Gear::from_seed(1));
    let mut features = Vec::new();
    other.scan(&data);
    other.finish(&mut features);
    let frozen = features_oracle(&data);
    assert!(!features.is_empty() && features.iter().all(|feature| !frozen.contains(feature)));
}
