//! The index changes what a search costs and nothing else, and finds what is stated.

use engrams_core::{Dimension, Hypervector, ItemMemory, Reach};
use engrams_kernels::mix64;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::inputs::{assert_binomial, flip};

fn item(feature: u64, dimension: Dimension) -> Hypervector {
    Hypervector::from_feature(mix64(feature), dimension)
}

fn indexed(dimension: Dimension, tables: usize, count: u64) -> ItemMemory<u64> {
    let mut memory = ItemMemory::new(dimension).with_index(tables);
    for label in 0..count {
        assert_eq!(memory.insert(label, &item(label, dimension)), label);
    }
    memory
}

#[derive(Clone, Debug)]
enum Operation {
    Insert(u64),
    Remove(prop::sample::Index),
    Retain(u64),
    Reindex(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        // Few features, hence equal rows, hence ties.
        40 => (0..60_u64).prop_map(Operation::Insert),
        15 => any::<prop::sample::Index>().prop_map(Operation::Remove),
        1 => (2..5_u64).prop_map(Operation::Retain),
        1 => (0..70_usize).prop_map(Operation::Reindex),
    ]
}

proptest! {
    #![proptest_config(crate::cases(64))]

    #[test]
    fn whatever_was_inserted_and_removed_recall_is_exact(
        bits in prop_oneof![Just(64), Just(192), Just(1024)],
        tables in 0..70_usize,
        operations in vec(operation(), 0..400),
        queries in vec((0..70_u64, 0.0..0.5_f64, 0..12_usize), 1..6),
    ) {
        let dimension = Dimension::new(bits).unwrap();
        let mut memory = ItemMemory::new(dimension).with_index(tables);
        let mut model: Vec<(u64, u64)> = Vec::new();
        let mut next = 0;
        for operation in operations {
            match operation {
                Operation::Insert(label) => {
                    prop_assert_eq!(memory.insert(label, &item(label, dimension)), next);
                    model.push((next, label));
                    next += 1;
                }
                Operation::Remove(at) if !model.is_empty() => {
                    let (id, label) = model.remove(at.index(model.len()));
                    prop_assert_eq!(memory.remove(id), Some(label));
                    prop_assert_eq!(memory.remove(id), None);
                }
                Operation::Remove(_) => prop_assert_eq!(memory.remove(next), None),
                Operation::Retain(modulus) => {
                    memory.retain(|label| label % modulus == 0);
                    model.retain(|(_, label)| label % modulus == 0);
                }
                Operation::Reindex(tables) => {
                    memory = memory.with_index(tables);
                    prop_assert_eq!(memory.tables(), tables.min(bits / 16));
                }
            }
        }
        prop_assert_eq!(memory.len(), model.len());
        let listed: Vec<(u64, u64)> = memory.iter().map(|(id, label, _)| (id, *label)).collect();
        prop_assert_eq!(&listed, &model);
        for (feature, rate, k) in queries {
            let query = flip(&item(feature, dimension), rate, feature);
            let mut expected: Vec<(u32, u64, u64)> =
                model.iter().map(|(id, label)| (item(*label, dimension).hamming(&query), *id, *label)).collect();
            expected.sort_unstable();
            for threshold in [0, 10, bits as u32] {
                let cleaned = memory.cleanup(&query, threshold).map(|item| (item.distance, item.id, *item.label));
                prop_assert_eq!(cleaned, expected.first().copied().filter(|(distance, ..)| *distance <= threshold));
            }
            expected.truncate(k);
            for reach in [Reach::Exact, Reach::Scan, Reach::Within(64)] {
                let found = memory.search(&query, k, reach);
                let found: Vec<_> = found.items.iter().map(|item| (item.distance, item.id, *item.label)).collect();
                prop_assert_eq!(&found, &expected, "{:?}", reach);
            }
        }
    }
}

/// The query with so many bits of each table's own flipped: tables of `bits` bits lie one after another.
fn flip_in_tables(vector: &Hypervector, bits: usize, flips: &[usize]) -> Hypervector {
    let mut bytes = vector.to_bytes();
    for (table, flips) in flips.iter().enumerate() {
        for bit in table * bits..table * bits + flips {
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    Hypervector::from_bytes(&bytes).unwrap()
}

#[test]
fn everything_within_the_exact_radius_is_found_and_the_radius_is_tight() {
    // 8,192 items: tables of 13 bits.
    let (dimension, tables, bits) = (Dimension::RECALL, 32, 13);
    let memory = indexed(dimension, tables, 8192);
    for reach in 0..3 {
        let radius = memory.exact_radius(reach);
        assert_eq!(radius, 32 * (reach + 1) - 1);
        for label in 0..64 {
            // As bad as it gets: one table has `reach` flips and all others one more.
            let mut flips = vec![reach as usize + 1; tables];
            flips[label as usize % tables] -= 1;
            let query = flip_in_tables(&item(label, dimension), bits, &flips);
            let found = memory.search(&query, 1, Reach::Within(reach));
            assert_eq!((found.items[0].distance, *found.items[0].label), (radius, label));
            // One bit more, and no table is left.
            flips[label as usize % tables] += 1;
            let query = flip_in_tables(&item(label, dimension), bits, &flips);
            let found = memory.search(&query, 1, Reach::Within(reach));
            assert!(found.items.first().is_none_or(|item| *item.label != label), "{label} at {reach}");
            // An exact search finds it all the same.
            assert_eq!(*memory.recall(&query, 1)[0].label, label);
        }
    }
}

#[test]
fn beyond_the_radius_items_are_found_as_often_as_stated() {
    let count = 4096;
    let memory = indexed(Dimension::RECALL, 16, count);
    for (reach, rate) in [(0, 0.1), (0, 0.2), (1, 0.2), (1, 0.3), (2, 0.3), (2, 0.35)] {
        let found = (0..count).filter(|label| {
            let query = flip(&item(*label, Dimension::RECALL), rate, label ^ 0x5EED);
            let found = memory.search(&query, 1, Reach::Within(reach));
            found.items.first().is_some_and(|item| item.label == label)
        });
        let p = memory.found_probability(reach, rate);
        assert!((0.01..0.999).contains(&p), "a formula at its end cannot fail: {p}");
        assert_binomial(found.count(), count as usize, p, 0.0, &format!("reach {reach}, {rate} flipped"));
    }
    assert_eq!(memory.found_probability(12, 0.3), 1.0);
    assert_eq!(memory.found_probability(0, 1.0), 0.0);
    assert_eq!(ItemMemory::<u64>::new(Dimension::RECALL).found_probability(0, 0.4), 1.0);
}

#[test]
fn what_a_search_touches_grows_far_slower_than_the_memory() {
    let (tables, reach, queries) = (32_usize, 1, 64);
    let mut before: Option<f64> = None;
    for log in [10, 12, 14, 16] {
        let count = 1_u64 << log;
        let memory = indexed(Dimension::RECALL, tables, count);
        let mut touched = 0;
        for label in 0..queries {
            let query = flip(&item(label, Dimension::RECALL), 0.15, label);
            let found = memory.search(&query, 1, Reach::Within(reach));
            // 99.9 % are found at 16 bits, and more at fewer.
            assert_eq!(found.items.first().map(|item| *item.label), Some(label));
            assert_eq!(found.buckets, tables * (1 + log));
            touched += found.compared + found.buckets;
        }
        let mean = touched as f64 / queries as f64;
        // One bucket and one item in it for each, and the item sought in most tables.
        let due = (2 * tables * (1 + log) + tables) as f64;
        assert!(mean < 1.2 * due, "{mean} of {count} where about {due} are due");
        // Four times the items: 1.2 times the work, as the bits of a table grow by two.
        assert!(before.is_none_or(|before| mean < 1.4 * before), "{mean} of {count} after {before:?}");
        before = Some(mean);
    }
    // 65,536 items: less than one in fifty is touched.
    assert!(before.unwrap() < 65_536.0 / 50.0, "{before:?}");
}

#[test]
fn an_exact_search_for_something_near_is_sublinear_and_for_something_far_a_scan() {
    let count = 1 << 14;
    let memory = indexed(Dimension::RECALL, 32, count);
    let near = flip(&item(77, Dimension::RECALL), 0.02, 1);
    let found = memory.search(&near, 1, Reach::Exact);
    assert_eq!(*found.items[0].label, 77);
    assert!(found.compared < 200, "{found:?}");
    let far = flip(&item(77, Dimension::RECALL), 0.3, 1);
    let found = memory.search(&far, 1, Reach::Exact);
    assert_eq!(*found.items[0].label, 77);
    assert!((count as usize..count as usize * 9 / 8).contains(&found.compared), "{found:?}");
    assert!(found.buckets <= count as usize / 64);
}

#[test]
fn a_memory_of_near_copies_is_scanned_and_not_walked_many_times() {
    let mut memory = ItemMemory::new(Dimension::RECALL).with_index(64);
    let one = item(1, Dimension::RECALL);
    for label in 0..3000 {
        memory.insert(label, &one);
    }
    let found = memory.search(&one, 3, Reach::Within(1));
    assert_eq!(found.items.iter().map(|item| *item.label).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(found.compared <= 2 * 3000 + 1, "{}", found.compared);
}
