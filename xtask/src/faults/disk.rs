//! A disk that may lose power: what was written to it, in order, and every state it may be found in afterwards.
//!
//! The model is weaker than the file systems people use, so that what survives here survives there:
//!
//! - What was written to a file is certain once an fsync of that file that began later has returned. Until then any
//!   first part of it may be there: whole writes, and the last one torn at any byte ([`Fate::Prefix`]); or any of its
//!   4 KiB pages, in no order, where a lost page reads as before or as zeros ([`Fate::Pages`]).
//! - A name made, replaced or removed is certain once an fsync of its directory that began later has returned. Until
//!   then any first part of the directory's changes may be there. Syncing a file says nothing about its name.
//! - A rename shows the old or the new file, never neither. What was synced stays.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use super::random::Random;

/// A file or directory, whatever its name; 0 is the directory that everything else is in.
pub(super) type Inode = usize;

pub(super) const ROOT: Inode = 0;
const PAGE_BYTES: usize = 4096;

/// Something that reached the system, in the order in which it was done.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A new file or directory under a name.
    Create {
        directory: Inode,
        name: String,
        inode: Inode,
        is_directory: bool,
    },
    Rename {
        directory: Inode,
        from: String,
        to: String,
    },
    Remove {
        directory: Inode,
        name: String,
    },
    Write {
        inode: Inode,
        at: u64,
        bytes: Arc<[u8]>,
    },
    Truncate {
        inode: Inode,
        length: u64,
    },
    /// An fsync that returned, and how many events had been done when it began.
    Sync {
        inode: Inode,
        began: usize,
    },
    /// From here on the step with this number has promised what it made.
    Promise {
        step: usize,
    },
    /// A step begins.
    Begin {
        step: usize,
    },
}

impl Event {
    /// What it changes: a file's content, or the names in a directory.
    fn changes(&self) -> Option<Inode> {
        match self {
            Self::Create { directory, .. }
            | Self::Rename { directory, .. }
            | Self::Remove { directory, .. } => Some(*directory),
            Self::Write { inode, .. } | Self::Truncate { inode, .. } => Some(*inode),
            Self::Sync { .. } | Self::Promise { .. } | Self::Begin { .. } => None,
        }
    }
}

/// What becomes of the changes of one file or directory that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Kept,
    /// So many are kept whole; of the next one, if it is a write, a part (in 65536ths).
    Prefix(usize, u16),
    /// Each page of a file shows the changes up to some moment of its own; directories keep everything.
    Pages(u64),
}

/// What is found after the power comes back.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) files: BTreeMap<PathBuf, Vec<u8>>,
}

impl State {
    /// Equal states have equal digests.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.directories.hash(&mut hasher);
        self.files.hash(&mut hasher);
        hasher.finish()
    }

    /// Writes it below `place`, an empty directory.
    pub(super) fn write(&self, place: &Path) -> io::Result<()> {
        for path in &self.directories {
            fs::create_dir(place.join(path))?;
        }
        self.files.iter().try_for_each(|(path, bytes)| fs::write(place.join(path), bytes))
    }

    /// What lies below `place`.
    pub(super) fn read(place: &Path) -> io::Result<Self> {
        let mut state = Self::default();
        let mut pending = vec![PathBuf::new()];
        while let Some(at) = pending.pop() {
            for entry in fs::read_dir(place.join(&at))? {
                let path = at.join(entry?.file_name());
                if place.join(&path).is_dir() {
                    pending.push(path.clone());
                    state.directories.insert(path);
                } else {
                    let bytes = fs::read(place.join(&path))?;
                    state.files.insert(path, bytes);
                }
            }
        }
        Ok(state)
    }
}

/// A file or directory with changes that no sync has made certain.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uncertain {
    pub(super) inode: Inode,
    pub(super) is_directory: bool,
    pub(super) changes: usize,
}

/// The state after the power failed once the first `cut` events were done; `fate` says what becomes of what is uncertain.
pub(super) fn state_after(events: &[Event], cut: usize, fate: impl Fn(Uncertain) -> Fate) -> State {
    let events = &events[..cut];
    let mut certain: BTreeMap<Inode, usize> = BTreeMap::new();
    for event in events {
        if let Event::Sync { inode, began } = event {
            let end = certain.entry(*inode).or_default();
            *end = (*end).max(*began);
        }
    }
    let is_certain = |at: usize, inode| certain.get(&inode).is_some_and(|&end| at < end);
    let mut uncertain: BTreeMap<Inode, Uncertain> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        if let Some(inode) = event.changes().filter(|&inode| !is_certain(at, inode)) {
            let is_directory = !matches!(event, Event::Write { .. } | Event::Truncate { .. });
            uncertain.entry(inode).or_insert(Uncertain { inode, is_directory, changes: 0 }).changes += 1;
        }
    }
    let counts: BTreeMap<Inode, usize> =
        uncertain.iter().map(|(&inode, what)| (inode, what.changes)).collect();
    let fates: BTreeMap<Inode, Fate> =
        uncertain.into_iter().map(|(inode, what)| (inode, fate(what))).collect();
    let mut disk = Disk::default();
    let mut seen: BTreeMap<Inode, usize> = BTreeMap::new();
    for (at, event) in events.iter().enumerate() {
        let Some(inode) = event.changes() else { continue };
        if is_certain(at, inode) {
            disk.apply(event);
            continue;
        }
        let before = seen.entry(inode).or_default();
        match fates[&inode] {
            Fate::Lost => {}
            Fate::Kept => disk.apply(event),
            Fate::Prefix(whole, _) if *before < whole => disk.apply(event),
            Fate::Prefix(whole, part) if *before == whole => disk.apply_part(event, part),
            Fate::Prefix(..) => {}
            Fate::Pages(seed) => disk.apply_pages(event, seed, *before, counts[&inode]),
        }
        *before += 1;
    }
    disk.found()
}

#[derive(Debug, Default)]
struct Disk {
    files: BTreeMap<Inode, Vec<u8>>,
    directories: BTreeMap<Inode, BTreeMap<String, (Inode, bool)>>,
}

impl Disk {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Create { directory, name, inode, is_directory } => {
                let names = self.directories.entry(*directory).or_default();
                names.insert(name.clone(), (*inode, *is_directory));
            }
            Event::Rename { directory, from, to } => {
                let names = self.directories.entry(*directory).or_default();
                if let Some(moved) = names.remove(from) {
                    names.insert(to.clone(), moved);
                }
            }
            Event::Remove { directory, name } => {
                self.directories.entry(*directory).or_default().remove(name);
            }
            Event::Write { inode, at, bytes } => self.write(*inode, *at, bytes),
            Event::Truncate { inode, length } => {
                self.files.entry(*inode).or_default().resize(*length as usize, 0);
            }
            Event::Sync { .. } | Event::Promise { .. } | Event::Begin { .. } => {}
        }
    }

    fn write(&mut self, inode: Inode, at: u64, bytes: &[u8]) {
        let (start, end) = (at as usize, at as usize + bytes.len());
        let content = self.files.entry(inode).or_default();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[start..end].copy_from_slice(bytes);
    }

    /// A torn write; everything else is done whole or not at all.
    fn apply_part(&mut self, event: &Event, part: u16) {
        if let Event::Write { inode, at, bytes } = event {
            let kept = (bytes.len() * usize::from(part)) >> 16;
            self.write(*inode, *at, &bytes[..kept]);
        }
    }

    /// One of so many `changes`, of which `before` came earlier.
    fn apply_pages(&mut self, event: &Event, seed: u64, before: usize, changes: usize) {
        let Event::Write { inode, at, bytes } = event else { return self.apply(event) };
        // The length may be there without the bytes.
        if Random::new(seed).percent(50) {
            let end = *at as usize + bytes.len();
            let content = self.files.entry(*inode).or_default();
            content.resize(content.len().max(end), 0);
        }
        let mut done = 0;
        while done < bytes.len() {
            let from = *at as usize + done;
            let end = (done + PAGE_BYTES - from % PAGE_BYTES).min(bytes.len());
            let mut random = Random::new(seed ^ (1 + from / PAGE_BYTES) as u64);
            let shown = match random.below(3) {
                0 => 0,
                1 => changes,
                _ => random.below(changes + 1),
            };
            if before < shown {
                self.write(*inode, from as u64, &bytes[done..end]);
            }
            done = end;
        }
    }

    fn found(&self) -> State {
        let mut state = State::default();
        let mut pending = vec![(PathBuf::new(), ROOT)];
        while let Some((at, directory)) = pending.pop() {
            for (name, (inode, is_directory)) in self.directories.get(&directory).into_iter().flatten() {
                let path = at.join(name);
                if *is_directory {
                    state.directories.insert(path.clone());
                    pending.push((path, *inode));
                } else {
                    state.files.insert(path, self.files.get(inode).cloned().unwrap_or_default());
                }
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(name: &str, inode: Inode) -> Event {
        Event::Create { directory: ROOT, name: name.to_owned(), inode, is_directory: false }
    }

    fn write(inode: Inode, at: u64, bytes: &[u8]) -> Event {
        Event::Write { inode, at, bytes: bytes.into() }
    }

    fn rename(from: &str, to: &str) -> Event {
        Event::Rename { directory: ROOT, from: from.to_owned(), to: to.to_owned() }
    }

    fn content<'s>(state: &'s State, path: &str) -> Option<&'s [u8]> {
        state.files.get(Path::new(path)).map(Vec::as_slice)
    }

    /// Loses what may be lost of files, and keeps all names.
    fn without_data(what: Uncertain) -> Fate {
        if what.is_directory { Fate::Kept } else { Fate::Lost }
    }

    #[test]
    fn what_a_file_was_synced_with_is_certain_and_what_came_later_is_not() {
        let mut events = vec![create("f", 1), write(1, 0, b"old"), write(1, 3, b"er")];
        events.push(Event::Sync { inode: 1, began: 2 });
        events.push(write(1, 5, b"new"));
        let found = state_after(&events, 5, without_data);
        assert_eq!(content(&found, "f"), Some(&b"old"[..]), "a write during the sync is not covered by it");
        let found = state_after(&events, 5, |_| Fate::Kept);
        assert_eq!(content(&found, "f"), Some(&b"oldernew"[..]));
        let found = state_after(&events, 3, without_data);
        assert_eq!(content(&found, "f"), Some(&b""[..]), "the sync had not returned");
    }

    #[test]
    fn a_name_is_certain_only_once_its_directory_was_synced() {
        let mut events = vec![create("f", 1), write(1, 0, b"x"), Event::Sync { inode: 1, began: 2 }];
        assert_eq!(state_after(&events, 3, |_| Fate::Lost), State::default());
        events.push(Event::Sync { inode: ROOT, began: 3 });
        assert_eq!(content(&state_after(&events, 4, |_| Fate::Lost), "f"), Some(&b"x"[..]));
    }

    #[test]
    fn any_first_part_of_what_was_written_may_be_found() {
        let events = [create("f", 1), write(1, 0, b"abcd"), write(1, 4, b"efgh")];
        let found = |kept: usize, part: u16| {
            let fate = |what: Uncertain| match what.is_directory {
                true => Fate::Kept,
                false => Fate::Prefix(kept, part),
            };
            content(&state_after(&events, 3, fate), "f").map(<[u8]>::to_vec)
        };
        assert_eq!(found(0, 0), Some(b"".to_vec()));
        assert_eq!(found(0, 1 << 15), Some(b"ab".to_vec()));
        assert_eq!(found(1, 3 << 14), Some(b"abcdefg".to_vec()));
        assert_eq!(found(2, 0), Some(b"abcdefgh".to_vec()));
    }

    #[test]
    fn a_rename_shows_the_old_file_or_the_new_one() {
        let mut events = vec![create("f", 1), write(1, 0, b"old"), Event::Sync { inode: 1, began: 2 }];
        events.push(Event::Sync { inode: ROOT, began: 3 });
        events.extend([create("f.new", 2), write(2, 0, b"new"), Event::Sync { inode: 2, began: 6 }]);
        events.push(rename("f.new", "f"));
        for kept in 0..=2 {
            let found = state_after(&events, 8, |what| {
                assert_eq!((what.inode, what.changes), (ROOT, 2), "all but the last two names is certain");
                Fate::Prefix(kept, 0)
            });
            let expected: (&[u8], bool) = if kept == 2 { (b"new", false) } else { (b"old", kept == 1) };
            let new_name = found.files.contains_key(Path::new("f.new"));
            assert_eq!((content(&found, "f"), new_name), (Some(expected.0), expected.1));
        }
    }

    #[test]
    fn pages_are_lost_one_by_one_and_only_unsynced_ones() {
        let (old, new) = (vec![1; 3 * PAGE_BYTES], vec![2; 3 * PAGE_BYTES]);
        let events = [
            create("f", 1),
            write(1, 0, &old),
            Event::Sync { inode: 1, began: 2 },
            write(1, PAGE_BYTES as u64, &new),
        ];
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let found = state_after(&events, 4, |_| Fate::Pages(seed));
            let found = content(&found, "f").unwrap();
            let first: Vec<u8> = found.chunks(PAGE_BYTES).map(|page| page[0]).collect();
            assert!(
                found.chunks(PAGE_BYTES).zip(&first).all(|(page, first)| page.iter().all(|b| b == first))
            );
            assert_eq!(first[0], 1);
            assert!(first[1..3].iter().all(|page| (1..=2).contains(page)));
            seen.insert(first);
        }
        // Two pages old or new, the third absent (in two lengths) or new; zeros only where there was nothing.
        assert!(
            seen.contains(&vec![1, 1, 2, 2])
                && seen.contains(&vec![1, 2, 1])
                && seen.contains(&vec![1, 1, 1, 0])
        );
    }

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        let directory = crate::tree::Scratch::new("disk").unwrap();
        let within = Event::Create { directory: 1, name: "f".to_owned(), inode: 2, is_directory: false };
        let around = Event::Create { directory: ROOT, name: "d".to_owned(), inode: 1, is_directory: true };
        let events = [around, within, write(2, 2, b"x"), Event::Truncate { inode: 2, length: 4 }];
        let state = state_after(&events, 4, |_| Fate::Kept);
        assert_eq!(content(&state, "d/f"), Some(&b"\0\0x\0"[..]));
        state.write(directory.path()).unwrap();
        let read = State::read(directory.path()).unwrap();
        assert_eq!((read.digest(), &read), (state.digest(), &state));
        assert_ne!(state_after(&events, 3, |_| Fate::Kept).digest(), state.digest());
    }
}
