//! The thread between the front and the back: a bounded queue of groups, and one worker that decides them in order.
//!
//! The worker is a thread of its own and no task of a pool: it waits for the store's staging lock, and a pool's thread
//! that waits may be given another ingester's work, which waits for the same lock.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use engrams_store::{Draft, EngramStore, Error, ErrorKind, Result, Version};

use super::counts::{Counts, StreamingProgress};
use super::group::Group;
use super::options::Settings;
use super::worker::Worker;

/// A running worker.
pub(crate) struct Pipeline {
    sender: Option<SyncSender<Message>>,
    decided: Receiver<Group>,
    worker: Option<JoinHandle<Result<Option<Version>>>>,
    counts: Arc<Counts>,
}

enum Message {
    Group(Group),
    Commit(String),
    /// Answers when everything before it is done.
    Sync(SyncSender<()>),
}

/// Groups waiting: one being decided, one waiting, one being cut are all that memory must hold.
const QUEUE: usize = 1;

impl Pipeline {
    pub(crate) fn start(store: EngramStore, draft: Draft, settings: Settings) -> Result<Self> {
        let counts = Arc::new(Counts::new());
        let (sender, receiver) = sync_channel(QUEUE);
        let (done, decided) = channel();
        let worker = Worker::new(store, draft, settings, Arc::clone(&counts));
        let run = move || {
            let mut worker = worker;
            for message in receiver {
                match message {
                    Message::Group(mut group) => {
                        worker.process(&group)?;
                        group.clear();
                        drop(done.send(group));
                    }
                    Message::Commit(message) => return worker.commit(&message).map(Some),
                    // Whoever asked may have gone.
                    Message::Sync(done) => drop(done.send(())),
                }
            }
            Ok(None)
        };
        let worker = std::thread::Builder::new().name("engrams-ingest".to_owned()).spawn(run);
        let worker = worker.map_err(|e| Error::io("starting the ingest thread", e))?;
        Ok(Self { sender: Some(sender), decided, worker: Some(worker), counts })
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(crate) fn progress(&self) -> StreamingProgress {
        self.counts.progress()
    }

    fn post(&mut self, message: Message) -> Result<()> {
        match &self.sender {
            Some(sender) if sender.send(message).is_ok() => Ok(()),
            _ => Err(self.end().err().unwrap_or_else(over)),
        }
    }

    /// Hands a group on; waits while the queue is full.
    pub(crate) fn send(&mut self, group: Group) -> Result<()> {
        if group.is_empty() { Ok(()) } else { self.post(Message::Group(group)) }
    }

    /// A group that was decided, empty and with its memory.
    pub(crate) fn decided(&self) -> Option<Group> {
        self.decided.try_recv().ok()
    }

    /// Waits until everything sent is decided.
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

    /// Lets the worker finish and takes its result.
    fn end(&mut self) -> Result<Option<Version>> {
        self.sender = None;
        let Some(worker) = self.worker.take() else { return Err(over()) };
        worker
            .join()
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Io, "the ingest thread panicked: this is a bug")))
    }
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
