//! Runs a handful of futures on one thread, in an order that depends on nothing but the run.
//!
//! No runtime drives them: a timer that a future sets never fires, for the time of a run is the world's. (The
//! runtime is entered all the same, because making a timer asks for one.)

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Names a task of one run.
pub type TaskId = u64;

/// The tasks of a run.
#[derive(Default)]
pub struct Tasks {
    slots: BTreeMap<TaskId, Slot>,
    next: TaskId,
}

struct Slot {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Tasks {
    pub fn spawn(&mut self, future: impl Future<Output = ()> + 'static) -> TaskId {
        self.next += 1;
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.slots.insert(self.next, Slot { future: Box::pin(future), woken });
        self.next
    }

    /// Ends a task as a crash does: at the await where it stands.
    pub fn kill(&mut self, task: TaskId) {
        self.slots.remove(&task);
    }

    /// Polls whoever was woken, the oldest task first, until nobody is.
    pub fn run_until_stalled(&mut self) {
        while let Some(task) = self.first_woken() {
            let Some(slot) = self.slots.get_mut(&task) else { continue };
            let waker = Waker::from(Arc::clone(&slot.woken));
            if slot.future.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Ready(()) {
                self.slots.remove(&task);
            }
        }
    }

    pub fn is_any_woken(&self) -> bool {
        self.slots.values().any(|slot| slot.woken.0.load(Ordering::SeqCst))
    }

    fn first_woken(&self) -> Option<TaskId> {
        let mut tasks = self.slots.iter();
        tasks.find(|(_, slot)| slot.woken.0.swap(false, Ordering::SeqCst)).map(|(task, _)| *task)
    }
}
