//! Decision: each chunk of a group is one that is stored, or is staged, coded alone or against what it resembles.

use std::cmp::Reverse;
use std::sync::Arc;

use engrams_core::CorrectionPolicy;
use engrams_store::{
    Candidate, Encoder, EngramStore, Head, NewChunk, Plain, Result, Reuse, Staging, leave_to_base,
    unless_corrupt,
};

use super::choice::{Choices, Chooser};
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
        let plans = self.plan(ids, novel, &sketches, ranked)?;
        let coded = self.correct(group, &plans, &sketches)?;
        for ((plan, sketch), (coded, search)) in plans.iter().zip(&sketches).zip(coded) {
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
        let choose = |(sketch, ranked): &(&Sketch, &Vec<Candidate>)| {
            self.chooser.choose(&self.store, &self.effort, &sketch.known.cover, ranked, end)
        };
        let choices = if ranked.iter().all(Vec::is_empty) {
            work.iter().map(choose).collect::<Result<_>>()?
        } else {
            self.workers.map(&work, choose)?
        };
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
                        None => unless_corrupt(self.store.base(one.id))?.map(Source::Stored),
                    };
                    kin.extend(source.map(|source| (one, source)));
                }
            }
            plans.push(Plan { at, choices, kin, is_twin });
        }
        Ok(plans)
    }

    /// Codes each novel chunk, and tells what a search finds it by.
    fn correct(&self, group: &Group, plans: &[Plan], sketches: &[Sketch]) -> Result<Vec<(Coded, Vec<u32>)>> {
        let tasks = self.workers.map(plans, |plan| Ok(task(group, plan, self.effort.tries_both)))?;
        // The longest first: the other threads end soon after the one that has the last, and no context has to grow.
        let mut order: Vec<usize> = (0..tasks.len()).collect();
        order.sort_by_key(|&at| Reverse(tasks[at].reach()));
        let encoder = || Encoder::new(self.settings.compression);
        let mut coded = self.workers.map_with(&order, encoder, |encoder, &at| {
            let coded = code(encoder, &tasks[at], &self.policy)?;
            let search = self.search_keys(&sketches[at], coded.correction.bases())?;
            Ok((at, coded, search))
        })?;
        coded.sort_unstable_by_key(|(at, ..)| *at);
        Ok(coded.into_iter().map(|(_, coded, search)| (coded, search)).collect())
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

fn task<'a>(group: &'a Group, plan: &'a Plan, tries_both: bool) -> Task<'a> {
    let bytes_at = |at: usize| group.bytes_of(&group.chunks[at]);
    let plain = bytes_at(plan.at);
    let mut trials = Vec::new();
    for bases in &plan.choices {
        // The best one last.
        let bases: Vec<_> = bases.iter().rev().map(|base| (base.id, base.depth, &*base.plain)).collect();
        trials.push(Trial::new(plain, &bases, false, tries_both));
    }
    if !plan.kin.is_empty() {
        let bytes_of = |source: &'a Source| match source {
            Source::Group(at) => bytes_at(*at),
            Source::Stored(plain) => plain,
        };
        let bases: Vec<_> =
            plan.kin.iter().map(|(kin, source)| (kin.id, kin.depth, bytes_of(source))).collect();
        trials.push(Trial::new(plain, &bases, true, tries_both));
    }
    Task { plain, trials }
}
