//! Real files: those that are stored, and those of other types that are not.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use engrams_kernels::mix64;

use crate::Outcome;

/// Types that are not stored.
const HELD_OUT: [&str; 8] = ["png", "mo", "jar", "bc", "ttf", "jmod", "debug", "svg"];
const SIZES: std::ops::RangeInclusive<u64> = 1 << 10..=4 << 20;
/// Files taken of each root, and held out of all roots together.
const FROM_EACH: usize = 2000;
const OUT_OF_ALL: usize = 1000;

pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

pub(crate) struct Corpus {
    pub(crate) stored: Vec<File>,
    pub(crate) held_out: Vec<File>,
    places: HashMap<String, usize>,
}

impl Corpus {
    pub(crate) fn read(roots: &[String]) -> Outcome<Self> {
        let (mut stored, mut held_out) = (Vec::new(), Vec::new());
        for root in roots {
            let mut found = Vec::new();
            walk(Path::new(root), &mut found)?;
            let mut others = Vec::new();
            for path in found {
                let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
                if HELD_OUT.contains(&kind) { held_out.push(path) } else { others.push(path) }
            }
            stored.extend(sample(others, FROM_EACH));
        }
        stored.sort();
        stored.dedup();
        let stored = read(stored);
        let places = stored.iter().enumerate().map(|(at, file)| (file.name.clone(), at)).collect();
        Ok(Self { stored, held_out: read(sample(held_out, OUT_OF_ALL)), places })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.stored.iter().map(|file| file.content.len() as u64).sum()
    }

    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Outcome<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), found)?;
        } else if kind.is_file()
            && SIZES.contains(&entry.metadata()?.len())
            && entry.path().to_str().is_some()
        {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// The same ones each time, as long as the files are.
fn sample(mut paths: Vec<PathBuf>, most: usize) -> Vec<PathBuf> {
    let hash = |path: &PathBuf| {
        path.as_os_str().as_encoded_bytes().iter().fold(7, |hash, &byte| mix64(hash ^ u64::from(byte)))
    };
    paths.sort_by_cached_key(hash);
    paths.truncate(most);
    paths.sort();
    paths
}

fn read(paths: Vec<PathBuf>) -> Vec<File> {
    let read = |path: PathBuf| {
        let name = path.to_str()?.trim_start_matches('/').to_owned();
        Some(File { name, content: fs::read(path).ok()? })
    };
    paths.into_iter().filter_map(read).collect()
}
