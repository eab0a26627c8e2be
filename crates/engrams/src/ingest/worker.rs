//! The back of the pipeline: decides the chunks of a group, stages them, and assembles files from their pieces.

use std::sync::{Arc, OnceLock, PoisonError};

use engrams_core::{CorrectionPolicy, Dimension, Gear, bottom_k, encode, is_recall};
use engrams_store::tree::{Node, Piece};
use engrams_store::{
    Candidate, Draft, EngramStore, Entry, Error, ErrorKind, Head, NewChunk, Plain, RECALL_FEATURES, Result,
    STORED_VECTOR_BYTES, Staging, Trace, Traces, Version, is_noise, search_keys, unless_corrupt,
};
use rayon::prelude::*;

use super::choice::{Choices, Chooser, Cover, cover};
use super::correct::{Coded, Task, Trial, code};
use super::counts::Counts;
use super::effort::Effort;
use super::group::{Event, Group, RawChunk, SharedHasher};
use super::options::Settings;
use super::run::{Kin, Run};
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
    effort: Effort,
    chooser: Chooser,
    run: Run,
}

/// A chunk that is not stored yet, as recall sees it.
struct Sketch {
    vector: [u8; STORED_VECTOR_BYTES],
    /// Its smallest features.
    features: Vec<u64>,
    cover: Cover,
    is_noise: bool,
}

/// A novel chunk with what it may be corrected against.
struct Plan {
    /// Its place in the group.
    at: usize,
    choices: Choices,
    /// Bases of its run, if nothing was chosen.
    kin: Vec<(Kin, Source)>,
    is_twin: bool,
}

/// Where a base's bytes are.
enum Source {
    /// In the group, at this place: it is not stored yet.
    Group(usize),
    Stored(Plain),
}

impl Plan {
    /// The bytes of a chunk that may be a base of this one.
    fn bytes_of<'a>(&'a self, group: &'a Group, base: u64) -> Option<&'a [u8]> {
        let chosen = self.choices.iter().flatten().find(|chosen| chosen.id == base);
        let kin = || match &self.kin.iter().find(|(kin, _)| kin.id == base)?.1 {
            Source::Group(at) => Some(group.bytes_of(&group.chunks[*at])),
            Source::Stored(plain) => Some(&plain[..]),
        };
        chosen.map(|chosen| &chosen.plain[..]).or_else(kin)
    }
}

impl Worker {
    pub(crate) fn new(store: EngramStore, draft: Draft, settings: Settings, counts: Arc<Counts>) -> Self {
        let threshold = settings.correction_threshold;
        let policy = CorrectionPolicy::default();
        let limits = store.superblock();
        let effort = Effort::of(settings.compression);
        let policy = CorrectionPolicy {
            max_depth: limits.max_depth.into(),
            max_bases: effort.bases,
            max_closure: limits.max_closure.into(),
            root_gain: threshold,
            deep_gain: policy.deep_gain.min(threshold),
        };
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
            effort,
            chooser: Chooser::new(),
            run: Run::default(),
        }
    }

    /// Decides a group: its chunks are staged, its files are in the draft.
    pub(crate) fn process(&mut self, group: &Group) -> Result<()> {
        if self.settings.only_mends {
            let names = self.name(group)?;
            return mend(&self.store.clone().staging(self.draft.reuse()), group, &names);
        }
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
        mend(&staging, group, &names)?;
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
        let ranked = self.rank(&ids, &novel, &sketches, recalled)?;
        let plans = self.plan(&ids, &novel, &sketches, ranked)?;
        let coded = self.correct(group, &plans)?;
        let search = self.search_keys(group, &plans, &coded)?;
        for (((plan, sketch), coded), search) in plans.iter().zip(&sketches).zip(coded).zip(&search) {
            let at = plan.at;
            let plain = group.bytes_of(&group.chunks[at]);
            let depth = staging.depth_above(coded.correction.bases())?;
            self.count_novel(&coded, plain.len());
            let head = Head {
                name: names[at],
                len: plain.len() as u32,
                coded_len: coded.payload.len() as u32,
                coding: coded.coding,
                depth,
                bases: coded.correction.bases().to_vec(),
                vector: sketch.vector,
                payload_check: Head::check_for(&names[at], coded.coding, &coded.payload),
            };
            // Whoever would find a twin finds its base: its own entries would only push older ones out.
            let features = if plan.is_twin && depth > 0 { &[][..] } else { &sketch.features };
            self.chooser.keep(ids[at], &sketch.cover);
            staging.put(NewChunk { id: ids[at], head, payload: coded.payload, plain, features, search })?;
        }
        staging.write()?;
        self.counts.reused.add((ids.len() - novel.len()) as u64);
        self.counts.stored.add(group.chunks.last().map_or(0, |last| last.bytes.end as u64));
        Ok(ids)
    }

    fn count_novel(&self, coded: &Coded, plain: usize) {
        if coded.correction.bases().is_empty() {
            self.counts.verbatim.add(1);
        } else {
            self.counts.recalled.add(1);
            self.counts.correction_bytes.add(coded.payload.len() as u64);
            self.counts.correction_savings.add(plain.saturating_sub(coded.payload.len()) as u64);
        }
    }

    /// What resembles each novel chunk, in order: candidates of the index and the expected successor.
    fn rank(
        &mut self,
        ids: &[u64],
        novel: &[usize],
        sketches: &[Sketch],
        recalled: Vec<Vec<u64>>,
    ) -> Result<Vec<Vec<Candidate>>> {
        let first = novel.first().map_or(u64::MAX, |&at| ids[at]);
        let mut sketched = novel.iter().zip(sketches).zip(recalled).peekable();
        let mut all = Vec::with_capacity(novel.len());
        for (at, id) in ids.iter().enumerate() {
            let Some(((_, sketch), found)) = sketched.next_if(|((novel, _), _)| **novel == at) else {
                self.successor = id.checked_add(1);
                continue;
            };
            if self.settings.correction_threshold <= 0.0 {
                all.push(Vec::new());
                continue;
            }
            let expected = self.successor.filter(|&id| !self.store.is_condemned(id));
            let known = found.into_iter().chain(expected).filter(|&id| id < first);
            let ranked = self.store.rank(&sketch.vector, known)?;
            self.successor = ranked.first().and_then(|nearest| nearest.id.checked_add(1));
            all.push(ranked);
        }
        Ok(all)
    }

    /// Chooses bases for each novel chunk; what has none joins the run.
    fn plan(
        &mut self,
        ids: &[u64],
        novel: &[usize],
        sketches: &[Sketch],
        ranked: Vec<Vec<Candidate>>,
    ) -> Result<Vec<Plan>> {
        let end = novel.first().map_or(0, |&at| ids[at]);
        let work: Vec<(&Sketch, &Vec<Candidate>)> = sketches.iter().zip(&ranked).collect();
        let choices = self.map(&work, |(sketch, ranked)| {
            self.chooser.choose(&self.store, &self.effort, &sketch.cover, ranked, end)
        })?;
        let is_usual = self.policy.root_gain >= CorrectionPolicy::default().root_gain;
        let mut plans = Vec::with_capacity(novel.len());
        for (((&at, sketch), ranked), choices) in novel.iter().zip(sketches).zip(&ranked).zip(choices) {
            let first = choices.first().and_then(|bases| bases.first());
            let nearest = first.and_then(|base| ranked.iter().find(|candidate| candidate.id == base.id));
            let is_twin = nearest.is_some_and(Candidate::is_twin);
            let mut kin = Vec::new();
            if choices.is_empty() && is_usual && !sketch.is_noise {
                for one in self.run.join(ids[at], self.effort.run, self.store.superblock()) {
                    let here = ids[..at].iter().position(|&id| id == one.id).map(Source::Group);
                    let source = match here {
                        Some(here) => Some(here),
                        None => unless_corrupt(self.store.chunk(one.id))?.map(Source::Stored),
                    };
                    kin.extend(source.map(|source| (one, source)));
                }
            }
            plans.push(Plan { at, choices, kin, is_twin });
        }
        Ok(plans)
    }

    /// Codes each novel chunk.
    fn correct(&self, group: &Group, plans: &[Plan]) -> Result<Vec<Coded>> {
        let run = plans.len().div_ceil(2 * self.settings.threads).max(1);
        let runs: Vec<&[Plan]> = plans.chunks(run).collect();
        let coded = self.map(&runs, |run| {
            let tasks: Vec<Task<'_>> = run.iter().map(|plan| task(group, plan)).collect();
            code(&tasks, self.settings.compression, &self.policy)
        })?;
        Ok(coded.into_iter().flatten().collect())
    }

    /// What a search finds each novel chunk by.
    fn search_keys(&self, group: &Group, plans: &[Plan], coded: &[Coded]) -> Result<Vec<Vec<u32>>> {
        let window = self.store.superblock().search_window;
        let work: Vec<(&Plan, &Coded)> = plans.iter().zip(coded).collect();
        self.map(&work, |(plan, coded)| {
            let chunk = &group.chunks[plan.at];
            let bases: Vec<&[u8]> =
                coded.correction.bases().iter().filter_map(|&base| plan.bytes_of(group, base)).collect();
            Ok(search_keys(group.bytes_of(chunk), &group.files_in(chunk), &bases, window))
        })
    }

    /// Publishes everything as one version.
    pub(crate) fn commit(mut self, message: &str) -> Result<Version> {
        self.forget_removed()?;
        self.draft.commit(message)
    }
}

/// Bytes of lost chunks that come again mend these.
fn mend(staging: &Staging<'_>, group: &Group, names: &[[u8; 32]]) -> Result<()> {
    if staging.has_lost() {
        for (name, chunk) in names.iter().zip(&group.chunks) {
            staging.mend(name, group.bytes_of(chunk))?;
        }
    }
    Ok(())
}

fn task<'a>(group: &'a Group, plan: &'a Plan) -> Task<'a> {
    let bytes_at = |at: usize| group.bytes_of(&group.chunks[at]);
    let mut trials = Vec::new();
    for bases in &plan.choices {
        // The best one last.
        let bases: Vec<_> = bases.iter().rev().map(|base| (base.id, base.depth, &*base.plain)).collect();
        trials.push(Trial::new(&bases, false));
    }
    if !plan.kin.is_empty() {
        let bytes_of = |source: &'a Source| match source {
            Source::Group(at) => bytes_at(*at),
            Source::Stored(plain) => plain,
        };
        let bases: Vec<_> =
            plan.kin.iter().map(|(kin, source)| (kin.id, kin.depth, bytes_of(source))).collect();
        trials.push(Trial::new(&bases, true));
    }
    Task { plain: bytes_at(plan.at), trials }
}

fn sketch(group: &Group, chunk: &RawChunk) -> Sketch {
    let features: Vec<u64> = group.features_of(chunk).iter().copied().filter(|&f| is_recall(f)).collect();
    let hypervector = encode(&features, Dimension::RECALL);
    let mut vector = [0; STORED_VECTOR_BYTES];
    for (bytes, word) in vector.chunks_exact_mut(8).zip(hypervector.words()) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    Sketch {
        vector,
        cover: cover(&features),
        features: bottom_k(&features, RECALL_FEATURES),
        is_noise: is_noise(group.bytes_of(chunk)),
    }
}

/// The file entry of `entry`, when it was put by this very draft.
fn put_here(draft: &Draft, entry: Option<Entry>) -> Option<Entry> {
    entry.filter(|entry| entry.version == draft.provisional() && matches!(entry.node, Node::File(_)))
}

/// A trace of a piece of a chunk in a group.
fn trace(gear: &Gear, group: &Group, chunk: &RawChunk, piece: Piece) -> Trace {
    let bytes = group.bytes_of(chunk);
    if piece.len as usize == bytes.len() {
        return Trace::new(gear, bytes, Some(group.features_of(chunk)));
    }
    Trace::new(gear, &bytes[piece.start as usize..(piece.start + piece.len) as usize], None)
}
