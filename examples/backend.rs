//! Another database underneath: here a map behind a lock, whose snapshots are clones. The conformance suite says
//! whether it will do. `cargo run -p engrams --example backend --no-default-features`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use engrams::store::backend::{KeyRange, KeyValue, Snapshot};
use engrams::store::{Backend, Batch, Durability, Space};
use engrams::{EngramStore, Error, ErrorKind, OpenOptions, Result, StreamingDecoder, StreamingIngester};

type Map = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// `None` once closed.
struct MapBackend(Mutex<Option<Arc<Map>>>);

impl MapBackend {
    fn new() -> Self {
        Self(Mutex::new(Some(Arc::default())))
    }

    fn now(&self) -> Result<Arc<Map>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the map was closed")
}

/// Sees the map as it was, and refuses once the backend was closed.
struct MapSnapshot<'b>(&'b MapBackend, Arc<Map>);

impl Backend for MapBackend {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.now()?.get(&(space, key.to_vec())).cloned())
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>> {
        Ok(Box::new(MapSnapshot(self, self.now()?)))
    }

    fn write(&self, batch: Batch, _durability: Durability) -> Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let map = state.as_mut().ok_or_else(closed)?;
        for (space, key, expected) in batch.preconditions {
            if map.get(&(space, key)) != expected.as_ref() {
                return Err(Error::new(ErrorKind::Conflict, "a precondition does not hold"));
            }
        }
        // Copied only while a snapshot holds the map.
        let map = Arc::make_mut(map);
        for (space, key, value) in batch.changes {
            match value {
                Some(value) => drop(map.insert((space, key), value)),
                None => drop(map.remove(&(space, key))),
            }
        }
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.now().map(drop)
    }

    fn close(&self) -> Result<()> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
    }

    fn stored_bytes(&self) -> Result<u64> {
        Ok(self.now()?.iter().map(|((_, key), value)| (key.len() + value.len()) as u64).sum())
    }
}

impl Snapshot for MapSnapshot<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.now()?;
        Ok(self.1.get(&(space, key.to_vec())).cloned())
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        range: KeyRange<'a>,
    ) -> Box<dyn Iterator<Item = Result<KeyValue>> + 'a> {
        if let Err(error) = self.0.now() {
            return Box::new(std::iter::once(Err(error)));
        }
        let within = self
            .1
            .range((space, range.from.to_vec())..)
            .take_while(move |((at, key), _)| *at == space && range.to.is_none_or(|to| key.as_slice() < to))
            .map(|((_, key), value)| Ok((key.clone(), value.clone())));
        if range.descending {
            let mut all: Vec<_> = within.collect();
            all.reverse();
            Box::new(all.into_iter())
        } else {
            Box::new(within)
        }
    }
}

fn main() -> Result<()> {
    engrams::store::conformance::check(|| Box::new(MapBackend::new()));

    let store = EngramStore::with_backend(Arc::new(MapBackend::new()), &OpenOptions::default())?;
    for content in ["as good as any", "as good as any other"] {
        let mut ingester = StreamingIngester::builder(&store).with_path("f").build()?;
        ingester.ingest_bytes(content.as_bytes())?;
        ingester.finalize()?;
    }
    let old = StreamingDecoder::builder(&store, "f").with_version(1).build()?.read_n_bytes(u64::MAX)?;
    assert_eq!(old, b"as good as any");
    println!("{:?}", store.stats()?);
    Ok(())
}
