//! The threads behind `blocking`, called helpers: their letterboxes, join handles and number.
//!
//! A helper waits at its [`Letterbox`] with a time limit. [`IdleWorkers`] chooses the helper for a
//! job. A helper that ends joins the helper that ended before it. So a pool that shrinks leaves at
//! most one thread to be joined, and shutdown joins that.
//!
//! # Safety
//!
//! A [`Job`] points to the frame of a goroutine that waits until the job is done.
#![expect(unsafe_code, reason = "sends a pointer to a waiting goroutine's frame")]

use std::mem;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Instant;

use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::grow;
use crate::ds::idle_workers::{IdleWorkers, Worker};
use crate::ds::letterbox::Letterbox;
use crate::policy;

/// A closure that a helper runs for a goroutine.
pub(crate) trait BlockingCall {
    /// Runs the closure. Catches its panic.
    fn run(&self);
}

/// The goroutine that waits for a call.
pub(crate) trait CallWaiter {
    /// Wakes the goroutine: the call is done, and the helper touches it no more.
    fn call_done(&self);
}

/// A call, and the goroutine that waits for it.
pub(crate) struct Job {
    /// On the stack of the waiting goroutine.
    pub(crate) call: NonNull<dyn BlockingCall>,
    /// Not on that stack: the helper uses it until after the wake, when the goroutine may be gone.
    pub(crate) waiter: Arc<dyn CallWaiter + Send + Sync>,
    /// The goroutine's number.
    pub(crate) g: u64,
}

// SAFETY: only the pointer is not `Send`. The maker of a job vouches for its target
// (`blocking::run_on_helper`).
unsafe impl Send for Job {}

enum Message {
    Run(Job),
    End,
}

/// The part of a helper that its own thread holds.
pub(crate) struct Helper {
    /// Counts from 1. The thread is named after it.
    pub(crate) number: u64,
    messages: Arc<Letterbox<Message>>,
}

/// What became of a submitted job.
pub(crate) enum Runner {
    /// The job was sent to a helper.
    Helper,
    /// The caller makes a thread for this helper, with the job as its first.
    New(Helper, Job),
    /// The pool is at its limit, or closed.
    Nobody,
}

struct Threads {
    handles: Vec<(u64, JoinHandle<()>)>,
    /// The thread that ended last. All that ended before it are joined.
    ended: Option<JoinHandle<()>>,
}

/// The helpers of a runtime.
pub(crate) struct BlockingPool {
    workers: IdleWorkers<Arc<Letterbox<Message>>>,
    threads: Mutex<Threads>,
    made: AtomicU64,
}

impl BlockingPool {
    /// Makes a pool of at most `limit` threads. The pool makes no thread itself.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            workers: IdleWorkers::new(limit),
            threads: Mutex::new(Threads { handles: Vec::new(), ended: None }),
            made: AtomicU64::new(0),
        }
    }

    /// Sends `job` to an idle helper, if there is one.
    pub(crate) fn submit(&self, job: Job) -> Runner {
        match self.workers.claim() {
            Worker::Idle(helper) => {
                helper.put(Message::Run(job));
                Runner::Helper
            }
            Worker::New => {
                let number = self.made.fetch_add(1, Relaxed) + 1;
                Runner::New(Helper { number, messages: Arc::new(Letterbox::new()) }, job)
            }
            Worker::None => Runner::Nobody,
        }
    }

    /// Returns how many helpers there are.
    pub(crate) fn helpers(&self) -> usize {
        self.workers.helpers()
    }

    /// Uncounts the helper of a [`Runner::New`] whose thread could not be made.
    pub(crate) fn helper_not_made(&self) {
        self.workers.forget();
    }

    /// Uncounts a helper that ends although there may be work for it.
    pub(crate) fn helper_retires(&self) {
        self.workers.forget();
    }

    /// Keeps the join handle of the helper with the number `number`.
    pub(crate) fn keep_handle(&self, number: u64, thread: JoinHandle<()>) {
        grow::push(|| self.threads.lock(), |threads| &mut threads.handles, (number, thread));
    }

    /// Waits for the next job of an idle helper. `None` if the helper is to end; it is then
    /// uncounted.
    pub(crate) fn next(&self, helper: &Helper) -> Option<Job> {
        if !self.workers.enlist(helper.messages.clone()) {
            return None;
        }
        helper.messages.look(policy::HELPER_LOOKS);
        let message = match helper.messages.take_until(Instant::now() + policy::HELPER_IDLE) {
            Some(message) => message,
            None if self.workers.leave(|other| Arc::ptr_eq(other, &helper.messages)) => {
                return None;
            }
            None => helper.messages.take(),
        };
        match message {
            Message::Run(job) => Some(job),
            Message::End => None,
        }
    }

    /// Joins the helper that ended before this one. The last act of a helper that ends.
    pub(crate) fn helper_ends(&self, number: u64) {
        let mut threads = self.threads.lock();
        // The handle is missing if the thread that made this helper has been slow for all this
        // time. Then shutdown finds the handle.
        let Some(at) = threads.handles.iter().position(|(other, _)| *other == number) else {
            return;
        };
        let (_, owned) = threads.handles.swap_remove(at);
        let before = threads.ended.replace(owned);
        drop(threads);
        join(before);
    }

    /// Ends the idle helpers at once and the others after their job. Joins all of them.
    pub(crate) fn close(&self) {
        for helper in self.workers.close() {
            helper.put(Message::End);
        }
        loop {
            let mut threads = self.threads.lock();
            let handles = mem::take(&mut threads.handles);
            let ended = threads.ended.take();
            drop(threads);
            if handles.is_empty() && ended.is_none() {
                return;
            }
            join(ended.into_iter().chain(handles.into_iter().map(|(_, handle)| handle)));
        }
    }
}

fn join(threads: impl IntoIterator<Item = JoinHandle<()>>) {
    for thread in threads {
        // A helper catches the panics of the calls that it runs.
        let _ended = thread.join();
    }
}
