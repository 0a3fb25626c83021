//! Who runs the committer. On disk a thread of its own does, because a group waits for the disk. In memory nothing
//! waits, so whoever asks does the work at once, for itself and for all that asked meanwhile: waking another thread and
//! being woken by it would take longer than the work.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;

use super::committer::{Committer, Request};

/// Takes requests to the committer.
pub(crate) enum Writer {
    /// A thread works.
    Thread { requests: Sender<Request>, thread: Option<JoinHandle<()>> },
    /// Those who ask work.
    Askers(Box<Askers>),
}

/// The committer, and what waits for it.
pub(crate) struct Askers {
    waiting: Mutex<VecDeque<Request>>,
    /// `None` once closed.
    committer: Mutex<Option<Committer>>,
}

/// The store is closed.
pub(crate) struct Closed;

impl Writer {
    /// Lets `committer` work on a thread of its own.
    pub(crate) fn thread(committer: Committer) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel();
        let thread = thread::Builder::new().name("partita-commit".to_owned()).spawn(move || committer.run(&queue))?;
        Ok(Self::Thread { requests, thread: Some(thread) })
    }

    /// Lets those who ask do the work.
    pub(crate) fn askers(committer: Committer) -> Self {
        Self::Askers(Box::new(Askers { waiting: Mutex::default(), committer: Mutex::new(Some(committer)) }))
    }

    /// Takes a request, which is answered in its own time.
    pub(crate) fn ask(&self, request: Request) -> Result<(), Closed> {
        match self {
            Self::Thread { requests, .. } => requests.send(request).map_err(|_| Closed),
            Self::Askers(askers) => {
                askers.ask(request);
                Ok(())
            }
        }
    }

    /// Waits until the committer has ended. It has been asked to close.
    pub(crate) fn join(&mut self) {
        if let Self::Thread { thread, .. } = self
            && let Some(thread) = thread.take()
        {
            let _ = thread.join();
        }
    }
}

impl Askers {
    fn ask(&self, request: Request) {
        self.waiting.lock().push_back(request);
        // Whoever works looks at the queue again after letting go of the committer: a request that came while it was
        // held is seen either there or here.
        while !self.waiting.lock().is_empty() {
            let Some(mut held) = self.committer.try_lock() else { return };
            let next = || self.waiting.lock().pop_front();
            while let Some(first) = next() {
                // Once closed, requests are dropped, which tells those who wait.
                let closed = held.as_mut().and_then(|committer| committer.work(first, next));
                if let Some((committer, closed)) = held.take_if(|_| closed.is_some()).zip(closed) {
                    committer.close(closed, next);
                }
            }
        }
    }
}
