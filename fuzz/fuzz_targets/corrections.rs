//! Any payload under any head: the decoder of chunks gives the bytes that the head names, or an error.
//!
//! Memory is bounded by the length that a head declares, which is at most the longest chunk of the format, 64 MiB: run it
//! with `-malloc_limit_mb=80`. What an encoder made is decoded exactly, whatever its level and its bases.
#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use engrams::store::backend::MemoryBackend;
use engrams::store::{
    Backend, Batch, Coding, Compression, Durability, Encoder, Head, Space, Splice, Superblock,
};
use engrams::{ChunkParams, EngramStore, ErrorKind, OpenOptions};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    /// Contents of the bases, each kept raw; at most four.
    bases: Vec<Recipe>,
    coding: u8,
    /// Instead of the plain length.
    declared: Option<u32>,
    payload: Payload,
}

#[derive(Debug, Arbitrary)]
enum Payload {
    /// The name in the head is that of `claimed`. A splice may say its script in a few bytes each: see [`forged_splice`].
    Any { coded: Vec<u8>, claimed: Recipe },
    /// What an encoder makes of the first base with an edit, and then some bytes changed; the head knows of the change.
    Coded { level: u8, at: u16, edit: Vec<u8>, flips: Vec<(u16, u8)> },
}

#[derive(Debug, Arbitrary)]
struct Recipe {
    seed: u8,
    len: u16,
}

impl Recipe {
    fn bytes(&self) -> Vec<u8> {
        let mut state = u32::from(self.seed);
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let text = self.seed.is_multiple_of(2);
        (0..self.len % 5000).map(|_| if text { b"abc \n"[usize::from(next() % 5)] } else { next() }).collect()
    }
}

fn coding(byte: u8) -> Coding {
    [Coding::Raw, Coding::Lz4, Coding::Zstd, Coding::Splice][usize::from(byte % 4)]
}

/// A splice whose script these bytes say, and whose literals are coded as they should be.
///
/// How many copies; of each the literals before it, its length beyond the least, and where it is from; the rest is literals.
fn forged_splice(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.iter().copied();
    let count = bytes.next().unwrap_or(0);
    let mut payload = Vec::new();
    put_varint(&mut payload, count.into());
    for _ in 0..count {
        for _ in 0..3 {
            let (low, high) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
            // Short ones mostly, and a few that nothing is long enough for.
            let shift = if high < 0xf0 { 0 } else { 4 * u32::from(high & 0xf) };
            put_varint(&mut payload, ((u64::from(high % 32) << 8) | u64::from(low)) << shift);
        }
    }
    let literals: Vec<u8> = bytes.collect();
    if !literals.is_empty() {
        let mut encoder = Encoder::new(Compression::Zstd(1)).expect("the level is one of zstd's");
        payload.extend(encoder.correction(&literals, b"").expect("there is memory"));
    }
    payload
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put(backend: &MemoryBackend, id: u64, head: &Head, payload: Vec<u8>) {
    let mut batch = Batch::new();
    batch.put(Space::Head, id.to_be_bytes(), head.encode(id));
    batch.put(Space::Payload, id.to_be_bytes(), payload);
    backend.write(batch, Durability::Durable).expect("a memory backend takes everything");
}

fn head(name: [u8; 32], len: usize, coding: Coding, bases: Vec<u64>, payload: &[u8]) -> Head {
    Head {
        name,
        len: len as u32,
        coded_len: payload.len() as u32,
        coding,
        depth: u8::from(!bases.is_empty()),
        bases,
        vector: [0; 32],
        payload_check: Head::check_of(payload),
    }
}

fuzz_target!(|input: Input| {
    let chunks = ChunkParams::new(64, 256, 64 << 10).expect("within the limits");
    let options = OpenOptions {
        cache_bytes: 1 << 20,
        superblock: Superblock { chunks, ..Superblock::default() },
        ..OpenOptions::default()
    };
    let backend = Arc::new(MemoryBackend::new());
    let store = EngramStore::with_backend(backend.clone(), &options).expect("an empty backend opens");
    let bases: Vec<Vec<u8>> = input.bases.iter().take(4).map(Recipe::bytes).collect();
    for (id, base) in (1..).zip(&bases) {
        let head = head(*blake3::hash(base).as_bytes(), base.len(), Coding::Raw, Vec::new(), base);
        put(&backend, id, &head, base.clone());
    }
    let ids: Vec<u64> = (1..=bases.len() as u64).collect();
    let id = bases.len() as u64 + 1;

    let (plain, coding, coded, exact) = match input.payload {
        Payload::Any { coded, claimed } => {
            let coding = coding(input.coding);
            let forge = coding == Coding::Splice && input.coding >= 128;
            let coded = if forge { forged_splice(&coded) } else { coded };
            (claimed.bytes(), coding, coded, false)
        }
        Payload::Coded { level, at, edit, flips } => {
            let mut plain = bases.first().cloned().unwrap_or_default();
            let at = usize::from(at) % (plain.len() + 1);
            plain.splice(at..at, edit);
            let slices: Vec<&[u8]> = bases.iter().map(|base| &base[..]).collect();
            let (prefix, splice) = (bases.concat(), Splice::find(&plain, &slices));
            let level = Compression::Zstd(1 + i32::from(level % 6));
            let mut encoder = Encoder::new(level).expect("the level is one of zstd's");
            // By the head's choice of coding, where there is one.
            let (coding, mut coded) = match &splice {
                _ if bases.is_empty() => encoder.verbatim(&plain).expect("there is memory"),
                Some(splice) if input.coding % 2 == 1 => {
                    (Coding::Splice, encoder.splice(splice).expect("there is memory"))
                }
                _ => (Coding::Zstd, encoder.correction(&plain, &prefix).expect("there is memory")),
            };
            let exact = flips.is_empty() || coded.is_empty();
            for (at, by) in flips {
                if let Some(last) = coded.len().checked_sub(1) {
                    coded[usize::from(at) % (last + 1)] ^= by;
                }
            }
            (plain, coding, coded, exact)
        }
    };
    let name = *blake3::hash(&plain).as_bytes();
    let len = input.declared.map_or(plain.len(), |len| len as usize);
    let used = if matches!(coding, Coding::Zstd | Coding::Splice) { ids } else { Vec::new() };
    put(&backend, id, &head(name, len, coding, used, &coded), coded.clone());

    match store.chunk(id) {
        Ok(found) => {
            assert!(*found == *plain, "other bytes than the head names");
            assert_eq!(len, plain.len());
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            assert!(!exact || len != plain.len(), "what was coded is not decoded: {error}");
        }
    }
});
