//! Prints how often estimates of engrams lie within their stated errors, on random pairs of real trees.
//!
//! `cargo run --release -p engrams-core --example estimates -- DIRECTORY...`: each directory is one version of a tree. `cargo
//! xtask engrams` runs it and keeps the table in `docs/resemblance.md`. The seed is fixed: the same trees give the same table.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use engrams_core::{Estimate, Sketch, features_of, is_recall};

/// Pairs in which neither sample has everything, which are those with an error.
const PAIRS: usize = 1000;

/// A file's features that count, and its sketch.
struct Content {
    features: Vec<u64>,
    sketch: Sketch,
}

/// A random tree: its distinct features with their counts, and its sketch.
struct Tree {
    features: Vec<(u64, u64)>,
    sketch: Sketch,
}

/// splitmix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        engrams_kernels::mix64(self.0)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

fn main() -> std::io::Result<()> {
    let mut files: HashMap<PathBuf, Content> = HashMap::new();
    let mut directories: Vec<(PathBuf, Vec<PathBuf>)> = Vec::new();
    for version in std::env::args_os().skip(1) {
        let mut own = Vec::new();
        walk(Path::new(&version), &mut own)?;
        for path in own.iter().flatten() {
            let bytes = fs::read(path)?;
            let mut features = Vec::new();
            features_of(&bytes, &mut features);
            features.retain(|feature| is_recall(*feature));
            features.sort_unstable();
            files.insert(path.clone(), Content { features, sketch: Sketch::of_bytes(&bytes) });
        }
        let history = Path::new(&version).parent().unwrap_or(Path::new(""));
        directories.extend(own.into_iter().map(|files| (history.to_owned(), files)));
    }
    // Most directories are so small that every pair of them is compared exactly.
    let features =
        |files_of: &Vec<PathBuf>| -> usize { files_of.iter().map(|path| files[path].features.len()).sum() };
    directories.retain(|(_, files)| features(files) > 2048);
    if directories.is_empty() {
        eprintln!("name directories with a few hundred kilobytes of files");
        std::process::exit(2);
    }

    let mut random = Random(20);
    let mut rows: [[Row; 3]; 4] = Default::default();
    let (mut sampled, mut exact, mut wrong) = (0, 0, 0);
    while sampled < PAIRS {
        // Of one history: others have next to nothing in common.
        let (history, first) = &directories[random.below(directories.len())];
        let related: Vec<&Vec<PathBuf>> =
            directories.iter().filter(|(other, _)| other == history).map(|(_, files)| files).collect();
        let second = related[random.below(related.len())];
        let [a, b] = [first, second].map(|directory| {
            // Some of the files: so no pair is drawn twice.
            let share = 20 + random.below(81);
            let chosen = directory.iter().filter(|_| random.below(100) < share).collect::<Vec<_>>();
            tree(&chosen, &files)
        });
        if a.features.is_empty() || b.features.is_empty() {
            continue;
        }
        let truth = truth(&a.features, &b.features);
        let found = a.sketch.similarity(&b.sketch);
        let pairs = [found.jaccard, found.containment, found.containment_of_other];
        if a.sketch.sample().is_complete() && b.sketch.sample().is_complete() {
            exact += 1;
            wrong += usize::from(pairs.iter().zip(truth).any(|(estimate, truth)| estimate.value != truth));
            continue;
        }
        sampled += 1;
        let own = estimates(&a.sketch, &b.sketch);
        // Pairs share files, and with them the errors that these features happen to have: other numbers for each pair.
        let salt = engrams_kernels::mix64(sampled as u64);
        let [a, b] = [&a, &b].map(|tree| renumbered(&tree.features, salt));
        for (((estimate, other), truth), [all, between, independent]) in
            own.iter().zip(estimates(&a, &b)).zip(truth).zip(&mut rows)
        {
            all.add(estimate, truth);
            if (0.05..=0.95).contains(&truth) {
                between.add(estimate, truth);
            }
            independent.add(&other, truth);
        }
    }
    println!(
        "| estimate | its truth | pairs | within 1 | within 2 | within 3 errors | in the 95 % interval | error, median | largest |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    let names = [
        ("Jaccard", "distinct features in both, of those in either"),
        ("containment of A in B", "distinct features in both, of those in A"),
        ("containment of B in A", "distinct features in both, of those in B"),
        ("cosine", "cosine of the counts of all features"),
    ];
    for ((name, truth), [all, between, independent]) in names.into_iter().zip(&mut rows) {
        println!("| {name} | {truth} | {} |", all.text());
        println!("| | of these, truth from 5 to 95 % | {} |", between.text());
        println!("| | the same 1,000, features renumbered for each pair | {} |", independent.text());
    }
    println!(
        "\n{sampled} pairs, of {} directories; {exact} other pairs were compared exactly, {wrong} of them wrongly.",
        directories.len()
    );
    Ok(())
}

/// The files at and below each directory, the directory itself first.
fn walk(directory: &Path, out: &mut Vec<Vec<PathBuf>>) -> std::io::Result<Vec<PathBuf>> {
    let place = out.len();
    out.push(Vec::new());
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        let kind = entry.symlink_metadata()?;
        if kind.is_dir() {
            files.extend(walk(&entry, out)?);
        } else if kind.is_file() {
            files.push(entry);
        }
    }
    out[place].clone_from(&files);
    Ok(files)
}

fn tree(chosen: &[&PathBuf], files: &HashMap<PathBuf, Content>) -> Tree {
    let mut sketch = Sketch::new();
    let mut all = Vec::new();
    for path in chosen {
        sketch.merge(&files[*path].sketch);
        all.extend_from_slice(&files[*path].features);
    }
    all.sort_unstable();
    let mut features: Vec<(u64, u64)> = Vec::new();
    for feature in all {
        match features.last_mut().filter(|(last, _)| *last == feature) {
            Some((_, count)) => *count += 1,
            None => features.push((feature, 1)),
        }
    }
    Tree { features, sketch }
}

/// Jaccard, containment both ways, cosine.
fn truth(a: &[(u64, u64)], b: &[(u64, u64)]) -> [f64; 4] {
    let (mut both, mut product) = (0.0, 0.0);
    let mut rest = b;
    for (feature, count) in a {
        rest = &rest[rest.partition_point(|(other, _)| other < feature).min(rest.len())..];
        if let Some((_, other)) = rest.first().filter(|(other, _)| other == feature) {
            both += 1.0;
            product += (*count * *other) as f64;
        }
    }
    let norm = |list: &[(u64, u64)]| list.iter().map(|(_, count)| (count * count) as f64).sum::<f64>().sqrt();
    let (a_len, b_len) = (a.len() as f64, b.len() as f64);
    [both / (a_len + b_len - both), both / a_len, both / b_len, product / (norm(a) * norm(b))]
}

/// The sketch of features of which each became another, by one rule.
fn renumbered(features: &[(u64, u64)], salt: u64) -> Sketch {
    let all = features.iter().flat_map(|&(feature, count)| {
        std::iter::repeat_n(engrams_kernels::mix64(feature ^ salt), count as usize)
    });
    let mut sketch = Sketch::new();
    sketch.add_features(&all.collect::<Vec<u64>>());
    sketch
}

/// Jaccard, containment both ways, cosine.
fn estimates(a: &Sketch, b: &Sketch) -> [Estimate; 4] {
    let found = a.similarity(b);
    let value = a.engram().cosine(b.engram());
    let standard_error = a.engram().standard_error(value);
    let (low, high) = (value - 1.96 * standard_error, value + 1.96 * standard_error);
    let cosine = Estimate { value, standard_error, low, high, samples: 0 };
    [found.jaccard, found.containment, found.containment_of_other, cosine]
}

#[derive(Default)]
struct Row {
    within: [usize; 3],
    covered: usize,
    errors: Vec<f64>,
}

impl Row {
    fn add(&mut self, estimate: &Estimate, truth: f64) {
        let error = (estimate.value - truth).abs();
        let standard = estimate.standard_error;
        for (at, within) in self.within.iter_mut().enumerate() {
            *within += usize::from(error <= standard * (at + 1) as f64);
        }
        self.covered += usize::from((estimate.low..=estimate.high).contains(&truth));
        self.errors.push(error);
    }

    fn text(&mut self) -> String {
        self.errors.sort_by(f64::total_cmp);
        let count = self.errors.len();
        if count == 0 {
            return "0 | | | | | |".to_owned();
        }
        let share = |hits: usize| format!("{:.1} %", 100.0 * hits as f64 / count as f64);
        let [one, two, three] = self.within.map(share);
        let (median, largest) = (self.errors[count / 2], self.errors[count - 1]);
        format!("{count} | {one} | {two} | {three} | {} | {median:.4} | {largest:.4}", share(self.covered))
    }
}
