//! The formulas of capacity hold in simulation: seeds are fixed, bounds are 4 standard deviations.

use engrams_core::capacity::{chance_threshold, cleanup_error, dimension_for, majority_similarity};
use engrams_core::{Dimension, Hypervector, ItemMemory, Levels, Record, bundle, encode, item_at, sequence};
use engrams_kernels::mix64;

use crate::inputs::{assert_binomial, flip};

fn dimension(bits: usize) -> Dimension {
    Dimension::new(bits).unwrap()
}

fn items(seed: u64, count: u64, dimension: Dimension) -> Vec<Hypervector> {
    let item = |i: u64| Hypervector::from_feature(mix64(mix64(seed).wrapping_add(i)), dimension);
    (0..count).map(item).collect()
}

fn memory(items: &[Hypervector]) -> ItemMemory<usize> {
    let mut memory = ItemMemory::new(items[0].dimension());
    for (label, item) in items.iter().enumerate() {
        memory.insert(label, item);
    }
    memory
}

/// Different members for each trial.
fn members(trial: u64, count: usize, items: usize) -> Vec<usize> {
    let mut members: Vec<usize> = (0..items).collect();
    members.sort_unstable_by_key(|member| mix64(mix64(trial) ^ *member as u64));
    members.truncate(count);
    members
}

#[test]
fn a_majority_is_as_similar_to_its_members_as_stated() {
    for (count, known) in [(1, 1.0), (2, 0.5), (3, 0.5), (4, 0.375), (5, 0.375), (64, 0.0993)] {
        assert!((majority_similarity(count) - known).abs() < 1e-4, "{count}");
    }
    for count in [2, 3, 4, 7, 8, 15, 64, 201] {
        let (dimension, trials) = (Dimension::ENGRAM, 40);
        let mut sum = 0.0;
        for trial in 0..trials {
            let items = items(trial, count, dimension);
            let bundle = bundle(dimension, &items);
            sum += items.iter().map(|item| item.similarity(&bundle)).sum::<f64>();
        }
        let samples = (trials * count) as f64;
        let (mean, due) = (sum / samples, majority_similarity(count as usize));
        let deviation = ((1.0 - due * due) / (4096.0 * samples)).sqrt();
        assert!((mean - due).abs() < 4.0 * deviation, "{count}: {mean} where {due} is due");
    }
    // The series for many joins the product.
    let ratio = majority_similarity(20_002) / majority_similarity(20_001);
    assert!((ratio - (1.0 - 0.5 / 10_001.0)).abs() < 1e-9, "{ratio}");
    assert_eq!(majority_similarity(0), 1.0);
}

#[test]
fn sets_lose_members_as_often_as_stated() {
    // A member is lost when an item that is not in the set is nearer.
    for (bits, count, total, rate) in
        [(256, 5, 200, 0.0), (512, 15, 100, 0.0), (256, 3, 500, 0.15), (1024, 41, 1000, 0.0)]
    {
        let dimension = dimension(bits);
        let items = items(1, total as u64, dimension);
        let (mut lost, trials) = (0, 4000 / count);
        for trial in 0..trials as u64 {
            let members = members(trial, count, total);
            let set = bundle(dimension, members.iter().map(|member| &items[*member]));
            let set = flip(&set, rate, trial);
            let distances: Vec<u32> = items.iter().map(|item| item.hamming(&set)).collect();
            let others = (0..total).filter(|item| !members.contains(item));
            let nearest = others.map(|item| distances[item]).min().unwrap();
            lost += members.iter().filter(|member| distances[**member] > nearest).count();
            // Half of the ties go each way.
            lost += members.iter().filter(|member| distances[**member] == nearest).count() / 2;
        }
        // All members but one are not among the rivals.
        let due = cleanup_error(dimension, count, total + 1 - count, rate);
        assert_binomial(lost, trials * count, due, 0.05, &format!("{count} of {total} in {bits} bits"));
    }
}

#[test]
fn sequences_are_read_as_well_as_stated() {
    for (bits, count, total, rate) in
        [(256, 6, 100, 0.0), (512, 9, 50, 0.1), (1024, 33, 256, 0.0), (1024, 12, 2000, 0.1)]
    {
        let dimension = dimension(bits);
        let items = items(2, total as u64, dimension);
        let memory = memory(&items);
        let (mut wrong, trials) = (0, 3000 / count);
        for trial in 0..trials as u64 {
            // Repetitions are allowed here: position tells them apart.
            let order: Vec<usize> =
                (0..count as u64).map(|i| (mix64(trial << 16 | i) % total as u64) as usize).collect();
            let whole = flip(&sequence(dimension, order.iter().map(|item| &items[*item])), rate, trial);
            let read = (0..count).map(|at| *memory.recall(&item_at(&whole, at), 1)[0].label);
            wrong += read.zip(&order).filter(|(read, item)| read != *item).count();
        }
        let due = cleanup_error(dimension, count, total, rate);
        assert_binomial(wrong, trials * count, due, 0.05, &format!("{count} of {total} in {bits} bits"));
    }
}

#[test]
fn records_are_read_as_well_as_stated() {
    for (bits, count, total, rate) in [(256, 7, 64, 0.0), (512, 11, 300, 0.05)] {
        let dimension = dimension(bits);
        let (fillers, roles) = (items(3, total as u64, dimension), items(4, count as u64, dimension));
        let memory = memory(&fillers);
        let (mut wrong, trials) = (0, 3000 / count);
        for trial in 0..trials as u64 {
            let chosen: Vec<usize> =
                (0..count as u64).map(|i| (mix64(trial << 16 | i) % total as u64) as usize).collect();
            let mut record = Record::new(dimension);
            roles.iter().zip(&chosen).for_each(|(role, filler)| record.set(role, &fillers[*filler]));
            let record = flip(&record.encode(), rate, trial);
            let read = roles.iter().map(|role| *memory.recall(&record.unbind(role), 1)[0].label);
            wrong += read.zip(&chosen).filter(|(read, filler)| read != *filler).count();
        }
        let due = cleanup_error(dimension, count, total, rate);
        assert_binomial(wrong, trials * count, due, 0.05, &format!("{count} of {total} in {bits} bits"));
    }
}

#[test]
fn the_dimension_for_an_error_is_the_narrowest() {
    for (count, items, rate, error) in [(7, 1000, 0.0, 1e-6), (20, 100, 0.1, 1e-3), (1, 2, 0.3, 1e-9)] {
        let wide = dimension_for(count, items, rate, error).unwrap();
        assert!(cleanup_error(wide, count, items, rate) <= error);
        let narrower = dimension(wide.bits() - 64);
        assert!(cleanup_error(narrower, count, items, rate) > error, "{wide:?}");
    }
    assert_eq!(dimension_for(10_000, 1000, 0.0, 1e-6), None);
}

#[test]
fn unrelated_queries_pass_the_chance_threshold_as_often_as_stated() {
    let (dimension, total, trials) = (dimension(512), 200, 2000);
    let memory = memory(&items(5, total as u64, dimension));
    for error in [0.3, 0.05] {
        let threshold = chance_threshold(dimension, total, error);
        let passed = |threshold: u32| {
            let query = |trial: u64| encode(&[mix64(trial ^ 0xABCD)], dimension);
            (0..trials as u64).filter(|trial| memory.cleanup(&query(*trial), threshold).is_some()).count()
        };
        let bound = error * trials as f64 + 4.0 * (error * trials as f64).sqrt();
        assert!((passed(threshold) as f64) < bound, "{} pass {threshold}", passed(threshold));
        // And not for nothing: a few bits more let too many through.
        assert!(passed(threshold + 8) as f64 > 1.5 * error * trials as f64);
    }
    assert_eq!(chance_threshold(Dimension::MIN, 1 << 40, 1e-9), 0);
}

/// The upper tail of the normal distribution, by the midpoint rule: another way than the library's.
fn tail(x: f64) -> f64 {
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    (0..10_000).map(|i| density(x + (f64::from(i) + 0.5) * 1e-3) * 1e-3).sum()
}

#[test]
fn noisy_levels_are_read_wrongly_as_often_as_stated() {
    let (dimension, steps, trials) = (Dimension::ENGRAM, 64_usize, 3000);
    // 32 bits to a step.
    let levels = Levels::linear(6, dimension, steps + 1);
    for similarity in [0.5, 0.375, 0.3] {
        let wrong = (0..trials as u64).filter(|trial| {
            let level = (mix64(*trial) % 45) as usize + 10;
            levels.decode(&flip(levels.get(level), (1.0 - similarity) / 2.0, *trial)) != level
        });
        let wrong = wrong.count() as f64 / f64::from(trials);
        let miss = |steps: i32| {
            let bits = f64::from(32 * steps);
            tail(similarity * (bits / (1.0 - similarity * similarity)).sqrt())
        };
        let (least, most) = (miss(1), 2.0 * (1..20).map(miss).sum::<f64>());
        let deviation = (most / f64::from(trials)).sqrt();
        assert!(
            wrong > least - 4.0 * deviation && wrong < most + 4.0 * deviation,
            "at {similarity}: {wrong}, where {least} to {most} are due, give or take {deviation}"
        );
    }
}
