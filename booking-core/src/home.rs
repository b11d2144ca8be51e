//! A thread with a runtime of its own, for tasks that should stay together.
//!
//! A database has one: its connections live there, and the tasks that wait for its commits. Where many tasks share a few
//! threads, one that is woken by a socket stands behind all that are ready. That is fair to them, but a busy row's next
//! commit would wait for the whole crowd the last one has just answered, and the database with it. There, there is hardly
//! anything but what comes from the database and goes to it.
//!
//! Visitors have one for each core ([`crate::serving`]).

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};

/// Is such a thread. It ends when what it was built for does.
#[derive(Debug)]
pub(crate) struct Home {
    handle: Handle,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Home {
    /// Opens a thread and runs `life` on it. Whatever else was begun there ends with it.
    ///
    /// # Errors
    /// When the system gives no thread, or no way to wait for sockets.
    pub fn build(name: &str, life: impl Future<Output = ()> + Send + 'static) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(life))?;
        Ok(Self { handle, thread: Mutex::new(Some(thread)) })
    }

    /// Returns a handle by which tasks get there.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until the thread has ended. One of its own tasks may be the last that lets go of a store; that one does not
    /// wait for itself.
    pub fn wait(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _whoever_asked_was_answered = thread.join();
        }
    }
}
