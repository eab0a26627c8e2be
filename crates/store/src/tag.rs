//! Tags: names for versions, which protect them from being forgotten.

use crate::backend::KeyRange;
use crate::format::{MAX_ID, Reader, put_varint, seal, unseal};
use crate::index_keys::{IndexKeys, TAG_PREFIX};
use crate::store::EngramStore;
use crate::{Batch, Durability, Error, ErrorKind, Result, Space};

/// A name for a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// 1 to 200 bytes of text without control characters; not a number, so that neither is taken for the other.
    pub name: String,
    /// The version it names, which is kept while the tag is there.
    pub version: u64,
}

/// The tags of a store, as far as they can be read.
#[derive(Debug, Default)]
pub struct TagList {
    /// By name.
    pub tags: Vec<Tag>,
    /// Why others can't be read: each names its record, which in a plain store has the tag's name.
    pub damaged: Vec<Error>,
}

/// The first key after all tags.
const END: &[u8] = b"tag0";
/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 200;

impl EngramStore {
    /// Gives version `number` a name, which it loses to this one if another version had it. Durable when it returns.
    ///
    /// # Errors
    /// `Invalid` when the name is not allowed, `NotFound` when there is no such version.
    pub fn tag(&self, name: &str, number: u64) -> Result<()> {
        check_name(name)?;
        // Under the commit lock, so that the version is not forgotten meanwhile.
        let head = self.0.head();
        let newest = head.as_ref().map_or(0, |head| head.number);
        if number == 0 || number > newest {
            return Err(Error::not_found(format!("no version {number} to tag: the newest is {newest}")));
        }
        crate::versions::stored_version(&self.0, number)?;
        let (key, mut value) = (self.0.index_keys.tag(name), Vec::new());
        put_varint(&mut value, number);
        value.extend_from_slice(name.as_bytes());
        let mut batch = Batch::new();
        batch.put(Space::Meta, key.as_slice(), seal(Space::Meta, &key, value));
        self.0.backend.write(batch, Durability::Settled)
    }

    /// Removes a tag; the version stays. Durable when it returns.
    ///
    /// # Errors
    /// `NotFound` when there is no such tag.
    pub fn untag(&self, name: &str) -> Result<()> {
        let _head = self.0.head();
        let key = self.0.index_keys.tag(name);
        let found = self.0.backend.get(Space::Meta, &key)?;
        if found.is_none() {
            return Err(Error::not_found(format!("there is no tag `{}`", name.escape_debug())));
        }
        let mut batch = Batch::new();
        batch.delete(Space::Meta, key);
        self.0.backend.write(batch, Durability::Settled)
    }

    /// All tags, by name.
    ///
    /// # Errors
    /// `Corrupt` when one is damaged: [`readable_tags`](Self::readable_tags) has the others.
    pub fn tags(&self) -> Result<Vec<Tag>> {
        let TagList { tags, mut damaged } = self.readable_tags()?;
        match damaged.pop() {
            None => Ok(tags),
            Some(error) => Err(error),
        }
    }

    /// The tags that can be read, by name, and why others can't.
    ///
    /// # Errors
    /// `Io` or `Unavailable`.
    pub fn readable_tags(&self) -> Result<TagList> {
        let (snapshot, mut list) = (self.0.backend.snapshot()?, TagList::default());
        for record in snapshot.scan(Space::Meta, all()) {
            match record.and_then(|(key, value)| decode(&self.0.index_keys, &key, &value)) {
                Ok(tag) => list.tags.push(tag),
                Err(error) if error.kind() == ErrorKind::Corrupt => list.damaged.push(error),
                Err(error) => return Err(error),
            }
        }
        // An encrypted store's keys tell nothing of the names, not even their order.
        list.tags.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }
}

/// The keys of all tags.
pub(crate) fn all() -> KeyRange<'static> {
    KeyRange { from: TAG_PREFIX, to: Some(END), ..KeyRange::default() }
}

pub(crate) fn decode(keys: &IndexKeys, key: &[u8], value: &[u8]) -> Result<Tag> {
    parse(keys, key, value).map_err(|error| error.within(format_args!("`{}`", key.escape_ascii())))
}

fn parse(keys: &IndexKeys, key: &[u8], value: &[u8]) -> Result<Tag> {
    let mut reader = Reader::new(unseal(Space::Meta, key, value)?, "tag");
    let version = reader.varint_up_to(MAX_ID)?;
    let name = std::str::from_utf8(reader.rest());
    let name = name.ok().filter(|name| keys.tag(name) == key);
    let name = name.ok_or_else(|| Error::corrupt("tag: its name is not the one it is kept under"))?;
    Ok(Tag { name: name.to_owned(), version })
}

fn check_name(name: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::invalid(format!("tag `{}` {why}", name.escape_debug())));
    if name.is_empty() {
        return wrong("has no name");
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::invalid(format!("a tag of {} bytes is over {MAX_NAME_BYTES}", name.len())));
    }
    if name.chars().any(char::is_control) || name.trim() != name {
        return wrong("has control characters, or spaces at an end");
    }
    if name.bytes().all(|b| b.is_ascii_digit()) {
        return wrong("is a number: those name versions already");
    }
    Ok(())
}
