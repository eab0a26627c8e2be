//! What the user unlocks a store with: 32 random bytes, or a passphrase.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, Zeroizing};

use super::random;
use crate::{Error, ErrorKind, Result};

/// The key of an encrypted store. Clones share it; it is wiped from memory with the last one.
#[derive(Clone)]
pub struct StoreKey(Arc<Material>);

enum Material {
    Random(Zeroizing<[u8; 32]>),
    Passphrase(Zeroizing<Vec<u8>>, PassphraseCost),
}

/// What it costs to try one passphrase, for whoever opens the store and for whoever guesses: Argon2id, version 0x13, one
/// lane (Biryukov, Dinu, Khovratovich, Josefsson: RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory in KiB, 8 to 262,144 (256 MiB). Default 65,536: 64 MiB.
    pub memory_kib: u32,
    /// Passes over the memory, 1 to 16. Default 3; with 64 MiB the second choice of RFC 9106, section 4.
    pub passes: u32,
}

impl Default for PassphraseCost {
    fn default() -> Self {
        Self { memory_kib: 64 << 10, passes: 3 }
    }
}

impl PassphraseCost {
    /// The limits hold for what is read as well: a forged record can't make an opening take more.
    pub(super) fn check(self) -> Result<Self> {
        let Self { memory_kib, passes } = self;
        if !(8..=256 << 10).contains(&memory_kib) || !(1..=16).contains(&passes) {
            return Err(Error::invalid(format!(
                "a passphrase may cost 8 to 262144 KiB and 1 to 16 passes, not {memory_kib} and {passes}"
            )));
        }
        Ok(self)
    }
}

/// Longest key file that is looked at, in bytes: 64 digits and some white space.
const MAX_FILE_BYTES: u64 = 128;

impl StoreKey {
    /// A key of 32 bytes, which must be random: nothing makes guessing them slow.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Material::Random(Zeroizing::new(bytes))))
    }

    /// The key that is written as 64 hexadecimal digits; white space around them is fine.
    ///
    /// # Errors
    /// `Invalid` when it is anything else. The message does not repeat it.
    pub fn parse(text: &str) -> Result<Self> {
        let digits = text.trim().as_bytes();
        let wrong = || Error::invalid("a key is 64 hexadecimal digits, and this is something else");
        if digits.len() != 64 {
            return Err(wrong());
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(wrong);
        let mut bytes = Zeroizing::new([0; 32]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Self::from_bytes(*bytes))
    }

    /// The key in a file that [`create_file`](Self::create_file) made, or that holds 64 hexadecimal digits.
    ///
    /// # Errors
    /// `Io` when it can't be read, `Invalid` when it holds anything else.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let reading = |error| Error::io(format_args!("reading the key file {}", path.display()), error);
        let mut text = Zeroizing::new(String::new());
        let file = File::open(path).map_err(reading)?;
        std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_FILE_BYTES), &mut text)
            .map_err(reading)?;
        Self::parse(&text).map_err(|error| error.within(format_args!("key file {}", path.display())))
    }

    /// Makes a random key and writes it to a new file that only its owner may read.
    ///
    /// # Errors
    /// `Io` when there is such a file already or it can't be written.
    pub fn create_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let key = Zeroizing::new(random::<32>()?);
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in key.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
        text.push('\n');
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(|error| Error::io(format_args!("making the key file {}", path.display()), error))?;
        Ok(Self::from_bytes(*key))
    }

    /// A passphrase, at the default cost.
    ///
    /// # Errors
    /// `Invalid` when it is empty.
    pub fn passphrase(text: &str) -> Result<Self> {
        Self::passphrase_at(text, PassphraseCost::default())
    }

    /// A passphrase, at this cost where it is set; where a store is opened, that store's cost holds.
    ///
    /// # Errors
    /// `Invalid` when it is empty or the cost is out of its range.
    pub fn passphrase_at(text: &str, cost: PassphraseCost) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::invalid("a passphrase can't be empty"));
        }
        let text = Zeroizing::new(text.as_bytes().to_vec());
        Ok(Self(Arc::new(Material::Passphrase(text, cost.check()?))))
    }

    /// What a new lock for this key costs; `None`: it is no passphrase.
    pub(super) fn cost(&self) -> Option<PassphraseCost> {
        match &*self.0 {
            Material::Random(_) => None,
            Material::Passphrase(_, cost) => Some(*cost),
        }
    }

    /// The key that the master key is locked with. `cost` is what the lock says, of the same kind as this key.
    ///
    /// # Errors
    /// `Invalid` when this key is not of that kind, `Unavailable` when there is not enough memory.
    pub(super) fn stretch(
        &self,
        salt: &[u8; 32],
        cost: Option<PassphraseCost>,
    ) -> Result<Zeroizing<[u8; 32]>> {
        match (&*self.0, cost) {
            (Material::Random(key), None) => {
                let mut both = Zeroizing::new([0; 64]);
                both[..32].copy_from_slice(&**key);
                both[32..].copy_from_slice(salt);
                Ok(Zeroizing::new(blake3::derive_key("engrams 2026-11 store key to lock", &*both)))
            }
            (Material::Passphrase(text, _), Some(cost)) => argon2id(text, salt, cost),
            _ => Err(Error::invalid("the key is not of the kind the lock is for")),
        }
    }
}

fn argon2id(text: &[u8], salt: &[u8; 32], cost: PassphraseCost) -> Result<Zeroizing<[u8; 32]>> {
    let PassphraseCost { memory_kib, passes } = cost.check()?;
    let unfit = |error: argon2::Error| Error::invalid(format!("the passphrase can't be used: {error}"));
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(unfit)?;
    let mut memory: Vec<Block> = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|error| {
        let what = format!("there are no {memory_kib} KiB of memory to try the passphrase");
        Error::new(ErrorKind::Unavailable, what).with_source(error)
    })?;
    memory.resize(params.block_count(), Block::new());
    let mut out = Zeroizing::new([0; 32]);
    let hashed = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(text, salt, &mut *out, &mut memory)
        .map_err(unfit);
    memory.zeroize();
    hashed.map(|()| out)
}

impl std::fmt::Debug for StoreKey {
    /// Which kind it is, and nothing of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.cost().is_some() { "StoreKey(passphrase)" } else { "StoreKey(random)" })
    }
}
