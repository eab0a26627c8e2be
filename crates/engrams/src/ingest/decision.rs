//! Decision: each chunk of a group is one that is stored, or is staged, coded alone or against what it resembles.

use std::cmp::Reverse;
use std::sync::{Arc, OnceLock};

use engrams_core::CorrectionPolicy;
use engrams_store::{
    Candidate, Encoder, EngramStore, Head, NewChunk, Plain, Result, Reuse, Staging, leave_to_base,
    unless_corrupt,
};

use super::choice::{Base, Choices, Chooser};
use super::correct::{Coded, Task, Trial, code};
use super::counts::Counts;
use super::effort::Effort;
use super::expected::Before;
use super::group::Group;
use super::known::KnownChunks;
use super::naming::{Name, Named, Novelty};
use super::options::Settings;
use super::run::{Kin, Run};
use super::sketch::Sketch;
use super::workers::Workers;

/// Decides groups in order. Lives on a thread of its own.
pub(crate) struct Decider {
    store: EngramStore,
    reuse: Reuse,
    settings: Settings,
    policy: CorrectionPolicy,
    counts: Arc<Counts>,
    workers: Arc<Workers>,
    novelty: Arc<Novelty>,
    /// What the stream is expected to resemble next: the chunk after the last one's base.
    successor: Option<u64>,
    /// How many chunks further back, or ahead, in its old content a file has what comes next.
    shift: isize,
    effort: Effort,
    chooser: Chooser,
    known: Arc<KnownChunks>,
    run: Run,
}

/// What became of a novel chunk.
struct Outcome {
    coded: Coded,
    /// What a search finds it by.
    search: Vec<u32>,
    is_twin: bool,
}

/// Where a base's bytes are.
enum Source {
    /// In the group, at this place: it is not stored yet.
    Group(usize),
    Stored(Plain),
}

impl Source {
    fn bytes<'s>(&'s self, group: &'s Group) -> &'s [u8] {
        match self {
            Self::Group(at) => group.bytes_of(&group.chunks[*at]),
            Self::Stored(plain) => plain,
        }
    }
}

impl Decider {
    pub(crate) fn new(
        store: EngramStore,
        reuse: Reuse,
        settings: Settings,
        counts: Arc<Counts>,
        workers: Arc<Workers>,
        novelty: Arc<Novelty>,
        known: Arc<KnownChunks>,
    ) -> Self {
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
            reuse,
            settings,
            policy,
            counts,
            workers,
            novelty,
            successor: None,
            shift: 0,
            effort,
            chooser: Chooser::new(Arc::clone(&known)),
            known,
            run: Run::default(),
        }
    }

    /// Ids of the group's chunks, all of them staged; `None` when lost chunks are mended and nothing else.
    pub(crate) fn decide(&mut self, named: &mut Named) -> Result<Option<Vec<u64>>> {
        let Named { group, names, sketches } = named;
        let (group, names, sketches) = (&*group, &*names, std::mem::take(sketches));
        let store = self.store.clone();
        let mut staging = store.staging(&self.reuse);
        mend(&staging, group, names)?;
        if self.settings.only_mends {
            return Ok(None);
        }
        let mut ids = Vec::with_capacity(names.len());
        let mut novel: Vec<usize> = Vec::new();
        for (at, found) in staging.find(names)?.into_iter().enumerate() {
            let id = found.or_else(|| staging.pending(&names[at])).unwrap_or_else(|| {
                novel.push(at);
                staging.assign(names[at])
            });
            ids.push(id);
        }
        if novel.is_empty() {
            self.successor = ids.last().and_then(|id| id.checked_add(1)).or(self.successor);
        } else {
            self.stage(staging, group, names, sketches, &ids, &novel)?;
        }
        self.novelty.note(2 * novel.len() > ids.len());
        self.counts.reused.add((ids.len() - novel.len()) as u64);
        self.counts.stored.add(group.chunks.last().map_or(0, |last| last.bytes.end as u64));
        Ok(Some(ids))
    }

    /// Stages the chunks of a group that are not stored yet.
    fn stage<'g>(
        &mut self,
        mut staging: Staging<'g>,
        group: &'g Group,
        names: &[Name],
        sketches: Vec<Sketch>,
        ids: &[u64],
        novel: &[usize],
    ) -> Result<()> {
        let sketches = if sketches.is_empty() {
            self.workers.map(novel, |&at| Ok(Sketch::of(&self.store, group, &group.chunks[at])))?
        } else {
            let mut novel = novel.iter().peekable();
            let is_novel = |(at, _): &(usize, Sketch)| novel.next_if_eq(&at).is_some();
            sketches.into_iter().enumerate().filter(is_novel).map(|(_, sketch)| sketch).collect()
        };
        novel.iter().zip(&sketches).for_each(|(&at, sketch)| self.known.keep(ids[at], &sketch.known));
        let features: Vec<&[u64]> = sketches.iter().map(|s| s.features.as_slice()).collect();
        let recalled = staging.recall(&features)?;
        let ranked = self.rank(group, ids, novel, &sketches, recalled)?;
        let outcomes = self.correct(group, ids, novel, &sketches, &ranked)?;
        for ((&at, sketch), Outcome { coded, search, is_twin }) in novel.iter().zip(&sketches).zip(outcomes) {
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
            let features = if is_twin && depth > 0 { &[][..] } else { &sketch.features };
            let (id, payload, search) = (ids[at], coded.payload, &search);
            staging.put(NewChunk { id, head, payload, plain, features, search })?;
        }
        staging.write()
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

    /// What resembles each novel chunk: candidates of the index, the expected successor, and what its file had there before.
    fn rank(
        &mut self,
        group: &Group,
        ids: &[u64],
        novel: &[usize],
        sketches: &[Sketch],
        recalled: Vec<Vec<u64>>,
    ) -> Result<Vec<Vec<Candidate>>> {
        if self.settings.correction_threshold <= 0.0 {
            return Ok(vec![Vec::new(); novel.len()]);
        }
        let first = novel.first().map_or(u64::MAX, |&at| ids[at]);
        let work: Vec<_> = sketches.iter().zip(recalled).collect();
        let mut all = self.workers.map(&work, |(sketch, found)| {
            self.store.rank(&sketch.vector, found.iter().copied().filter(|&id| id < first))
        })?;
        let mut ranked = novel.iter().zip(sketches).zip(&mut all).peekable();
        for (at, id) in ids.iter().enumerate() {
            let Some(((_, sketch), ranked)) = ranked.next_if(|((novel, _), _)| **novel == at) else {
                self.successor = id.checked_add(1);
                continue;
            };
            let before = &group.chunks[at].before;
            let expected = [self.successor, self.counterpart(before)].into_iter().flatten();
            let expected = expected.filter(|id| *id < first && ranked.iter().all(|known| known.id != *id));
            let expected: Vec<_> = expected.filter(|&id| !self.store.is_condemned(id)).collect();
            ranked.extend(self.store.rank(&sketch.vector, expected.into_iter())?);
            ranked.sort_by_key(Candidate::order);
            self.successor = ranked.first().and_then(|nearest| nearest.id.checked_add(1));
            self.begin_before(before, ranked);
        }
        Ok(all)
    }

    /// The chunk that the file had where this one belongs, if what was added and removed so far tells.
    fn counterpart(&self, before: &Before) -> Option<u64> {
        before.chunks.get(before.middle.checked_add_signed(self.shift)?).copied()
    }

    /// Puts first what the file had there before. It is decoded in any case, to be taken out of the engrams, and often no
    /// other need be.
    fn begin_before(&mut self, before: &Before, ranked: &mut [Candidate]) {
        let place = |candidate: &Candidate| before.chunks.iter().position(|&id| id == candidate.id);
        let Some((at, place)) = ranked.iter().enumerate().find_map(|(at, one)| Some((at, place(one)?)))
        else {
            return;
        };
        self.shift = place as isize - before.middle as isize;
        if self.effort.begins_before {
            ranked[..=at].rotate_right(1);
        }
    }

    /// Codes each novel chunk: against what it resembles, else against its run, else alone.
    fn correct(
        &mut self,
        group: &Group,
        ids: &[u64],
        novel: &[usize],
        sketches: &[Sketch],
        ranked: &[Vec<Candidate>],
    ) -> Result<Vec<Outcome>> {
        let plain_of = |at: usize| group.bytes_of(&group.chunks[novel[at]]);
        let compression = self.settings.compression;
        let encoder = || Encoder::new(compression);
        // All of a chunk's work in one go: whoever waits for the others between two parts of it has nothing to do. What the
        // encoders refer to outlives them.
        let mut alike: Vec<usize> = (0..novel.len()).filter(|&at| !ranked[at].is_empty()).collect();
        self.workers.spread(&mut alike);
        let tasks: Vec<OnceLock<Task<'_>>> = novel.iter().map(|_| OnceLock::new()).collect();
        let end = novel.first().map_or(0, |&at| ids[at]);
        let outcomes = self.workers.map_with(&alike, encoder, |encoder, &at| {
            let wanted = &sketches[at].known.cover;
            let choices = self.chooser.choose(&self.store, &self.effort, wanted, &ranked[at], end)?;
            let Some(first) = choices.first().and_then(|bases| bases.first()) else { return Ok(None) };
            let nearest = ranked[at].iter().find(|candidate| candidate.id == first.id);
            let is_twin = nearest.is_some_and(Candidate::is_twin);
            let task = tasks[at].get_or_init(|| self.task(plain_of(at), &choices));
            self.outcome(encoder, task, &sketches[at], is_twin).map(Some)
        })?;
        let mut all: Vec<Option<Outcome>> = novel.iter().map(|_| None).collect();
        alike.into_iter().zip(outcomes).for_each(|(at, outcome)| all[at] = outcome);

        let mut others = Vec::new();
        for at in (0..novel.len()).filter(|&at| all[at].is_none()) {
            let kin = self.kin(ids, novel[at], &sketches[at])?;
            others.push((at, kin));
        }
        let others = self.workers.map(&others, |(at, kin)| {
            let bases: Vec<_> =
                kin.iter().map(|(kin, source)| (kin.id, kin.depth, source.bytes(group))).collect();
            let trial = || Trial::new(plain_of(*at), &bases, true, false);
            let trials = if kin.is_empty() { Vec::new() } else { vec![trial()] };
            Ok((*at, Task { plain: plain_of(*at), trials }))
        })?;
        // The longest first: the other threads end soon after the one that has the last, and no context has to grow.
        let mut order: Vec<&(usize, Task<'_>)> = others.iter().collect();
        order.sort_by_key(|(_, task)| Reverse(task.reach()));
        let outcomes = self.workers.map_with(&order, encoder, |encoder, (at, task)| {
            self.outcome(encoder, task, &sketches[*at], false).map(|outcome| (*at, outcome))
        })?;
        outcomes.into_iter().for_each(|(at, outcome)| all[at] = Some(outcome));
        Ok(all.into_iter().flatten().collect())
    }

    fn outcome<'p>(
        &self,
        encoder: &mut Encoder<'p>,
        task: &'p Task<'_>,
        sketch: &Sketch,
        is_twin: bool,
    ) -> Result<Outcome> {
        let coded = code(encoder, task, &self.policy)?;
        let search = self.search_keys(sketch, coded.correction.bases())?;
        Ok(Outcome { coded, search, is_twin })
    }

    fn task<'a>(&self, plain: &'a [u8], choices: &Choices) -> Task<'a> {
        let trial = |bases: &Vec<Base>| {
            // The best one last.
            let bases: Vec<_> = bases.iter().rev().map(|base| (base.id, base.depth, &*base.plain)).collect();
            Trial::new(plain, &bases, false, self.effort.tries_both)
        };
        Task { plain, trials: choices.iter().map(trial).collect() }
    }

    /// The bases that a chunk without anything alike has in its run, which it joins.
    fn kin(&mut self, ids: &[u64], at: usize, sketch: &Sketch) -> Result<Vec<(Kin, Source)>> {
        let mut kin = Vec::new();
        let is_usual = self.policy.root_gain >= CorrectionPolicy::default().root_gain;
        if is_usual && !sketch.is_noise {
            for one in self.run.join(ids[at], self.effort.run, self.store.superblock()) {
                let here = ids[..at].iter().position(|&id| id == one.id).map(Source::Group);
                let source = match here {
                    Some(here) => Some(here),
                    None => unless_corrupt(self.store.base(one.id))?.map(Source::Stored),
                };
                kin.extend(source.map(|source| (one, source)));
            }
        }
        Ok(kin)
    }

    /// What a search finds a chunk with these bases by.
    fn search_keys(&self, sketch: &Sketch, bases: &[u64]) -> Result<Vec<u32>> {
        let mut keys = sketch.search.clone();
        for &base in bases {
            if let Some(known) = self.known.of(&self.store, base)? {
                leave_to_base(&mut keys, &known.selected);
            }
        }
        Ok(keys)
    }
}

/// Bytes of lost chunks that come again mend these.
fn mend(staging: &Staging<'_>, group: &Group, names: &[Name]) -> Result<()> {
    if staging.has_lost() {
        for (name, chunk) in names.iter().zip(&group.chunks) {
            staging.mend(name, group.bytes_of(chunk))?;
        }
    }
    Ok(())
}
