//! The back of the pipeline: decides the chunks of a group, stages them, and assembles files from their pieces.

use std::sync::{Arc, OnceLock, PoisonError};

use engrams_core::{CorrectionPolicy, Dimension, bottom_k, encode, is_recall};
use engrams_store::tree::{Node, Piece};
use engrams_store::{
    Coding, Draft, EngramStore, Entry, Error, ErrorKind, Head, NewChunk, RECALL_FEATURES, Result,
    STORED_VECTOR_BYTES, Trace, Traces, Version,
};
use rayon::prelude::*;

use super::correct::{Coded, Prefix, Task, code};
use super::counts::Counts;
use super::group::{Event, Group, RawChunk, SharedHasher};
use super::options::Settings;
use super::recall::{Candidate, ShortVector, TWIN, feasible, rank, unless_corrupt};
use assembly::OpenFile;

mod assembly;

/// Decides groups in order. Lives on a thread of its own.
pub(crate) struct Worker {
    store: EngramStore,
    draft: Draft,
    settings: Settings,
    policy: CorrectionPolicy,
    counts: Arc<Counts>,
    pool: OnceLock<rayon::ThreadPool>,
    traces: Traces,
    open: Option<OpenFile>,
    /// The hash of the file that the stream is in, when it is left to this thread.
    hashing: Option<SharedHasher>,
    /// Files were put: what is cleared or replaced may be one of them.
    has_put: bool,
    /// A directory, or nothing, is at this path and above it: the last one that was looked at.
    good_parent: Option<Vec<u8>>,
    /// What the stream is expected to resemble next: the chunk after the last one's base.
    successor: Option<u64>,
}

/// A chunk that is not stored yet, as recall sees it.
struct Sketch {
    vector: ShortVector,
    /// Its smallest features.
    features: Vec<u64>,
}

impl Worker {
    pub(crate) fn new(store: EngramStore, draft: Draft, settings: Settings, counts: Arc<Counts>) -> Self {
        let threshold = settings.correction_threshold;
        let policy = CorrectionPolicy::default();
        let policy =
            CorrectionPolicy { root_gain: threshold, deep_gain: policy.deep_gain.min(threshold), ..policy };
        Self {
            store,
            draft,
            settings,
            policy,
            counts,
            pool: OnceLock::new(),
            traces: Traces::default(),
            open: None,
            hashing: None,
            has_put: false,
            good_parent: None,
            successor: None,
        }
    }

    /// Decides a group: its chunks are staged, its files are in the draft.
    pub(crate) fn process(&mut self, group: &Group) -> Result<()> {
        let ids = self.decide(group)?;
        self.assemble(group, &ids)
    }

    /// Maps in parallel, when there is enough to do.
    fn map<T: Sync, U: Send>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> Result<U> + Send + Sync,
    ) -> Result<Vec<U>> {
        if items.len() < 2 || self.settings.threads == 1 {
            return items.iter().map(work).collect();
        }
        self.pool()?.install(|| items.par_iter().map(work).collect())
    }

    fn pool(&self) -> Result<&rayon::ThreadPool> {
        if let Some(pool) = self.pool.get() {
            return Ok(pool);
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.settings.threads).build();
        let pool = pool.map_err(|e| Error::new(ErrorKind::Io, "threads can't be started").with_source(e))?;
        Ok(self.pool.get_or_init(|| pool))
    }

    /// Names the group's chunks and, at the same time, hashes the files that are left to this thread.
    fn name(&mut self, group: &Group) -> Result<Vec<[u8; 32]>> {
        let files = self.hash_work(group);
        let hash = || {
            for (hasher, range) in files {
                hasher.lock().unwrap_or_else(PoisonError::into_inner).update(&group.data[range]);
            }
        };
        let name = || self.map(&group.chunks, |chunk| Ok(*blake3::hash(group.bytes_of(chunk)).as_bytes()));
        if self.settings.threads == 1 {
            hash();
            return name();
        }
        self.pool()?.join(hash, name).1
    }

    /// Which of the group's bytes go into which file's hash.
    fn hash_work(&mut self, group: &Group) -> Vec<(SharedHasher, std::ops::Range<usize>)> {
        let mut work = Vec::new();
        let (mut from, end) = (0, group.chunks.last().map_or(0, |last| last.bytes.end));
        for (at, event) in &group.events {
            let next = match event {
                Event::Hash(hasher) => Some(Arc::clone(hasher)),
                Event::Hashed | Event::Abandon => None,
                _ => continue,
            };
            work.extend(self.hashing.take().map(|hasher| (hasher, from..*at)));
            (self.hashing, from) = (next, *at);
        }
        work.extend(self.hashing.clone().map(|hasher| (hasher, from..end)));
        work
    }

    /// Ids of the group's chunks, all of them staged.
    fn decide(&mut self, group: &Group) -> Result<Vec<u64>> {
        let names = self.name(group)?;
        let store = self.store.clone();
        let mut staging = store.staging(self.draft.reuse());
        let mut ids = Vec::with_capacity(names.len());
        let mut novel: Vec<usize> = Vec::new();
        for (at, found) in staging.find(&names)?.into_iter().enumerate() {
            let id = found.or_else(|| staging.pending(&names[at])).unwrap_or_else(|| {
                novel.push(at);
                staging.assign(names[at])
            });
            ids.push(id);
        }
        let sketches = self.map(&novel, |&at| Ok(sketch(group, &group.chunks[at])))?;
        let features: Vec<&[u64]> = sketches.iter().map(|s| s.features.as_slice()).collect();
        let recalled = staging.recall(&features)?;
        let bases = self.recall(&ids, &novel, &sketches, recalled)?;
        let coded = self.correct(group, &novel, bases)?;
        for ((at, sketch), (coded, twin)) in novel.iter().zip(&sketches).zip(coded) {
            let plain = group.bytes_of(&group.chunks[*at]);
            self.count_novel(&coded, plain.len());
            let head = Head {
                name: names[*at],
                len: plain.len() as u32,
                coded_len: coded.payload.len() as u32,
                coding: coded.coding,
                depth: coded.depth,
                bases: coded.correction.bases().to_vec(),
                vector: sketch.vector,
                // Raw bytes are what the name is of.
                payload_check: match coded.coding {
                    Coding::Raw => std::array::from_fn(|i| names[*at][i]),
                    _ => Head::check_of(&coded.payload),
                },
            };
            // Whoever would find a twin finds its base: its own entries would only push older ones out.
            let features = if twin && coded.depth > 0 { &[][..] } else { &sketch.features };
            staging.put(NewChunk { id: ids[*at], head, payload: coded.payload, plain, features })?;
        }
        staging.write()?;
        self.counts.reused.add((ids.len() - novel.len()) as u64);
        self.counts.stored.add(group.chunks.last().map_or(0, |last| last.bytes.end as u64));
        Ok(ids)
    }

    fn count_novel(&self, coded: &Coded, plain: usize) {
        if coded.depth == 0 {
            self.counts.verbatim.add(1);
        } else {
            self.counts.recalled.add(1);
            self.counts.correction_bytes.add(coded.payload.len() as u64);
            self.counts.correction_savings.add(plain.saturating_sub(coded.payload.len()) as u64);
        }
    }

    /// Bases for each novel chunk, in order: candidates of the index and the expected successor, ranked.
    fn recall(
        &mut self,
        ids: &[u64],
        novel: &[usize],
        sketches: &[Sketch],
        recalled: Vec<Vec<u64>>,
    ) -> Result<Vec<Vec<Candidate>>> {
        let first = novel.first().map_or(u64::MAX, |&at| ids[at]);
        let recalls = self.settings.correction_threshold > 0.0;
        let mut sketched = novel.iter().zip(sketches).zip(recalled).peekable();
        let mut bases = Vec::with_capacity(novel.len());
        for (at, id) in ids.iter().enumerate() {
            let Some(((_, sketch), found)) = sketched.next_if(|((novel, _), _)| **novel == at) else {
                self.successor = id.checked_add(1);
                continue;
            };
            if !recalls {
                bases.push(Vec::new());
                continue;
            }
            let expected = self.successor.filter(|&id| !self.store.is_condemned(id));
            let known = found.into_iter().chain(expected).filter(|&id| id < first);
            let ranked = rank(&self.store, &sketch.vector, known)?;
            let chosen = feasible(&self.store, &ranked, self.policy.max_bases)?;
            self.successor = chosen.first().and_then(|base| base.id.checked_add(1));
            bases.push(chosen);
        }
        Ok(bases)
    }

    /// Codes each novel chunk; tells whether it is a twin of its base.
    fn correct(
        &self,
        group: &Group,
        novel: &[usize],
        bases: Vec<Vec<Candidate>>,
    ) -> Result<Vec<(Coded, bool)>> {
        let twins: Vec<bool> =
            bases.iter().map(|b| b.first().is_some_and(|base| base.distance < TWIN)).collect();
        let work: Vec<(usize, Vec<Candidate>)> = novel.iter().copied().zip(bases).collect();
        let run = work.len().div_ceil(2 * self.settings.threads).max(1);
        let runs: Vec<&[(usize, Vec<Candidate>)]> = work.chunks(run).collect();
        let coded = self.map(&runs, |run| {
            let tasks =
                run.iter().map(|(at, bases)| self.task(group, *at, bases)).collect::<Result<Vec<_>>>()?;
            code(&tasks, self.settings.compression, &self.policy)
        })?;
        Ok(coded.into_iter().flatten().zip(twins).collect())
    }

    fn task<'g>(&self, group: &'g Group, at: usize, bases: &[Candidate]) -> Result<Task<'g>> {
        let mut usable = Vec::new();
        let mut recalled = Vec::new();
        for base in bases {
            if let Some(plain) = unless_corrupt(self.store.chunk(base.id))? {
                usable.push(base.clone());
                recalled.push(plain);
            }
        }
        Ok(Task { plain: group.bytes_of(&group.chunks[at]), bases: usable, prefix: Prefix::of(recalled) })
    }

    /// Publishes everything as one version.
    pub(crate) fn commit(mut self, message: &str) -> Result<Version> {
        self.forget_removed()?;
        self.draft.commit(message)
    }
}

fn sketch(group: &Group, chunk: &RawChunk) -> Sketch {
    let features: Vec<u64> = group.features_of(chunk).iter().copied().filter(|&f| is_recall(f)).collect();
    let hypervector = encode(&features, Dimension::RECALL);
    let mut vector = [0; STORED_VECTOR_BYTES];
    for (bytes, word) in vector.chunks_exact_mut(8).zip(hypervector.words()) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Sketch { vector, features: bottom_k(&features, RECALL_FEATURES) }
}

/// The file entry of `entry`, when it was put by this very draft.
fn put_here(draft: &Draft, entry: Option<Entry>) -> Option<Entry> {
    entry.filter(|entry| entry.version == draft.provisional() && matches!(entry.node, Node::File(_)))
}

/// A trace of a piece of a chunk in a group.
fn trace(group: &Group, chunk: &RawChunk, piece: Piece) -> Trace {
    let bytes = group.bytes_of(chunk);
    if piece.len as usize == bytes.len() {
        return Trace::new(bytes, Some(group.features_of(chunk)));
    }
    Trace::new(&bytes[piece.start as usize..(piece.start + piece.len) as usize], None)
}
