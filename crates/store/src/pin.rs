//! Pins: what is in use in this process, and therefore kept from collection whatever was forgotten.
//!
//! Readers pin the version they read, or the one content; a draft pins everything that was staged since it began, and
//! each older chunk that it used again. A collection looks at the pins, and publishes what it *condemns*, in one step
//! under the lock here; from then on nobody pins what is condemned.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::format::{Forgotten, Version};
use crate::id_set::IdSet;
use crate::tree::Content;
use crate::{Error, Result};

/// All pins of one store.
#[derive(Default)]
pub(crate) struct Pins(Mutex<State>);

/// What the pins' lock guards.
#[derive(Default)]
pub(crate) struct State {
    /// Versions without a record, on purpose.
    pub(crate) forgotten: Forgotten,
    /// The record of forgotten versions is damaged: what it said is not known.
    pub(crate) damage: Option<String>,
    next: u64,
    readers: BTreeMap<u64, Arc<Pinned>>,
    drafts: BTreeMap<u64, DraftPins>,
    drafts_begun: u64,
    condemned: Option<Arc<Condemned>>,
}

/// What a reader needs.
pub(crate) enum Pinned {
    /// A whole version: its tree's root page, its engram's page and the list of its directories' sums.
    Version { tree: u64, engram: u64, sums: u64 },
    /// The content of one file.
    Content(Content),
}

/// What a draft needs.
#[derive(Clone)]
pub(crate) struct DraftPins {
    /// Chunks with this id and above were staged since it began.
    pub(crate) chunks_from: u64,
    /// Pages, likewise.
    pub(crate) pages_from: u64,
    /// Older chunks that it uses.
    pub(crate) chunks: IdSet,
    /// Roots of older lists that it uses.
    pub(crate) lists: IdSet,
}

/// What a collection is about to remove: every id below a limit that is not kept.
pub(crate) struct Condemned {
    pub(crate) chunks_below: u64,
    pub(crate) chunks_kept: IdSet,
    pub(crate) pages_below: u64,
    pub(crate) pages_kept: IdSet,
}

impl Condemned {
    pub(crate) fn has_chunk(&self, id: u64) -> bool {
        id < self.chunks_below && !self.chunks_kept.contains(id)
    }

    pub(crate) fn has_page(&self, id: u64) -> bool {
        id < self.pages_below && !self.pages_kept.contains(id)
    }
}

impl Pins {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Pins `version`; `None` when it was forgotten and may be collected already.
    pub(crate) fn version(self: &Arc<Self>, version: &Version) -> Option<Pin> {
        let mut state = self.state();
        if state.forgotten.contains(version.number) {
            return None;
        }
        let Version { tree, engram, sums, .. } = *version;
        Some(self.add(&mut state, Pinned::Version { tree, engram, sums }))
    }

    /// Pins the content of one file.
    pub(crate) fn content(self: &Arc<Self>, content: &Content) -> Pin {
        let pinned = Pinned::Content(content.clone());
        self.add(&mut self.state(), pinned)
    }

    fn add(self: &Arc<Self>, state: &mut State, pinned: Pinned) -> Pin {
        let key = state.next;
        state.next += 1;
        state.readers.insert(key, Arc::new(pinned));
        Pin { pins: Arc::clone(self), key }
    }

    /// Pins what is staged from these ids on.
    pub(crate) fn draft(self: &Arc<Self>, chunks_from: u64, pages_from: u64) -> Reuse {
        let mut state = self.state();
        let key = state.next;
        state.next += 1;
        let pins = DraftPins { chunks_from, pages_from, chunks: IdSet::default(), lists: IdSet::default() };
        state.drafts.insert(key, pins);
        state.drafts_begun += 1;
        Reuse(Arc::new(Pin { pins: Arc::clone(self), key }))
    }

    pub(crate) fn is_condemned(&self, id: u64) -> bool {
        self.state().condemned.as_ref().is_some_and(|condemned| condemned.has_chunk(id))
    }
}

impl State {
    /// Everything pinned now.
    pub(crate) fn pinned(&self) -> (Vec<Arc<Pinned>>, Vec<DraftPins>) {
        (self.readers.values().cloned().collect(), self.drafts.values().cloned().collect())
    }

    /// How many drafts were begun so far, if none is under way.
    pub(crate) fn idle(&self) -> Option<u64> {
        self.drafts.is_empty().then_some(self.drafts_begun)
    }

    /// Drafts and their pins.
    pub(crate) fn drafts(&self) -> impl Iterator<Item = &DraftPins> {
        self.drafts.values()
    }

    pub(crate) fn condemn(&mut self, condemned: Option<Arc<Condemned>>) {
        self.condemned = condemned;
    }

    /// Refuses to go on without knowing what was forgotten.
    pub(crate) fn check(&self) -> Result<()> {
        match &self.damage {
            Some(damage) => Err(Error::corrupt(damage.clone())),
            None => Ok(()),
        }
    }
}

/// Holds one pin until dropped.
pub(crate) struct Pin {
    pins: Arc<Pins>,
    key: u64,
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut state = self.pins.state();
        state.readers.remove(&self.key);
        state.drafts.remove(&self.key);
    }
}

/// What a draft uses again of what was stored before it: kept from collection until the draft and all clones of this
/// are dropped.
#[derive(Clone)]
pub struct Reuse(Arc<Pin>);

impl Reuse {
    fn with<T>(&self, work: impl FnOnce(&mut DraftPins, Option<&Condemned>) -> T) -> Option<T> {
        let state = &mut *self.0.pins.state();
        let condemned = state.condemned.as_deref();
        state.drafts.get_mut(&self.0.key).map(|pins| work(pins, condemned))
    }

    /// Pins chunk `id`; `false` when it is condemned.
    pub(crate) fn chunk(&self, id: u64) -> bool {
        self.admit(id, |pins| (pins.chunks_from, &mut pins.chunks), Condemned::has_chunk).is_some()
    }

    /// Pins a content, which must still be there.
    ///
    /// # Errors
    /// `NotFound` when it was collected; what `chunk_exists` or `page_exists` return.
    pub(crate) fn content(
        &self,
        content: &Content,
        chunk_exists: &mut dyn FnMut(u64) -> Result<bool>,
        page_exists: &mut dyn FnMut(u64) -> Result<bool>,
    ) -> Result<()> {
        let there = match content {
            Content::Inline(pieces) => {
                let mut all = true;
                for piece in pieces {
                    let pinned = self.admit(
                        piece.chunk,
                        |pins| (pins.chunks_from, &mut pins.chunks),
                        Condemned::has_chunk,
                    );
                    all &= match pinned {
                        Some(true) => chunk_exists(piece.chunk)?,
                        Some(false) => true,
                        None => false,
                    };
                }
                all
            }
            Content::Listed { page, .. } => {
                let pinned =
                    self.admit(*page, |pins| (pins.pages_from, &mut pins.lists), Condemned::has_page);
                match pinned {
                    Some(true) => page_exists(*page)?,
                    Some(false) => true,
                    None => false,
                }
            }
        };
        if there {
            Ok(())
        } else {
            Err(Error::not_found("the content was collected: its version is forgotten, and nobody kept it"))
        }
    }

    /// Pins `id`: whether that is new, or `None` when it is condemned.
    fn admit(
        &self,
        id: u64,
        of: impl FnOnce(&mut DraftPins) -> (u64, &mut IdSet),
        condemns: impl FnOnce(&Condemned, u64) -> bool,
    ) -> Option<bool> {
        self.with(|pins, condemned| {
            // First: what others left behind may have greater ids than this draft began with.
            if condemned.is_some_and(|condemned| condemns(condemned, id)) {
                return None;
            }
            let (from, set) = of(pins);
            Some(id < from && set.insert(id))
        })?
    }
}
