//! What a piece of content adds to an engram, and the tally of a file's pieces against those of the file before it.
//!
//! A file's engram is the sum over its pieces of their features' hypervectors, plus one signed correction for each
//! seam between two pieces, so it is the same however the file was cut. What the old and the new content share cancels
//! before anything is computed: whole pieces, and of the others what a chunk has from its bases.

mod cancel;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use engrams_core::{Gear, Sketch, is_recall};
use lru::LruCache;

use crate::list::Cursor;
use crate::store::Inner;
use crate::tree::{FileNode, Piece};
use crate::{Error, ErrorKind, Result, unless_corrupt};

use self::cancel::cancel;

/// Bytes at each end of a piece that decide what a seam adds.
const SEAM_BYTES: usize = engrams_core::SEAM_BYTES;

/// What a piece adds to an engram.
pub struct Trace {
    /// Bytes of the piece.
    len: usize,
    features: Vec<u64>,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Trace {
    /// The trace of a piece with these bytes and, when they are known already, their features by the store's `gear`.
    #[must_use]
    pub fn new(gear: &Gear, bytes: &[u8], features: Option<&[u64]>) -> Self {
        let mut found = Vec::new();
        let features = features.unwrap_or_else(|| {
            gear.features_of(bytes, &mut found);
            &found
        });
        let features = counted(features);
        let ends = bytes.len().min(SEAM_BYTES);
        let (head, tail) = (bytes[..ends].to_vec(), bytes[bytes.len() - ends..].to_vec());
        Self { len: bytes.len(), features, head, tail }
    }

    /// This is the trace of a whole chunk, and `piece` is all of that chunk.
    #[must_use]
    pub fn is_of_all(&self, piece: &Piece) -> bool {
        piece.start == 0 && piece.len as usize == self.len
    }
}

/// Makes traces, or knows them.
pub trait TraceMaker: Send + Sync {
    /// What `trace` makes of each piece, in order.
    ///
    /// # Errors
    /// Those of `trace`, one of them.
    fn traces(
        &self,
        pieces: &[Piece],
        trace: &(dyn Fn(&Piece) -> Result<Arc<Trace>> + Sync),
    ) -> Result<Vec<Arc<Trace>>>;
}

/// Traces kept: about 5 KiB each.
const KEPT: NonZeroUsize = NonZeroUsize::new(192).expect("not zero");

/// Traces of pieces seen lately.
pub struct Traces {
    known: LruCache<Piece, Arc<Trace>>,
    maker: Option<Arc<dyn TraceMaker>>,
}

impl Default for Traces {
    fn default() -> Self {
        Self { known: LruCache::new(KEPT), maker: None }
    }
}

impl Traces {
    /// Traces of stored pieces come from `maker` where many are asked for at once.
    #[must_use]
    pub fn with_maker(maker: Arc<dyn TraceMaker>) -> Self {
        Self { maker: Some(maker), ..Self::default() }
    }

    /// Keeps a trace for a while.
    pub fn keep(&mut self, piece: Piece, trace: Trace) {
        self.known.put(piece, Arc::new(trace));
    }

    fn get(&mut self, store: &Inner, piece: Piece) -> Result<Arc<Trace>> {
        if let Some(trace) = self.known.get(&piece) {
            return Ok(Arc::clone(trace));
        }
        let trace = stored(store, piece)?;
        self.known.put(piece, Arc::clone(&trace));
        Ok(trace)
    }

    /// Gets those of `pieces`, ascending, that are not known, so that they are: as many as are kept.
    fn prepare(&mut self, store: &Inner, mut pieces: Vec<Piece>) -> Result<()> {
        let Some(maker) = &self.maker else { return Ok(()) };
        pieces.truncate(KEPT.get());
        // Looked at, so that what comes in pushes out others.
        pieces.retain(|piece| self.known.get(piece).is_none());
        let traces = maker.traces(&pieces, &|&piece| stored(store, piece))?;
        pieces.into_iter().zip(traces).for_each(|(piece, trace)| drop(self.known.put(piece, trace)));
        Ok(())
    }
}

/// The trace of a stored piece.
fn stored(store: &Inner, piece: Piece) -> Result<Arc<Trace>> {
    let plain = store.chunks.base(piece.chunk)?;
    Ok(Arc::new(Trace::new(&store.gear, bytes_of(&plain, piece)?, None)))
}

/// The bytes of `piece` within its chunk's.
pub(crate) fn bytes_of(plain: &[u8], piece: Piece) -> Result<&[u8]> {
    let range = piece.start as usize..(piece.start as usize).saturating_add(piece.len as usize);
    plain
        .get(range)
        .ok_or_else(|| Error::corrupt(format!("a piece reaches past the end of chunk {}", piece.chunk)))
}

/// Pieces counted before they are turned into features: bounds memory.
const SETTLE_AT: usize = 128;

/// The change that one file makes to engrams and samples: its new content counted once, its old content taken away.
pub struct FileTally {
    store: Arc<Inner>,
    /// `None` while nothing changed: most small files have no features.
    change: Option<Sketch>,
    pieces: HashMap<Piece, i64>,
    seams: HashMap<(Piece, Piece), i64>,
    new: Option<Piece>,
    new_bytes: u64,
    old: Option<(Cursor, u64, Option<Piece>)>,
    /// Why the change can't be told, if so: `finish` says it.
    damage: Option<Error>,
}

impl FileTally {
    pub(crate) fn new(store: Arc<Inner>, old: Option<&FileNode>) -> Self {
        let old = old.map(|file| (Cursor::new(Arc::clone(&store.pages), &file.content, file.size), 0, None));
        Self {
            store,
            change: None,
            pieces: HashMap::new(),
            seams: HashMap::new(),
            new: None,
            new_bytes: 0,
            old,
            damage: None,
        }
    }

    /// Counts the next piece of the new content. Damage is kept for [`finish`](Self::finish).
    ///
    /// # Errors
    /// `Io` or `Unavailable` when old content can't be read.
    pub fn push(&mut self, traces: &mut Traces, piece: Piece) -> Result<()> {
        if self.damage.is_some() {
            return Ok(());
        }
        match self.try_push(traces, piece) {
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                self.damage = Some(error);
                Ok(())
            }
            other => other,
        }
    }

    fn try_push(&mut self, traces: &mut Traces, piece: Piece) -> Result<()> {
        count(&mut self.pieces, piece, 1);
        if let Some(before) = self.new.replace(piece) {
            count(&mut self.seams, (before, piece), 1);
        }
        self.new_bytes += u64::from(piece.len);
        self.advance_old(traces, self.new_bytes)?;
        self.settle_if_many(traces)
    }

    /// Counts all pieces of `file` as new content.
    ///
    /// # Errors
    /// `Corrupt` when it can't be read.
    pub fn push_all(&mut self, traces: &mut Traces, file: &FileNode) -> Result<()> {
        let mut pieces = Cursor::new(Arc::clone(&self.store.pages), &file.content, file.size);
        let mut offset = 0;
        while let Some((start, piece)) = pieces.piece_at(offset)? {
            offset = start + u64::from(piece.len);
            self.push(traces, piece)?;
        }
        Ok(())
    }

    fn settle_if_many(&mut self, traces: &mut Traces) -> Result<()> {
        if self.pieces.len() + self.seams.len() > SETTLE_AT { self.settle(traces) } else { Ok(()) }
    }

    /// Takes away the old content's pieces that begin before `until`.
    fn advance_old(&mut self, traces: &mut Traces, until: u64) -> Result<()> {
        while let Some((cursor, offset, before)) = &mut self.old
            && *offset < until
        {
            let Some((start, piece)) = cursor.piece_at(*offset)? else {
                self.old = None;
                break;
            };
            *offset = start + u64::from(piece.len);
            count(&mut self.pieces, piece, -1);
            if let Some(before) = before.replace(piece) {
                count(&mut self.seams, (before, piece), -1);
            }
            self.settle_if_many(traces)?;
        }
        Ok(())
    }

    /// Puts what was noted of pieces and seams into the change.
    fn settle(&mut self, traces: &mut Traces) -> Result<()> {
        // In order: how far a sample reaches may depend on it.
        let mut pieces: Vec<_> = self.pieces.drain().collect();
        pieces.sort_unstable();
        let mut seams: Vec<_> = self.seams.drain().collect();
        seams.sort_unstable();
        let mut wanted: Vec<_> = pieces.iter().map(|(piece, _)| *piece).collect();
        wanted.extend(seams.iter().flat_map(|((a, b), _)| [*a, *b]));
        wanted.sort_unstable();
        wanted.dedup();
        traces.prepare(&self.store, wanted)?;
        self.settle_pieces(traces, &pieces)?;
        self.settle_seams(traces, &seams)
    }

    /// Counts what pieces add and take away. What an edit has from its base is neither, and not counted.
    fn settle_pieces(&mut self, traces: &mut Traces, pieces: &[(Piece, i64)]) -> Result<()> {
        // By chunk: what is taken away, as far as it is not what a chunk that leans on it has too.
        let mut old: HashMap<u64, Vec<(Piece, Vec<u64>)>> = HashMap::new();
        for &(piece, _) in pieces.iter().filter(|(_, times)| *times == -1) {
            let features = traces.get(&self.store, piece)?.features.clone();
            old.entry(piece.chunk).or_default().push((piece, features));
        }
        let mut added = Vec::new();
        for &(piece, times) in pieces.iter().filter(|(_, times)| *times != -1) {
            let trace = traces.get(&self.store, piece)?;
            if times != 1 {
                add(&mut self.change, &trace.features, times);
                continue;
            }
            let mut features = trace.features.clone();
            let head = unless_corrupt(self.store.chunks.find_head(piece.chunk))?.flatten();
            for base in head.iter().flat_map(|head| head.bases.iter().rev()) {
                for (_, old) in old.get_mut(base).into_iter().flatten() {
                    cancel(&mut features, old);
                }
            }
            gather(&mut self.change, &mut added, &features, 1);
        }
        add(&mut self.change, &added, 1);
        let (mut left, mut removed) = (Vec::from_iter(old.into_values().flatten()), Vec::new());
        left.sort_unstable_by_key(|(piece, _)| *piece);
        for (_, features) in left {
            gather(&mut self.change, &mut removed, &features, -1);
        }
        add(&mut self.change, &removed, -1);
        Ok(())
    }

    /// Counts what lies across two pieces, or did.
    fn settle_seams(&mut self, traces: &mut Traces, seams: &[((Piece, Piece), i64)]) -> Result<()> {
        for &((a, b), times) in seams {
            let (a, b) = (traces.get(&self.store, a)?, traces.get(&self.store, b)?);
            let seam = self.store.gear.seam(&a.tail, &b.head);
            add(&mut self.change, &counted(seam.added()), times);
            add(&mut self.change, &counted(seam.removed()), -times);
        }
        Ok(())
    }

    /// The whole change; `None` when there is none.
    ///
    /// # Errors
    /// `Corrupt` when old content can't be read.
    pub fn finish(mut self, traces: &mut Traces) -> Result<Option<Sketch>> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        self.advance_old(traces, u64::MAX)?;
        self.settle(traces)?;
        Ok(self.change)
    }
}

/// Engrams count every second feature: twice the features would halve no error that matters and double the time.
fn counted(features: &[u64]) -> Vec<u64> {
    // Without a branch: which features count is a coin's toss each time.
    let (mut counted, mut len) = (vec![0; features.len()], 0);
    for &feature in features {
        counted[len] = feature;
        len += usize::from(is_recall(feature));
    }
    counted.truncate(len);
    counted.shrink_to_fit();
    counted
}

fn count<K: std::hash::Hash + Eq + Copy>(counts: &mut HashMap<K, i64>, key: K, by: i64) {
    let count = counts.entry(key).or_insert(0);
    *count += by;
    if *count == 0 {
        counts.remove(&key);
    }
}

/// Features that are added at once: each time costs as much as a hundred of them.
const GATHERED: usize = 1 << 14;

/// Gathers features, to add many at once.
fn gather(change: &mut Option<Sketch>, gathered: &mut Vec<u64>, features: &[u64], times: i64) {
    gathered.extend_from_slice(features);
    if gathered.len() >= GATHERED {
        add(change, gathered, times);
        gathered.clear();
    }
}

fn add(change: &mut Option<Sketch>, features: &[u64], times: i64) {
    if features.is_empty() {
        return;
    }
    let sketch = change.get_or_insert_default();
    for _ in 0..times.unsigned_abs() {
        if times > 0 { sketch.add_features(features) } else { sketch.subtract_features(features) }
    }
}
