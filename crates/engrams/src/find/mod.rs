//! Search by example: which stored files are most like a query, over all kept versions, and which bytes of them.
//!
//! A query is searched in blocks of 1 MiB, so memory does not depend on its length. For each block:
//!
//! 1. **rank**: all of its features are looked up in the search index; chunks collect votes, rare features more than
//!    common ones, together with those of the chunks they are corrections of ([`rank`]).
//! 2. **match**: the chunks with most votes are decoded, and the features they share with the block, place by place,
//!    are told to the files they lie in ([`anchor`]).
//! 3. **confirm**: of the files with most shared features the bytes are compared with the block's, along the
//!    alignments that shared features give ([`align`]), and what is left of the block with the pieces that share some
//!    ([`gaps`]).
//!
//! What is reported rests on equal bytes alone: an index entry, a vote or an estimate is only a reason to look.

mod align;
mod anchor;
mod board;
mod gaps;
mod rank;

use std::io::Read;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use engrams_core::Located;
use engrams_store::{EngramStore, Error, Result, SearchView, StoredName};

use board::Board;
use gaps::Slots;

/// Bytes of a query that are searched together.
const BLOCK: usize = 1 << 20;
/// Files whose bytes are compared with a block, at least.
const CONFIRMED: usize = 16;
/// Fewer shared features are chance.
const LEAST_FEATURES: u64 = 2;
/// Of a query, this share must be confirmed along alignments that features give: one in so many bytes.
const LEAST_SHARE: u64 = 20;

/// Search by example, for [`EngramStore`].
///
/// ```
/// use engrams::{EngramStore, Search, StreamingIngester};
///
/// let store = EngramStore::in_memory();
/// let content: Vec<u8> = (0..50_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
/// let mut ingester = StreamingIngester::builder(&store).with_path("data.bin").build()?;
/// ingester.ingest_bytes(&content)?;
/// ingester.finalize()?;
///
/// let found = store.find(&content[70_000..90_000]).with_k(3).run()?;
/// let best = &found.matches[0];
/// assert_eq!((&best.name.path[..], best.containment), (&b"data.bin"[..], 1.0));
/// assert_eq!((best.ranges[0].query, best.ranges[0].file, best.ranges[0].bytes), (0, 70_000, 20_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Search {
    /// A search for what resembles `query`: bytes, or a [`Query::reader`] of any length.
    fn find<'q>(&'q self, query: impl Into<Query<'q>>) -> Find<'q>;
}

impl Search for EngramStore {
    fn find<'q>(&'q self, query: impl Into<Query<'q>>) -> Find<'q> {
        Find {
            store: self,
            query: query.into(),
            k: 10,
            versions: 0..=u64::MAX,
            least_score: 0.0,
            ranges: true,
        }
    }
}

/// What is searched for.
pub struct Query<'q>(Source<'q>);

enum Source<'q> {
    Bytes(&'q [u8]),
    Reader(Box<dyn Read + 'q>),
}

impl<'q> Query<'q> {
    /// Whatever a reader gives, up to its end.
    pub fn reader(reader: impl Read + 'q) -> Self {
        Self(Source::Reader(Box::new(reader)))
    }
}

impl<'q, B: AsRef<[u8]> + ?Sized> From<&'q B> for Query<'q> {
    fn from(bytes: &'q B) -> Self {
        Self(Source::Bytes(bytes.as_ref()))
    }
}

/// A search that is being set up.
#[must_use = "a search does nothing until it is run"]
pub struct Find<'q> {
    store: &'q EngramStore,
    query: Query<'q>,
    k: usize,
    versions: RangeInclusive<u64>,
    least_score: f64,
    ranges: bool,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Found {
    /// The files most like the query, best first: most bytes of the query confirmed, then most alike, then newest.
    pub matches: Vec<Match>,
    /// Bytes of the query.
    pub bytes: u64,
    /// BLAKE3 of the query.
    pub hash: [u8; 32],
    /// Time for finding features, looking them up and ranking chunks, all blocks together.
    pub ranking: Duration,
    /// Time for decoding what ranked best, comparing bytes and finding ranges.
    pub confirming: Duration,
}

/// A stored content that resembles the query.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Match {
    /// Where it is: of all its names that with the newest version, then the first.
    pub name: StoredName,
    /// Its other names.
    pub also: Vec<StoredName>,
    /// Its BLAKE3.
    pub hash: [u8; 32],
    /// Its length.
    pub size: u64,
    /// It is the query, byte for byte.
    pub is_exact: bool,
    /// Bytes of the query that were found in it.
    pub bytes: u64,
    /// The share of the query's bytes that was found in it, 0.0..=1.0. Each of these bytes was compared, in runs of at
    /// least 32, so it is a lower bound of the share of the query that lies in the file.
    pub containment: f64,
    /// Bytes found, by bytes of query and file together, what is in both counted once: 1.0 for equal contents.
    pub resemblance: f64,
    /// Which bytes of the query are which bytes of the file, in the query's order; empty if not asked for.
    pub ranges: Vec<MatchRange>,
    /// False when there were more ranges than are kept (16,384); the bytes of all are counted all the same.
    pub has_all_ranges: bool,
}

/// Equal bytes in the query and in a stored file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatchRange {
    /// First byte in the query.
    pub query: u64,
    /// First byte in the file.
    pub file: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Find<'_> {
    /// How many files to report at most. Default 10.
    pub fn with_k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Which versions to look at. Default: all that are kept.
    pub fn with_versions(mut self, versions: RangeInclusive<u64>) -> Self {
        self.versions = versions;
        self
    }

    /// The least [containment](Match::containment) to report, 0.0..=1.0. Default 0.0; below 0.05 nothing is reported
    /// in any case, unless it is the query itself.
    pub fn with_least_score(mut self, score: f64) -> Self {
        self.least_score = score;
        self
    }

    /// Whether to report ranges. Default: yes. Bytes are compared either way.
    pub fn with_ranges(mut self, ranges: bool) -> Self {
        self.ranges = ranges;
        self
    }

    /// Searches.
    ///
    /// # Errors
    /// `Invalid` when an option is out of its range; `Io` when the query can't be read; `Corrupt` when the tree of a
    /// version is damaged (what is damaged of files is passed over); `Unavailable`.
    pub fn run(self) -> Result<Found> {
        if self.k == 0 {
            return Err(Error::invalid("a search for 0 files finds nothing: ask for 1 or more"));
        }
        if !(0.0..=1.0).contains(&self.least_score) {
            return Err(Error::invalid(format!("least score {} is outside 0.0..=1.0", self.least_score)));
        }
        let view = self.store.search_view()?;
        let mut search = BlockSearch {
            store: self.store,
            scope: Scope { view: &view, versions: self.versions, limited: false },
            confirmed: CONFIRMED.max(self.k.saturating_mul(2)),
            board: Board::new(self.ranges),
            ranking: Duration::ZERO,
            confirming: Duration::ZERO,
        };
        search.scope.limited = search.scope.versions != (0..=u64::MAX);
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        match self.query.0 {
            Source::Bytes(query) => {
                for block in query.chunks(BLOCK) {
                    hasher.update(block);
                    search.block(block, bytes)?;
                    bytes += block.len() as u64;
                }
            }
            Source::Reader(mut reader) => {
                let mut block = Vec::new();
                loop {
                    block.clear();
                    let read = reader.by_ref().take(BLOCK as u64).read_to_end(&mut block);
                    read.map_err(|error| Error::io("reading the query", error))?;
                    if block.is_empty() {
                        break;
                    }
                    hasher.update(&block);
                    search.block(&block, bytes)?;
                    bytes += block.len() as u64;
                }
            }
        }
        let hash = *hasher.finalize().as_bytes();
        let BlockSearch { scope, board, ranking, confirming, .. } = search;
        let matches = board.finish(&scope, &hash, bytes, self.k, self.least_score);
        Ok(Found { matches, bytes, hash, ranking, confirming })
    }
}

/// What is searched.
struct Scope<'v> {
    view: &'v SearchView,
    versions: RangeInclusive<u64>,
    /// Not all versions are asked for.
    limited: bool,
}

impl Scope<'_> {
    fn has(&self, content: u32) -> bool {
        !self.limited || !self.names(content).is_empty()
    }

    fn names(&self, content: u32) -> Vec<StoredName> {
        self.view.names(content, &|version| self.versions.contains(&version))
    }
}

/// The search for one block after the other.
struct BlockSearch<'s> {
    store: &'s EngramStore,
    scope: Scope<'s>,
    /// Files to compare with each block.
    confirmed: usize,
    board: Board,
    ranking: Duration,
    confirming: Duration,
}

impl BlockSearch<'_> {
    /// Searches for a block that begins at `offset` of the query.
    fn block(&mut self, block: &[u8], offset: u64) -> Result<()> {
        let began = Instant::now();
        let mut located: Vec<Located> = Vec::new();
        self.store.gear().locate_features(block, &mut located);
        let chunks = rank::rank(self.scope.view, &located, block.len());
        let ranked = Instant::now();
        self.ranking += ranked - began;
        let mut found = anchor::anchors(self.store, &self.scope, &located, &chunks)?;
        let carried = self.board.leading();
        anchor::keep_best(&mut found, self.confirmed, &carried);
        let slots = Slots::new(block);
        for one in found {
            let Some(content) = self.scope.view.content(one.content) else { continue };
            let aligned = align::align(self.store, &content.file, block, &slots, &one.anchors)?;
            self.board.add(one.content, one.features, offset, &aligned);
        }
        self.board.prune();
        self.confirming += ranked.elapsed();
        Ok(())
    }
}
