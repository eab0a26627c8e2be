//! Marking: which chunks and pages are needed by what is kept, directly and as bases.
//!
//! Memory is one bit for each id in each set. Bases have smaller ids than what they are bases of, so one scan of the
//! records, greatest id first, finds all that are needed.

use crate::backend::{KeyRange, Snapshot};
use crate::error::unless_corrupt;
use crate::format::{Head, Superblock, Version, id_key, id_of_key};
use crate::id_set::IdSet;
use crate::list::{ListPage, decode as decode_list};
use crate::page::base_of;
use crate::pin::{DraftPins, Pinned};
use crate::store::Inner;
use crate::tree::{Content, Piece, TreePage, decode_page};
use crate::{Error, Result, Space};

/// What is referred to by versions, readers and drafts.
#[derive(Default)]
pub(crate) struct Marks {
    /// Chunks that pieces of files lie in.
    pub(crate) chunks: IdSet,
    /// Pages of trees and lists, engrams and sums; and pages that young ones lean on.
    pub(crate) pages: IdSet,
    /// Pages of trees and lists of which everything below is marked. What is marked as a base only is not among them.
    pub(super) walked: IdSet,
}

/// What decoding the marked records takes, and what it costs.
#[derive(Default)]
pub(super) struct Needs {
    /// Marked, or a base of a needed one.
    pub(super) ids: IdSet,
    /// Bases of a needed one.
    pub(super) bases: IdSet,
    /// Bytes of keys and values of what is needed.
    pub(super) bytes: u64,
    /// Of these, what is needed as a base only.
    pub(super) base_bytes: u64,
    /// How many records, and bytes of them, are not needed.
    pub(super) free: (u64, u64),
}

impl Marks {
    /// Everything that `version` refers to.
    pub(crate) fn version(&mut self, store: &Inner, version: &Version) -> Result<()> {
        self.root(store, version.tree, version.engram)
            .and_then(|()| self.sums(store, version.sums))
            .map_err(|e| e.within(format_args!("what version {} needs can't be told", version.number)))
    }

    fn root(&mut self, store: &Inner, tree: u64, engram: u64) -> Result<()> {
        self.derived(store, engram)?;
        if tree == 0 { Ok(()) } else { self.tree(store, tree, u8::MAX) }
    }

    fn sums(&mut self, store: &Inner, list: u64) -> Result<()> {
        if list == 0 || !self.walked.insert(list) {
            return Ok(());
        }
        self.derived(store, list)?;
        let sums = unless_corrupt(store.sums(list))?.unwrap_or_default();
        sums.pages().try_for_each(|(_, page)| self.derived(store, page))
    }

    /// A page that can be computed anew: one that can't be read is of no use to anybody, and need not be kept.
    fn derived(&mut self, store: &Inner, page: u64) -> Result<()> {
        if !self.pages.contains(page) && unless_corrupt(store.pages.get(page))?.is_some() {
            self.pages.insert(page);
        }
        Ok(())
    }

    /// Everything that a reader holds.
    pub(super) fn pinned(&mut self, store: &Inner, pinned: &Pinned) -> Result<()> {
        match pinned {
            Pinned::Version { tree, engram, sums } => {
                self.root(store, *tree, *engram)?;
                self.sums(store, *sums)
            }
            Pinned::Content(content) => self.content(store, content),
        }
    }

    /// Everything that a draft uses again.
    pub(super) fn draft(&mut self, store: &Inner, pins: &DraftPins) -> Result<()> {
        for chunk in pins.chunks.iter() {
            self.chunks.insert(chunk);
        }
        pins.lists.iter().try_for_each(|page| self.list(store, page, u8::MAX))
    }

    fn content(&mut self, store: &Inner, content: &Content) -> Result<()> {
        match content {
            Content::Inline(pieces) => {
                self.pieces(pieces);
                Ok(())
            }
            Content::Listed { page, .. } => self.list(store, *page, u8::MAX),
        }
    }

    fn pieces(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.chunks.insert(piece.chunk);
        }
    }

    /// Marks a page of a tree or a list; `false` when everything below it is marked already.
    fn enter(&mut self, page: u64) -> bool {
        self.pages.insert(page);
        self.walked.insert(page)
    }

    /// Levels descend, so recursion ends; pages that were met are not read again.
    fn tree(&mut self, store: &Inner, page: u64, above: u8) -> Result<()> {
        if !self.enter(page) {
            return Ok(());
        }
        let found =
            decode_page(&store.pages.get(page)?).map_err(|e| e.within(format_args!("page {page}")))?;
        match found {
            TreePage::Leaf(entries) => entries
                .iter()
                .filter_map(crate::Entry::file)
                .try_for_each(|file| self.content(store, &file.content)),
            TreePage::Index { level, refs } if level < above => {
                refs.iter().try_for_each(|reference| self.tree(store, reference.page, level))
            }
            TreePage::Index { .. } => Err(not_descending(page)),
        }
    }

    fn list(&mut self, store: &Inner, page: u64, above: u8) -> Result<()> {
        if !self.enter(page) {
            return Ok(());
        }
        let found =
            decode_list(&store.pages.get(page)?).map_err(|e| e.within(format_args!("page {page}")))?;
        match found {
            ListPage::Leaf(pieces) => {
                self.pieces(&pieces);
                Ok(())
            }
            ListPage::Index { level, refs } if level < above => {
                refs.iter().try_for_each(|reference| self.list(store, reference.page, level))
            }
            ListPage::Index { .. } => Err(not_descending(page)),
        }
    }
}

fn not_descending(page: u64) -> Error {
    Error::corrupt(format!("page {page}: its level does not descend"))
}

/// Which records of a kind have bases.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Chunk,
    Page,
}

impl Kind {
    pub(super) fn space(self) -> Space {
        match self {
            Self::Chunk => Space::Head,
            Self::Page => Space::Page,
        }
    }

    /// The bases of a record, and bytes that belong to it beside its key and itself.
    fn bases(self, id: u64, record: &[u8]) -> Result<(Vec<u64>, u64)> {
        match self {
            Self::Chunk => {
                let head = Head::decode(id, record, Superblock::MAX_CHUNK_BYTES)?;
                // The payload has a key of its own.
                Ok((head.bases, 8 + u64::from(head.coded_len)))
            }
            Self::Page => Ok((base_of(id, record)?.into_iter().collect(), 0)),
        }
    }

    /// `None` for what can't be read and is passed over. A page that nothing refers to is never found again. A chunk is,
    /// by its name: should it come to be readable again, it must have its bases.
    pub(super) fn unless_passed<T>(self, record: Result<T>) -> Result<Option<T>> {
        match self {
            Self::Chunk => record.map(Some),
            Self::Page => unless_corrupt(record),
        }
    }

    fn beside(self, id: u64, record: &[u8]) -> u64 {
        self.bases(id, record).map_or(0, |(_, beside)| beside)
    }
}

impl Needs {
    /// What `marked` needs, among the records below `below`. Those from there on are needed all, and their bases are
    /// marked: they are too young to be collected.
    ///
    /// # Errors
    /// `Corrupt` when a record that is needed is damaged or missing, or a chunk's head can't be read: what it needs can't
    /// be told.
    pub(super) fn of(kind: Kind, snapshot: &dyn Snapshot, marked: &mut IdSet, below: u64) -> Result<Self> {
        let mut needs = Self { ids: marked.clone(), ..Self::default() };
        let mut seen = 0;
        for record in snapshot.scan(kind.space(), KeyRange { descending: true, ..KeyRange::default() }) {
            // If it is needed, it is missed below.
            let Some((key, record)) = kind.unless_passed(record)? else { continue };
            let id = id_of_key(kind.space(), &key)?;
            let size = (key.len() + record.len()) as u64;
            if id >= below {
                seen += u64::from(needs.ids.contains(id));
                // What nobody refers to yet may be a leftover; damaged, it needs nothing.
                match kind.bases(id, &record) {
                    Ok((bases, _)) => bases.iter().for_each(|&base| {
                        marked.insert(base);
                        needs.ids.insert(base);
                        needs.bases.insert(base);
                    }),
                    Err(error) if needs.ids.contains(id) => return Err(error),
                    Err(_) => {}
                }
                continue;
            }
            if !needs.ids.contains(id) {
                needs.free.0 += 1;
                needs.free.1 += size + kind.beside(id, &record);
                continue;
            }
            seen += 1;
            let (bases, beside) = kind.bases(id, &record)?;
            needs.bytes += size + beside;
            if !marked.contains(id) {
                needs.base_bytes += size + beside;
            }
            for base in bases {
                needs.ids.insert(base);
                needs.bases.insert(base);
            }
        }
        let missing = needs.ids.len().saturating_sub(seen);
        if missing > 0 {
            return Err(Error::corrupt(format!(
                "{missing} {:?} records that are needed are missing or can't be read",
                kind.space()
            )));
        }
        Ok(needs)
    }

    /// Adds a record that came to be marked since, with everything that it needs.
    pub(super) fn add(&mut self, kind: Kind, store: &Inner, id: u64) -> Result<()> {
        let mut pending = vec![id];
        while let Some(id) = pending.pop() {
            if !self.ids.insert(id) {
                continue;
            }
            let record = store.backend.get(kind.space(), &id_key(id))?;
            let record =
                record.ok_or_else(|| Error::corrupt(format!("{:?} record {id} is missing", kind.space())))?;
            for base in kind.bases(id, &record)?.0 {
                self.bases.insert(base);
                pending.push(base);
            }
        }
        Ok(())
    }

    /// Bases of the records from `from` on.
    pub(super) fn young_bases(kind: Kind, store: &Inner, from: u64) -> Result<Vec<u64>> {
        let snapshot = store.backend.snapshot()?;
        let from = id_key(from);
        let mut bases = Vec::new();
        for record in snapshot.scan(kind.space(), KeyRange { from: &from, ..KeyRange::default() }) {
            let Some((key, record)) = kind.unless_passed(record)? else { continue };
            if let Ok((found, _)) = kind.bases(id_of_key(kind.space(), &key)?, &record) {
                bases.extend(found);
            }
        }
        Ok(bases)
    }
}
