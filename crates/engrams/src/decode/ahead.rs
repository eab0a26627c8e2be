//! Chunks decoded before they are asked for, on threads of their own, and handed out in the order of the plan.
//!
//! Whoever asks for the next chunk helps: it decodes what nobody has begun rather than wait. So one thread makes
//! progress alone, and no number of readers can wait for each other. It knows nothing of files and offsets.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use engrams_store::{EngramStore, Error, Plain, Reserved, Result};

/// More threads than this do not decode one stream faster.
const MOST_THREADS: usize = 16;

/// As many threads as were asked for; 0: as the machine has. Never more than are of use.
pub(crate) fn settle_threads(threads: usize) -> usize {
    let threads = match threads {
        0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
        threads => threads,
    };
    threads.min(MOST_THREADS)
}

/// A plan of chunks, the first of them decoded or being decoded.
pub(crate) struct Ahead {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
    threads: usize,
    /// Bytes of each chunk in the plan, and of all.
    costs: VecDeque<usize>,
    bytes: usize,
    reserved: Reserved,
}

struct Shared {
    store: EngramStore,
    plan: Mutex<Plan>,
    /// There is something to begin, or the plan was closed.
    work: Condvar,
    /// The first chunk may have been decided.
    ready: Condvar,
}

#[derive(Default)]
struct Plan {
    slots: VecDeque<Slot>,
    /// Number of the first slot, counted from the beginning.
    first: u64,
    /// All slots before this one have been begun.
    begun: usize,
    closed: bool,
}

enum Slot {
    /// Chunk id.
    Waiting(u64),
    Begun,
    Decided(Result<Plain>),
}

impl Ahead {
    /// An empty plan of at most `bytes` of plain chunks, decoded on `threads` threads, the caller's among them; `None`
    /// when there is nothing to be had for it: one thread, no bytes, or others have taken all that the store gives.
    pub(crate) fn new(store: &EngramStore, threads: usize, bytes: usize) -> Option<Self> {
        if threads < 2 {
            return None;
        }
        let reserved = store.reserve_ahead(bytes);
        if reserved.bytes() == 0 {
            return None;
        }
        let shared = Shared {
            store: store.clone(),
            plan: Mutex::default(),
            work: Condvar::new(),
            ready: Condvar::new(),
        };
        Some(Self {
            shared: Arc::new(shared),
            helpers: Vec::new(),
            threads,
            costs: VecDeque::new(),
            bytes: 0,
            reserved,
        })
    }

    /// Plans chunk `id` after all others, if that keeps the plan within `bytes` and its own limit.
    pub(crate) fn push(&mut self, id: u64, bytes: usize) -> bool {
        // A chunk that can't be looked at costs nothing: it is an error in its place.
        let cost = self.shared.store.chunk_head(id).map_or(0, |head| head.len as usize);
        if self.bytes + cost > bytes.min(self.reserved.bytes()) {
            return false;
        }
        self.costs.push_back(cost);
        self.bytes += cost;
        self.shared.plan().slots.push_back(Slot::Waiting(id));
        self.shared.work.notify_one();
        if self.helpers.len() + 1 < self.threads && self.helpers.len() < self.costs.len() {
            let shared = Arc::clone(&self.shared);
            // Without it, the caller decodes alone.
            self.helpers.extend(thread::Builder::new().name("decode".into()).spawn(move || shared.help()));
        }
        true
    }

    /// The first chunk of the plan.
    pub(crate) fn take(&mut self) -> Result<Plain> {
        let mut plan = self.shared.plan();
        loop {
            match plan.slots.front() {
                None => return Err(Error::corrupt("nothing was planned")),
                Some(Slot::Decided(_)) => break,
                Some(_) => match plan.begin() {
                    Some((number, id)) => {
                        drop(plan);
                        self.shared.decode(number, id);
                        plan = self.shared.plan();
                    }
                    None => plan = self.shared.ready.wait(plan).unwrap_or_else(PoisonError::into_inner),
                },
            }
        }
        let first = plan.pop();
        drop(plan);
        self.forget(1);
        match first {
            Some(Slot::Decided(plain)) => plain,
            _ => Err(Error::corrupt("a chunk went missing")),
        }
    }

    /// Leaves out the first `count` chunks of the plan; what is being decoded is thrown away when it is done.
    pub(crate) fn skip(&mut self, count: usize) {
        let mut plan = self.shared.plan();
        for _ in 0..count {
            plan.pop();
        }
        drop(plan);
        self.forget(count);
    }

    fn forget(&mut self, count: usize) {
        let gone = count.min(self.costs.len());
        self.bytes -= self.costs.drain(..gone).sum::<usize>();
    }
}

impl Drop for Ahead {
    /// Each helper ends after the chunk it is at.
    fn drop(&mut self) {
        let mut plan = self.shared.plan();
        plan.closed = true;
        plan.slots.clear();
        drop(plan);
        self.shared.work.notify_all();
        for helper in self.helpers.drain(..) {
            // One that panicked has said so, and its chunk was decoded by the caller.
            let _ = helper.join();
        }
    }
}

impl Plan {
    /// The first chunk that nobody has begun: its number and id.
    fn begin(&mut self) -> Option<(u64, u64)> {
        while let Some(slot) = self.slots.get_mut(self.begun) {
            self.begun += 1;
            if let Slot::Waiting(id) = *slot {
                *slot = Slot::Begun;
                return Some((self.first + self.begun as u64 - 1, id));
            }
        }
        None
    }

    fn pop(&mut self) -> Option<Slot> {
        let slot = self.slots.pop_front()?;
        self.first += 1;
        self.begun = self.begun.saturating_sub(1);
        Some(slot)
    }

    /// The slot with this number, unless it was taken or left out meanwhile.
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn help(&self) {
        let mut plan = self.plan();
        while !plan.closed {
            match plan.begin() {
                Some((number, id)) => {
                    drop(plan);
                    self.decode(number, id);
                    plan = self.plan();
                }
                None => plan = self.work.wait(plan).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn decode(&self, number: u64, id: u64) {
        let mut begun = Begun { shared: self, number, slot: Some(Slot::Waiting(id)) };
        begun.slot = Some(Slot::Decided(self.store.chunk(id)));
    }
}

/// A slot that a thread has begun; dropped in a panic, it waits for another thread.
struct Begun<'s> {
    shared: &'s Shared,
    number: u64,
    slot: Option<Slot>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut plan = self.shared.plan();
        let again = matches!(self.slot, Some(Slot::Waiting(_)));
        if let (Some(place), Some(slot)) = (plan.slot(self.number), self.slot.take()) {
            *place = slot;
            if again {
                plan.begun = 0;
            }
            self.shared.ready.notify_one();
        }
    }
}
