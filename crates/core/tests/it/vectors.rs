//! Frozen results: if one of these changes, stores written before can no longer be read alike.
//!
//! The files in `testdata/vectors` have a line per case: a name, a space, the value. To write them again
//! (only ever for a new format): `cargo test -p engrams-core --test it -- --ignored write_vectors`.

use std::fmt::Write as _;
use std::path::PathBuf;

use engrams_core::{
    ByteCorrection, ChunkParams, Chunking, Dimension, Engram, Gear, Hypervector, ItemMemory, Levels, Record,
    Reversible, bundle, encode, features_of, is_recall, n_grams, sequence,
};

use crate::inputs::{periodic, random, scan, text};

fn path(name: &str) -> PathBuf {
    // Where it runs before where it was compiled: one target directory may serve several clones.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(package).join("../../testdata/vectors").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// FNV-1a of 64 bits: enough to notice a change, and nothing to depend on.
fn digest<'a>(bytes: impl IntoIterator<Item = &'a u8>) -> u64 {
    bytes.into_iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}

fn digest_words(words: &[u64]) -> u64 {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    digest(&bytes)
}

fn data() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("random", random(1, 300_007)),
        ("text", text(2, 200_003)),
        ("zeros", vec![0; 50_021]),
        ("ones", vec![255; 9_973]),
        ("period-7", periodic(3, 7, 40_009)),
        ("period-1021", periodic(4, 1021, 60_013)),
        ("mixed", [random(5, 30_011), vec![0; 7_001], text(6, 40_037), periodic(7, 33, 5_003)].concat()),
        ("window", random(8, 32)),
        ("short", random(9, 31)),
        ("empty", Vec::new()),
    ]
}

fn gear() -> String {
    let (words, mut out) = (Gear::FROZEN.nibbles().words(), String::new());
    for index in [0, 1, 127, 255] {
        writeln!(out, "word-{index} {:04x}", words[index]).unwrap();
    }
    writeln!(out, "all {:016x}", digest_words(&words.map(u64::from))).unwrap();
    for (index, key) in Gear::FROZEN.keys().iter().enumerate() {
        writeln!(out, "key-{index} {key:016x}").unwrap();
    }
    out
}

fn cuts() -> String {
    let odd = |minimum, average, maximum| {
        let params = ChunkParams::new(minimum, average, maximum).unwrap();
        (format!("{minimum}-{average}-{maximum}"), Chunking::ContentDefined(params))
    };
    let chunkings = [
        odd(64, 256, 1024),
        odd(65, 256, 257),
        odd(255, 256, 7_919),
        odd(333, 1024, 5_003),
        odd(1_023, 2048, 65_537),
        odd(2048, 8192, 32_768),
        odd(16_384, 65_536, 262_144),
        ("fixed-64".to_owned(), Chunking::fixed(64).unwrap()),
        ("fixed-8191".to_owned(), Chunking::fixed(8_191).unwrap()),
    ];
    let mut out = String::new();
    for (name, data) in data() {
        for (sizes, chunking) in &chunkings {
            let chunks = scan(*chunking, &data);
            let lengths: Vec<u64> = chunks.iter().map(|(len, _)| *len as u64).collect();
            let features: Vec<u64> = chunks.into_iter().flat_map(|(_, features)| features).collect();
            let first: Vec<String> = lengths.iter().take(4).map(u64::to_string).collect();
            writeln!(
                out,
                "{name}/{sizes} chunks={} first={} lengths={:016x} features={} values={:016x}",
                lengths.len(),
                first.join(","),
                digest_words(&lengths),
                features.len(),
                digest_words(&features),
            )
            .unwrap();
        }
    }
    out
}

fn features() -> String {
    let mut out = String::new();
    for (name, data) in data() {
        let mut features = Vec::new();
        features_of(&data, &mut features);
        let recall = features.iter().filter(|feature| is_recall(**feature)).count();
        let first: Vec<String> = features.iter().take(3).map(|feature| format!("{feature:016x}")).collect();
        writeln!(
            out,
            "{name} count={} recall={recall} first={} values={:016x}",
            features.len(),
            first.join(","),
            digest_words(&features)
        )
        .unwrap();
    }
    out
}

fn dimensions() -> impl Iterator<Item = Dimension> {
    [64, 192, 1024, 4096].into_iter().map(|bits| Dimension::new(bits).unwrap())
}

fn hypervectors() -> String {
    let mut out = String::new();
    for feature in [0, 1, u64::MAX, 0x0123_4567_89AB_CDEF, 0x61C8_8646_80B5_83EB] {
        let vector = Hypervector::from_feature(feature, Dimension::new(704).unwrap());
        writeln!(out, "expand-{feature:016x} {}", hex(&vector.to_bytes())).unwrap();
    }
    for dimension in dimensions() {
        let bits = dimension.bits();
        for count in [0, 1, 2, 3, 16, 17, 255, 512] {
            let features: Vec<u64> = (0..count).map(|i| i * i * 0x0100_0193 + 7).collect();
            let vector = encode(&features, dimension);
            let bytes = vector.to_bytes();
            writeln!(out, "encode-{bits}-{count} {} {:016x}", hex(&bytes[..8]), digest(&bytes)).unwrap();
        }
        let vector = Hypervector::from_feature(42, dimension);
        for steps in [1, 63, 64, 65, -5] {
            let bytes = vector.permute(steps).to_bytes();
            writeln!(out, "permute-{bits}-{steps} {:016x}", digest(&bytes)).unwrap();
        }
    }
    out
}

/// Engrams of every input and dimension, from features added and subtracted.
fn engram_cases() -> Vec<(String, Engram)> {
    let mut cases = Vec::new();
    for dimension in dimensions() {
        for (name, data) in data() {
            let mut features = Vec::new();
            features_of(&data, &mut features);
            let mut engram = Engram::new(dimension);
            engram.add_features(&features);
            cases.push((format!("{name}-{}", dimension.bits()), engram.clone()));
            engram.subtract_features(&[1, 2, 3]);
            cases.push((format!("{name}-minus-3-{}", dimension.bits()), engram));
        }
    }
    cases
}

fn engrams() -> String {
    let mut out = String::new();
    for (name, engram) in engram_cases() {
        let bytes = engram.to_bytes();
        // Whole when short, so that the format itself is pinned and not only a digest of it.
        let shown = if bytes.len() <= 200 { hex(&bytes) } else { hex(&bytes[..40]) };
        writeln!(out, "{name} len={} {shown} {:016x}", bytes.len(), digest(&bytes)).unwrap();
    }
    out
}

fn shown(vector: &Hypervector) -> String {
    let bytes = vector.to_bytes();
    format!("{} {:016x}", hex(&bytes[..8]), digest(&bytes))
}

fn encodings() -> String {
    let mut out = String::new();
    for dimension in dimensions() {
        let bits = dimension.bits();
        for count in [0, 1, 2, 7, 12] {
            let items: Vec<Hypervector> =
                (0..count).map(|feature| Hypervector::from_feature(feature * feature, dimension)).collect();
            let mut record = Record::new(dimension);
            items.windows(2).for_each(|pair| record.set(&pair[0], &pair[1]));
            for (name, vector) in [
                ("bundle", bundle(dimension, &items)),
                ("sequence", sequence(dimension, &items)),
                ("3-grams", n_grams(dimension, &items, 3)),
                ("record", record.encode()),
            ] {
                writeln!(out, "{name}-{bits}-{count} {}", shown(&vector)).unwrap();
            }
        }
        for (name, levels) in [
            ("linear", Levels::linear(5, dimension, 33)),
            ("thermometer", Levels::thermometer(6, dimension, 10)),
        ] {
            let all: Vec<u64> =
                (0..levels.len()).flat_map(|level| levels.get(level).words().to_vec()).collect();
            writeln!(out, "{name}-{bits} {} {:016x}", shown(levels.get(7)), digest_words(&all)).unwrap();
        }
    }
    let mut memory = ItemMemory::new(Dimension::new(128).unwrap()).with_index(3);
    for (label, feature) in [("", 1), ("removed", 2), ("a label", 3)] {
        memory.insert(label, &Hypervector::from_feature(feature, memory.dimension()));
    }
    memory.remove(1);
    writeln!(out, "item-memory {}", hex(&memory.to_bytes().unwrap())).unwrap();
    let correction = ByteCorrection::between(&[0; 500], &[&[1, 0, 2][..], &[0; 496], &[3]].concat());
    writeln!(out, "byte-correction {}", hex(&correction.to_bytes())).unwrap();
    out
}

fn reversible() -> String {
    let mut out = String::new();
    for (bits, piece_len) in [
        (256, 1),
        (256, 2),
        (768, 5),
        (1024, 8),
        (3840, 31),
        (4096, 64),
        (4096, 300),
        (12_288, 64),
        (61_440, 500),
        (65_536, 1),
    ] {
        let code = Reversible::new(Dimension::new(bits).unwrap(), piece_len).unwrap();
        for (name, piece) in
            [("random", random(10, piece_len)), ("text", text(11, piece_len)), ("zeros", vec![0; piece_len])]
        {
            let vector = code.encode(&piece);
            // What is read of a vector that was never written has ties and near ties.
            let read = code.decode(&vector.permute(1));
            writeln!(out, "{name}-{bits}-{piece_len} {} read={:016x}", shown(&vector), digest(&read))
                .unwrap();
        }
    }
    for piece_len in [1, 8, 64, 256] {
        for rate in [0.0, 0.1, 0.25] {
            let bits = Reversible::dimension_for(piece_len, rate, 1e-6).map(Dimension::bits);
            writeln!(out, "dimension-{piece_len}-{rate} {bits:?}").unwrap();
        }
    }
    out
}

type Case = (&'static str, fn() -> String);
const FILES: [Case; 7] = [
    ("gear.txt", gear),
    ("cuts.txt", cuts),
    ("features.txt", features),
    ("hypervectors.txt", hypervectors),
    ("engrams.txt", engrams),
    ("encodings.txt", encodings),
    ("reversible.txt", reversible),
];

#[test]
fn results_are_those_of_every_version_before() {
    for (name, now) in FILES {
        let frozen = std::fs::read_to_string(path(name)).unwrap();
        let now = now();
        assert!(!frozen.is_empty() && frozen.lines().count() == now.lines().count(), "{name}");
        for (frozen, now) in frozen.lines().zip(now.lines()) {
            assert_eq!(now, frozen, "in {name}");
        }
    }
}

#[test]
fn frozen_engrams_can_still_be_read() {
    let frozen = std::fs::read_to_string(path("engrams.txt")).unwrap();
    let mut read = 0;
    for (line, (name, engram)) in frozen.lines().zip(engram_cases()) {
        let fields: Vec<&str> = line.split(' ').collect();
        assert_eq!(fields[0], name);
        if fields[1] == format!("len={}", fields[2].len() / 2) {
            let digit_pairs = fields[2].as_bytes().as_chunks::<2>().0;
            let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
            let bytes: Vec<u8> = digit_pairs.iter().map(byte).collect();
            assert_eq!(Engram::from_bytes(&bytes), Ok(engram));
            read += 1;
        }
    }
    assert!(read >= 30, "only {read} whole engrams");
}

#[test]
#[ignore = "writes the frozen vectors: only with ENGRAMS_WRITE_VECTORS set, and only for a new format"]
fn write_vectors() {
    // `cargo xtask test --long` runs what is ignored.
    if std::env::var_os("ENGRAMS_WRITE_VECTORS").is_none() {
        return;
    }
    for (name, contents) in FILES {
        std::fs::write(path(name), contents()).unwrap();
    }
}
