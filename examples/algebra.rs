//! The tables of docs/algebra.md: `cargo run --release -p engrams-core --example algebra`.
//!
//! Every figure is printed beside the formula's: what is simulated here is the library, with fixed seeds.

use engrams_core::capacity::{cleanup_error, majority_similarity};
use engrams_core::{Dimension, Hypervector, ItemMemory, Record, Reversible, bundle, item_at, sequence};
use engrams_kernels::mix64;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn item(seed: u64, i: u64, dimension: Dimension) -> Hypervector {
    Hypervector::from_feature(mix64(mix64(seed).wrapping_add(i)), dimension)
}

/// A bit of a vector is flipped with the given probability.
fn flip(vector: &Hypervector, rate: f64, seed: u64) -> Result<Hypervector, Box<dyn std::error::Error>> {
    let mut bytes = vector.to_bytes();
    for (bit, number) in (0..bytes.len() * 8).zip(0_u64..) {
        if ((mix64(mix64(seed).wrapping_add(number)) >> 11) as f64) < rate * (1_u64 << 53) as f64 {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    Ok(Hypervector::from_bytes(&bytes)?)
}

/// Wrong items of sequences of `count` items out of 1,000, and all of them.
fn read_sequences(dimension: Dimension, count: u64, trials: u64) -> (u64, u64) {
    let items: Vec<Hypervector> = (0..1000).map(|i| item(1, i, dimension)).collect();
    let mut memory = ItemMemory::new(dimension);
    for (item, label) in items.iter().zip(0_u64..) {
        memory.insert(label, item);
    }
    let mut wrong = 0;
    for trial in 0..trials {
        let order: Vec<u64> = (0..count).map(|i| mix64((trial << 20) + i) % 1000).collect();
        let whole = sequence(dimension, order.iter().map(|label| &items[*label as usize]));
        let read = (0..).zip(&order).filter(|(at, label)| {
            let found = memory.recall(&item_at(&whole, *at), 1);
            found.first().is_none_or(|found| found.label != *label)
        });
        wrong += read.count() as u64;
    }
    (wrong, trials * count)
}

fn capacity() -> Outcome {
    println!("## Items read from a bundle: share that is wrong, of 1,000 to choose from\n");
    println!("| bits | items bundled | similarity to each | wrong, formula | wrong, simulated |");
    println!("|---|---|---|---|---|");
    for bits in [256, 1024, 4096] {
        let dimension = Dimension::new(bits)?;
        for count in [3, 7, 15, 31, 63, 127, 255] {
            let due = cleanup_error(dimension, count, 1000, 0.0);
            if (1e-4..0.9).contains(&due) {
                let (wrong, all) = read_sequences(dimension, count as u64, 4000 / count as u64);
                let simulated = wrong as f64 / all as f64;
                let similarity = majority_similarity(count);
                println!(
                    "| {bits} | {count} | {similarity:.3} | {due:.4} | {simulated:.4} ({wrong} of {all}) |"
                );
            }
        }
    }
    println!();
    Ok(())
}

fn reversible() -> Outcome {
    println!("## Reversible mode: bytes right before correction\n");
    println!(
        "| piece | bits | vector / piece | right, formula | right, simulated | with 10 % of bits flipped, formula | simulated |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (piece_len, dimensions) in [
        (8, [256, 512, 1024]),
        (64, [2048, 4096, 8192]),
        (512, [16_384, 32_768, 65_536]),
        (4096, [16_384, 32_768, 65_536]),
    ] {
        for bits in dimensions {
            let dimension = Dimension::new(bits)?;
            let code = Reversible::new(dimension, piece_len)?;
            let mut cells = Vec::new();
            for rate in [0.0, 0.1] {
                let (mut wrong, mut all) = (0, 0);
                for trial in 0..(1 << 18) / piece_len as u64 {
                    let byte = |i: u64| mix64((trial << 20) + i) as u8;
                    let piece: Vec<u8> = (0..piece_len as u64).map(byte).collect();
                    wrong += code.correction(&flip(&code.encode(&piece), rate, trial)?, &piece).len();
                    all += piece_len;
                }
                let due = Reversible::error_rate(dimension, piece_len, rate)?;
                cells.push(percent(due));
                cells.push(format!("{} ({wrong} of {all} wrong)", percent(wrong as f64 / all as f64)));
            }
            let ratio = bits as f64 / 8.0 / piece_len as f64;
            println!("| {piece_len} | {bits} | {ratio} | {} |", cells.join(" | "));
        }
    }
    println!();
    Ok(())
}

/// The share that is right, with as many digits as tell it from all.
fn percent(wrong: f64) -> String {
    if wrong < 1e-8 {
        "all".to_owned()
    } else {
        format!("{:.*} %", if wrong < 1e-4 { 6 } else { 2 }, 100.0 * (1.0 - wrong))
    }
}

fn dimensions() -> Outcome {
    println!("## Reversible mode: narrowest dimension at which a piece fails once in a million\n");
    println!("| piece | no bit flipped | 5 % | 10 % | 20 % |");
    println!("|---|---|---|---|---|");
    for piece_len in [8, 16, 32, 64, 128, 256, 512] {
        let cell = |rate| {
            let dimension = Reversible::dimension_for(piece_len, rate, 1e-6);
            dimension.map_or_else(|_| "-".to_owned(), |dimension| dimension.bits().to_string())
        };
        println!("| {piece_len} | {} |", [0.0, 0.05, 0.1, 0.2].map(cell).join(" | "));
    }
    println!();
    Ok(())
}

fn index() {
    println!("## Item memory of a million items with 32 tables\n");
    println!(
        "| reach | buckets | every item within | found at 10 % of bits flipped | at 20 % | at 25 % | at 30 % |"
    );
    println!("|---|---|---|---|---|---|---|");
    // The formulas look at the number of items alone, and that decides the bits: 19 for any from 2^19 on.
    let zero = Hypervector::zero(Dimension::RECALL);
    let mut memory = ItemMemory::new(Dimension::RECALL);
    for _ in 0..1 << 19 {
        memory.insert((), &zero);
    }
    let memory = memory.with_index(32);
    let (mut ways, mut buckets) = (1, 0);
    for reach in 0..=3 {
        buckets += 32 * ways;
        ways = ways * (19 - u64::from(reach)) / u64::from(reach + 1);
        let found = [0.1, 0.2, 0.25, 0.3].map(|rate| percent(1.0 - memory.found_probability(reach, rate)));
        println!("| {reach} | {buckets} | {} bits | {} |", memory.exact_radius(reach), found.join(" | "));
    }
    println!();
}

/// What docs/algebra.md tells: a record of roles and fillers, and a question by analogy.
fn record() {
    let dimension = Dimension::RECALL;
    let mut fillers = ItemMemory::new(dimension);
    let mut filler = |label: &'static str, feature: u64| {
        let vector = item(2, feature, dimension);
        fillers.insert(label, &vector);
        vector
    };
    let [usa, mex] = [filler("USA", 1), filler("Mexico", 2)];
    let [dollar, peso] = [filler("dollar", 3), filler("peso", 4)];
    let [washington, mexico_city] = [filler("Washington", 5), filler("Mexico City", 6)];
    let [country, currency, capital] = [1, 2, 3].map(|role| item(3, role, dimension));
    let encode = |fillers: [&Hypervector; 3]| {
        let mut record = Record::new(dimension);
        [&country, &currency, &capital]
            .into_iter()
            .zip(fillers)
            .for_each(|(role, filler)| record.set(role, filler));
        record.encode()
    };
    let (north, south) = (encode([&usa, &dollar, &washington]), encode([&mex, &peso, &mexico_city]));

    let noisy = north.unbind(&capital);
    let answer = fillers.cleanup(&noisy, 400);
    println!("the capital in the first record: {answer:?}");
    assert_eq!(answer.map(|found| *found.label), Some("Washington"));

    // What is to the second record as the dollar is to the first? No role is named.
    let analogy = dollar.unbind(&north).bind(&south);
    let answer = fillers.recall(&analogy, 1);
    println!("the dollar of the second record: {answer:?}");
    assert_eq!(answer.first().map(|found| *found.label), Some("peso"));

    let both = bundle(dimension, [&north, &south]);
    println!(
        "both records in one, similarity to each: {:.2} {:.2}",
        both.similarity(&north),
        both.similarity(&south)
    );
}

fn main() -> Outcome {
    capacity()?;
    reversible()?;
    dimensions()?;
    index();
    record();
    Ok(())
}
