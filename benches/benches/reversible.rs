//! The reversible mode at 64-byte pieces, on one core: what comes back is checked, before and after correction.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engrams_core::{Dimension, Hypervector, Reversible};
use engrams_kernels::mix64;

const PIECE: usize = 64;

#[expect(clippy::expect_used, reason = "a benchmark with impossible parameters should stop")]
fn pieces(c: &mut Criterion) {
    let data: Vec<u8> = (0..1 << 15).flat_map(|i| mix64(i).to_le_bytes()).collect();
    let pieces = data.as_chunks::<PIECE>().0;
    let mut group = c.benchmark_group("reversible, 64-byte pieces");
    group.throughput(Throughput::Bytes(data.len() as u64));
    for dimension in [Dimension::ENGRAM, Reversible::dimension_for(PIECE, 0.1, 1e-9).expect("it exists")] {
        let code = Reversible::new(dimension, PIECE).expect("both dimensions are allowed");
        let vectors: Vec<Hypervector> = pieces.iter().map(|piece| code.encode(piece)).collect();
        let mut wrong = 0;
        for (piece, vector) in pieces.iter().zip(&vectors) {
            let correction = code.correction(vector, piece);
            let mut bytes = code.decode(vector);
            correction.apply(&mut bytes).expect("the correction is the piece's");
            assert_eq!(bytes, piece);
            wrong += correction.len();
        }
        assert!(wrong * 1000 <= data.len(), "{wrong} of {} bytes are wrong before correction", data.len());
        let bits = dimension.bits();
        group.bench_function(format!("encode to {bits} bits"), |b| {
            b.iter(|| pieces.iter().for_each(|piece| drop(black_box(code.encode(black_box(piece))))));
        });
        group.bench_function(format!("decode from {bits} bits ({wrong} of {} wrong)", data.len()), |b| {
            b.iter(|| vectors.iter().for_each(|vector| drop(black_box(code.decode(black_box(vector))))));
        });
    }
    group.finish();
}

criterion_group!(benches, pieces);
criterion_main!(benches);
