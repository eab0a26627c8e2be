//! One binary, a file per fear: cut points move, seams leak, algebra breaks, formats drift, hostile bytes
//! panic, estimates lie.
#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the report")]

mod algebra;
mod capacity;
mod encodings;
mod engram_bytes;
mod inputs;
mod memory;
mod memory_bytes;
mod memory_index;
mod params;
mod reversible;
mod scanner;
mod seam;
mod sketch;
mod statistics;
mod vectors;

/// So many cases of a property, more or fewer as PROPTEST_CASES says (256: as written), and no file left behind by a
/// failure.
fn cases(cases: u32) -> proptest::prelude::ProptestConfig {
    let asked = proptest::prelude::ProptestConfig::default();
    let cases = (cases * asked.cases / 256).max(4);
    proptest::prelude::ProptestConfig { cases, failure_persistence: None, ..asked }
}
