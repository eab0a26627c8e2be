//! The threads behind the front: one names the chunks of groups, one decides groups in order, one assembles files from
//! them, with bounded queues between.
//!
//! They are threads of their own and no tasks of a pool: deciding waits for the store's staging lock, and a pool's thread
//! that waits may be given another ingester's work, which waits for the same lock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use engrams_store::{Draft, EngramStore, Error, ErrorKind, Result, Version};

use super::assembly::Assembler;
use super::counts::{Counts, StreamingProgress};
use super::decided::{Step, steps};
use super::decision::Decider;
use super::group::Group;
use super::known::{KnownChunks, Tracing};
use super::naming::{Named, Namer, Novelty};
use super::options::Settings;
use super::workers::Workers;

/// Running threads.
pub(crate) struct Pipeline {
    sender: Option<SyncSender<Message<Group>>>,
    done: Receiver<Group>,
    threads: Option<Threads>,
    counts: Arc<Counts>,
}

struct Threads {
    naming: JoinHandle<Result<()>>,
    deciding: JoinHandle<Result<()>>,
    assembling: JoinHandle<Result<Option<Version>>>,
}

/// What goes from thread to thread, in order.
enum Message<T> {
    Group(T),
    Commit(String),
    /// Answers when everything before it is done.
    Sync(SyncSender<()>),
}

/// Groups waiting to be named: one being cut, one waiting, one being named and one being decided are all that memory
/// must hold.
const QUEUE: usize = 1;
/// Decided groups waiting to be assembled, without their bytes: some 100 KiB each. What files held before is counted in
/// strokes that take as long as several groups take to be decided, and nobody should wait for them.
const DECIDED_QUEUE: usize = 8;

impl Pipeline {
    pub(crate) fn start(store: EngramStore, draft: Draft, settings: Settings) -> Result<Self> {
        let counts = Arc::new(Counts::new());
        let (sender, groups) = sync_channel(QUEUE);
        let (named, to_decide) = sync_channel(0);
        let (decided, to_assemble) = sync_channel(DECIDED_QUEUE);
        let (spare, done) = channel();
        let (workers, novelty) = (Arc::new(Workers::new(settings.threads)), Arc::new(Novelty::default()));
        let mut namer = Namer::new(store.clone(), Arc::clone(&workers), Arc::clone(&novelty));
        let reuse = draft.reuse().clone();
        let known = Arc::new(KnownChunks::new());
        let tracing = Tracing { known: Arc::clone(&known), workers: Arc::clone(&workers) };
        let assembler = Assembler::new(store.clone(), draft, Arc::clone(&counts), tracing);
        let mut decider =
            Decider::new(store.clone(), reuse, settings, Arc::clone(&counts), workers, novelty, known);
        // In this order: those started end when the next one can't be.
        let assembling = thread("engrams-files", move || assemble(assembler, to_assemble))?;
        let deciding = thread("engrams-ingest", move || {
            stage(to_decide, &decided, |mut named: Named| {
                let ids = decider.decide(&mut named)?;
                let mut group = named.group;
                let steps = ids.map(|ids| steps(store.gear(), &mut group, &ids));
                group.clear();
                // Whoever cuts may have gone.
                drop(spare.send(group));
                Ok(steps)
            })
        })?;
        let naming = thread("engrams-names", move || stage(groups, &named, |group| namer.name(group)))?;
        Ok(Self {
            sender: Some(sender),
            done,
            threads: Some(Threads { naming, deciding, assembling }),
            counts,
        })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn progress(&self) -> StreamingProgress {
        self.counts.progress()
    }

    fn post(&mut self, message: Message<Group>) -> Result<()> {
        match &self.sender {
            Some(sender) if sender.send(message).is_ok() => Ok(()),
            _ => Err(self.end().err().unwrap_or_else(over)),
        }
    }

    /// Hands a group on; waits while the queue is full.
    pub(crate) fn send(&mut self, group: Group) -> Result<()> {
        if group.is_empty() { Ok(()) } else { self.post(Message::Group(group)) }
    }

    /// A group that is done with, empty and with its memory.
    pub(crate) fn decided(&self) -> Option<Group> {
        self.done.try_recv().ok()
    }

    /// Waits until everything sent is decided and assembled.
    pub(crate) fn sync(&mut self) -> Result<()> {
        let (done, wait) = sync_channel(1);
        self.post(Message::Sync(done))?;
        wait.recv().map_err(|_| self.end().err().unwrap_or_else(over))
    }

    /// Publishes everything sent as one version.
    pub(crate) fn commit(mut self, message: &str) -> Result<Version> {
        self.post(Message::Commit(message.to_owned()))?;
        self.end()?.ok_or_else(over)
    }

    /// Lets the threads finish and takes their result.
    fn end(&mut self) -> Result<Option<Version>> {
        self.sender = None;
        let Some(Threads { naming, deciding, assembling }) = self.threads.take() else { return Err(over()) };
        // A thread stops silently when the one after it has: the last one that failed knows why.
        let named = naming.join().unwrap_or_else(|_| Err(panicked()));
        let decided = deciding.join().unwrap_or_else(|_| Err(panicked()));
        let assembled = assembling.join().unwrap_or_else(|_| Err(panicked()));
        assembled.and_then(|version| decided.and(named).map(|()| version))
    }
}

fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|e| Error::io("starting the threads of an ingest", e))
}

/// Does its work on each group and hands on what becomes of it, and everything else as it is.
fn stage<T, U>(
    messages: Receiver<Message<T>>,
    next: &SyncSender<Message<U>>,
    mut work: impl FnMut(T) -> Result<U>,
) -> Result<()> {
    for message in messages {
        let message = match message {
            Message::Group(group) => Message::Group(work(group)?),
            Message::Commit(message) => Message::Commit(message),
            Message::Sync(done) => Message::Sync(done),
        };
        if next.send(message).is_err() {
            break;
        }
    }
    Ok(())
}

fn assemble(
    mut assembler: Assembler,
    decided: Receiver<Message<Option<Vec<Step>>>>,
) -> Result<Option<Version>> {
    for message in decided {
        match message {
            Message::Group(Some(steps)) => assembler.assemble(steps)?,
            // Nothing to assemble: only lost chunks were mended.
            Message::Group(None) => {}
            Message::Commit(message) => return assembler.commit(&message).map(Some),
            Message::Sync(done) => drop(done.send(())),
        }
    }
    Ok(None)
}

fn panicked() -> Error {
    Error::new(ErrorKind::Io, "a thread of the ingest panicked: this is a bug")
}

fn over() -> Error {
    Error::new(ErrorKind::Invalid, "this ingest has failed or ended: begin another")
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        // Nothing was committed, so nothing is visible, whatever the outcome.
        let _ = self.end();
    }
}
