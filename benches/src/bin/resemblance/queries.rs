//! Queries: files of the corpus, changed in known ways. The same for the same files.

use std::collections::HashSet;

use engrams_kernels::mix64;

use crate::corpus::Corpus;
use crate::judge::windows;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Exact,
    Changed1,
    Changed10,
    Changed30,
    Inserted,
    Cut,
    Joined,
    Snippet16K,
    Snippet4K,
    Snippet1K,
    Random,
    Stranger,
}

impl Kind {
    pub(crate) const ALL: [Self; 12] = [
        Self::Exact,
        Self::Changed1,
        Self::Changed10,
        Self::Changed30,
        Self::Inserted,
        Self::Cut,
        Self::Joined,
        Self::Snippet16K,
        Self::Snippet4K,
        Self::Snippet1K,
        Self::Random,
        Self::Stranger,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Exact => "exact copy under another name",
            Self::Changed1 => "1 % changed in random 64-byte blocks",
            Self::Changed10 => "10 % changed",
            Self::Changed30 => "30 % changed",
            Self::Inserted => "10 random bytes inserted every 1 KB",
            Self::Cut => "25 % cut out",
            Self::Joined => "two files joined (either counts)",
            Self::Snippet16K => "unaligned snippet of 16 KB",
            Self::Snippet4K => "unaligned snippet of 4 KB",
            Self::Snippet1K => "unaligned snippet of 1 KB",
            Self::Random => "random bytes (no match)",
            Self::Stranger => "file types not stored (no match)",
        }
    }
}

pub(crate) struct Query {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Places of the files it is from; none if nothing should be found.
    pub(crate) sources: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Query {
    /// At least a tenth of its 32-byte windows are different ones.
    pub(crate) fn is_informative(&self) -> bool {
        let all: Vec<u64> = windows(&self.bytes).collect();
        let distinct: HashSet<u64> = all.iter().copied().collect();
        !all.is_empty() && distinct.len() * 10 >= all.len()
    }
}

/// A sequence of numbers, the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.0)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

pub(crate) fn make(corpus: &Corpus, count: usize) -> Vec<Query> {
    let mut all = Vec::new();
    for (number, kind) in Kind::ALL.into_iter().enumerate() {
        let mut numbers = Numbers(0x7265_7365_6d62 + ((number as u64) << 48));
        (0..count).for_each(|_| all.push(one(corpus, kind, &mut numbers)));
    }
    all
}

fn one(corpus: &Corpus, kind: Kind, numbers: &mut Numbers) -> Query {
    let at = source(corpus, kind, numbers);
    let source = &corpus.stored[at].content;
    let mut sources = vec![at];
    let mut name = corpus.stored[at].name.clone();
    let bytes = match kind {
        Kind::Exact => source.clone(),
        Kind::Changed1 => changed(source, 1, numbers),
        Kind::Changed10 => changed(source, 10, numbers),
        Kind::Changed30 => changed(source, 30, numbers),
        Kind::Inserted => source.chunks(1024).flat_map(|part| [part, &numbers.bytes(10)].concat()).collect(),
        Kind::Cut => {
            let gone = source.len() / 4;
            let from = numbers.below(source.len() - gone);
            [&source[..from], &source[from + gone..]].concat()
        }
        Kind::Joined => {
            let other = numbers.below(corpus.stored.len());
            sources.push(other);
            [&source[..], &corpus.stored[other].content].concat()
        }
        Kind::Snippet16K => snippet(source, 16 << 10, numbers),
        Kind::Snippet4K => snippet(source, 4 << 10, numbers),
        Kind::Snippet1K => snippet(source, 1 << 10, numbers),
        Kind::Random => {
            sources.clear();
            "random".clone_into(&mut name);
            numbers.bytes(source.len().min(1 << 18))
        }
        Kind::Stranger => {
            sources.clear();
            let stranger = &corpus.held_out[numbers.below(corpus.held_out.len())];
            name.clone_from(&stranger.name);
            stranger.content.clone()
        }
    };
    Query { kind, name, sources, bytes }
}

fn source(corpus: &Corpus, kind: Kind, numbers: &mut Numbers) -> usize {
    let least = match kind {
        Kind::Snippet16K | Kind::Snippet4K | Kind::Snippet1K => 64 << 10,
        _ => 0,
    };
    loop {
        let at = numbers.below(corpus.stored.len());
        if corpus.stored[at].content.len() >= least {
            return at;
        }
    }
}

/// Random blocks of 64 bytes, this many in a hundred and at least one, become other bytes.
fn changed(source: &[u8], percent: usize, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = source.to_vec();
    let mut blocks: Vec<usize> = (0..bytes.len().div_ceil(64)).collect();
    for chosen in 0..(blocks.len() * percent / 100).max(1) {
        let other = chosen + numbers.below(blocks.len() - chosen);
        blocks.swap(chosen, other);
        let from = blocks[chosen] * 64;
        let to = bytes.len().min(from + 64);
        bytes[from..to].copy_from_slice(&numbers.bytes(to - from));
    }
    bytes
}

fn snippet(source: &[u8], len: usize, numbers: &mut Numbers) -> Vec<u8> {
    let from = numbers.below(source.len() - len);
    source[from..from + len].to_vec()
}
