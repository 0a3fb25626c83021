//! Who commits. On disk a thread of its own does, because it waits for the disk. In memory nothing waits, and to hand a
//! commit to another thread and wait for it costs more than the commit: so whoever asks commits, for itself and for all
//! who ask meanwhile.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use tokio::runtime::Handle;

use super::committer::{Committer, Request};

/// The way to the committer.
pub(crate) enum Commits {
    Thread { requests: Sender<Request>, thread: Option<JoinHandle<()>> },
    Askers(Arc<Askers>),
}

impl Commits {
    /// Starts the thread that commits.
    pub(crate) fn by_thread(committer: Committer) -> io::Result<Self> {
        let (requests, queue) = mpsc::channel();
        let thread = thread::Builder::new().name("partita-commit".to_owned()).spawn(move || committer.run(&queue))?;
        Ok(Self::Thread { requests, thread: Some(thread) })
    }

    /// Has those who ask commit.
    pub(crate) fn by_askers(committer: Committer) -> Self {
        Self::Askers(Arc::new(Askers { waiting: Mutex::default(), committer: Mutex::new(Some(committer)) }))
    }

    /// Asks for something. When the store is closed the request is dropped, and its answer with it.
    pub(crate) fn ask(&self, request: Request) {
        match self {
            // An error gives the request back, to be dropped here.
            Self::Thread { requests, .. } => drop(requests.send(request)),
            Self::Askers(askers) => askers.ask(request),
        }
    }

    /// Waits until the thread has ended; a close must have been asked for.
    pub(crate) fn join(&mut self) {
        if let Self::Thread { thread, .. } = self
            && let Some(thread) = thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// The committer among those who ask.
pub(crate) struct Askers {
    waiting: Mutex<VecDeque<Request>>,
    /// `None` when closed.
    committer: Mutex<Option<Committer>>,
}

impl Askers {
    fn ask(self: &Arc<Self>, request: Request) {
        self.waiting().push_back(request);
        if !self.serve() {
            return;
        }
        // More came meanwhile. This one's answer is there, so others' is not its work.
        match Handle::try_current() {
            Ok(runtime) => {
                let askers = Arc::clone(self);
                runtime.spawn(async move {
                    while askers.serve() {
                        tokio::task::yield_now().await;
                    }
                });
            }
            Err(_) => while self.serve() {},
        }
    }

    /// Serves those who wait as one group, unless somebody is at it: that one looks again when it is done. Says whether
    /// more have come.
    fn serve(&self) -> bool {
        let Ok(mut committer) = self.committer.try_lock() else { return false };
        let mut next = || self.waiting().pop_front();
        if let Some(first) = next() {
            match committer.as_mut().map(|committer| committer.work(first, &mut next)) {
                Some(Some(closed)) => {
                    if let Some(committer) = committer.take() {
                        committer.close(closed, &mut next);
                    }
                }
                Some(None) => {}
                None => self.waiting().clear(),
            }
        }
        drop(committer);
        !self.waiting().is_empty()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Request>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
