//! The entries of an extraction in their order, with the contents that come next decoded ahead.
//!
//! Only decoding runs ahead. Whatever touches the file system happens in order, on one thread.

use std::collections::VecDeque;

use crate::decode::{Ahead, Planning, settle_threads};
use crate::{DecodedChunk, EngramStore, Entry, FileNode, Node, Result, StreamingDecoder};

/// Bytes of chunks decoded ahead.
const AHEAD: usize = 8 << 20;

/// Entries looked at ahead: as many as a leaf of the tree may have.
const ENTRIES: usize = 256;

/// Entries, and the contents of the files among them.
pub(super) struct Upcoming<'s> {
    store: &'s EngramStore,
    entries: Box<dyn Iterator<Item = Result<Entry>>>,
    queue: VecDeque<Next>,
    /// Whether all of the content at hand is planned: those that follow may not be before.
    planned: bool,
    ahead: Option<Ahead>,
}

/// An entry that comes.
pub(super) struct Next {
    pub(super) entry: Result<Entry>,
    pub(super) content: Option<Upfront>,
}

/// The content of a file, as far as it is decoded ahead.
pub(super) struct Upfront {
    decoder: StreamingDecoder,
    /// Nothing more of it can be planned.
    planned: bool,
}

impl<'s> Upcoming<'s> {
    /// Nothing yet; contents are decoded on `threads` threads, 0: as many as the machine has.
    pub(super) fn new(store: &'s EngramStore, threads: usize) -> Self {
        Self {
            store,
            entries: Box::new(std::iter::empty()),
            queue: VecDeque::new(),
            planned: true,
            ahead: Ahead::new(store, settle_threads(threads), AHEAD),
        }
    }

    /// Goes on with these entries; those before must have been taken.
    pub(super) fn begin(&mut self, entries: impl Iterator<Item = Result<Entry>> + 'static) {
        self.entries = Box::new(entries);
    }

    /// The next entry. Its content is to be [left](Self::leave) before the next one is taken.
    pub(super) fn next(&mut self) -> Option<Next> {
        self.plan_all();
        let next = self.queue.pop_front().or_else(|| self.look())?;
        self.planned = next.content.as_ref().is_none_or(|content| content.planned);
        Some(next)
    }

    /// The next bytes of the content at hand.
    pub(super) fn bytes(&mut self, content: &mut Upfront) -> Option<Result<DecodedChunk>> {
        if let Some(ahead) = self.ahead.as_mut().filter(|_| !content.planned) {
            content.plan(ahead);
        }
        self.planned = content.planned;
        self.plan_all();
        content.decoder.next_planned(self.ahead.as_mut())
    }

    /// Nothing more of the content at hand is wanted.
    pub(super) fn leave(&mut self, mut content: Upfront) {
        content.decoder.leave(self.ahead.as_mut());
        self.planned = true;
    }

    /// Plans the contents in the queue, and what comes after it, in order and as far as there is room.
    fn plan_all(&mut self) {
        if !self.planned || self.ahead.is_none() {
            return;
        }
        let mut at = 0;
        loop {
            if at == self.queue.len() {
                let Some(next) = (at < ENTRIES).then(|| self.look()).flatten() else { return };
                self.queue.push_back(next);
            }
            if let (Some(ahead), Some(content)) = (&mut self.ahead, &mut self.queue[at].content)
                && !content.planned
                && content.plan(ahead) == Planning::Full
            {
                return;
            }
            at += 1;
        }
    }

    /// Looks at one more entry.
    fn look(&mut self) -> Option<Next> {
        let entry = self.entries.next()?;
        let content = entry.as_ref().ok().and_then(|entry| match &entry.node {
            Node::File(file) if has_content(file) => Some(Upfront {
                decoder: StreamingDecoder::planned(self.store, entry).ok()?,
                // One more link to a file needs no content, most of the time.
                planned: entry.attributes.hard_link.is_some(),
            }),
            _ => None,
        });
        Some(Next { entry, content })
    }
}

impl Upfront {
    fn plan(&mut self, ahead: &mut Ahead) -> Planning {
        loop {
            match self.decoder.plan(ahead, AHEAD) {
                Planning::Goes => {}
                Planning::Full => return Planning::Full,
                Planning::Complete => {
                    self.planned = true;
                    return Planning::Complete;
                }
            }
        }
    }
}

/// Whether there is anything to decode: an empty file with another hash than nothing has is damaged, and says so.
pub(super) fn has_content(file: &FileNode) -> bool {
    file.size > 0 || file.hash != *blake3::hash(b"").as_bytes()
}
