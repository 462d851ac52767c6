//! The threads behind `blocking`: mailboxes, handles, and the count of who there is.
//!
//! A helper has a mailbox of one message, which it waits at with a time limit, and the
//! [`IdleWorkers`] says whose turn it is. Who ends joins the one that ended before, so that a pool
//! that shrinks leaves one thread to be joined at most, and shutdown joins that.
//!
//! This is the only file that names crossbeam-channel.
//!
//! # Safety
//!
//! A [`Job`] points to the frame of a goroutine that waits until it was told that the job is done.
#![expect(unsafe_code, reason = "sends a pointer to a waiting goroutine's frame")]

use std::mem;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::grow;
use crate::ds::idle_workers::{IdleWorkers, Worker};
use crate::policy;

/// What a helper does for a goroutine.
pub(crate) trait Errand {
    /// Runs the closure. Catches its panic.
    fn run(&self);
}

/// The goroutine that waits for an errand.
pub(crate) trait Client {
    /// The errand is done, and nobody touches it any more.
    fn tell(&self);
}

/// An errand, and whom it is for.
pub(crate) struct Job {
    /// On the stack of the goroutine that waits for it.
    pub(crate) errand: NonNull<dyn Errand>,
    /// Not there: it is in use until after the goroutine was told, which may then be gone.
    pub(crate) client: Arc<dyn Client + Send + Sync>,
    /// The goroutine's number.
    pub(crate) g: u64,
}

// SAFETY: the pointer is what is not `Send`; who makes a job vouches for what it points to
// (`blocking::run_on_helper`).
unsafe impl Send for Job {}

enum Message {
    Run(Job),
    End,
}

/// A helper's own side.
pub(crate) struct Helper {
    /// Counts from 1; the thread is named after it.
    pub(crate) number: u64,
    door: Sender<Message>,
    mailbox: Receiver<Message>,
}

/// Who will run a job.
pub(crate) enum Runner {
    /// It was sent to a helper.
    Helper,
    /// A thread is to be made for this helper, with the job as its first.
    New(Helper, Job),
    /// The pool is at its limit, or closed.
    Nobody,
}

struct Threads {
    handles: Vec<(u64, JoinHandle<()>)>,
    /// The one that ended last; all before it are joined.
    ended: Option<JoinHandle<()>>,
}

/// The helpers of a runtime.
pub(crate) struct BlockingPool {
    workers: IdleWorkers<Sender<Message>>,
    threads: Mutex<Threads>,
    made: AtomicU64,
}

impl BlockingPool {
    /// A pool of at most `limit` threads; it makes none itself.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            workers: IdleWorkers::new(limit),
            threads: Mutex::new(Threads { handles: Vec::new(), ended: None }),
            made: AtomicU64::new(0),
        }
    }

    /// Finds somebody to run `job`.
    pub(crate) fn submit(&self, job: Job) -> Runner {
        match self.workers.claim() {
            Worker::Idle(door) => {
                door.send(Message::Run(job))
                    .expect("a helper that was chosen waits for its message");
                Runner::Helper
            }
            Worker::New => {
                let (door, mailbox) = bounded(1);
                Runner::New(
                    Helper { number: self.made.fetch_add(1, Relaxed) + 1, door, mailbox },
                    job,
                )
            }
            Worker::None => Runner::Nobody,
        }
    }

    /// How many threads it has.
    pub(crate) fn helpers(&self) -> usize {
        self.workers.helpers()
    }

    /// No thread could be made for a [`Runner::New`].
    pub(crate) fn not_made(&self) {
        self.workers.forget();
    }

    /// The thread of the helper with this number.
    pub(crate) fn keep(&self, number: u64, thread: JoinHandle<()>) {
        grow::push(|| self.threads.lock(), |threads| &mut threads.handles, (number, thread));
    }

    /// The next job of a helper that has none; `None` when it is to end, and does not count any
    /// more.
    pub(crate) fn next(&self, helper: &Helper) -> Option<Job> {
        if !self.workers.enlist(helper.door.clone()) {
            return None;
        }
        let message = match helper.mailbox.recv_timeout(policy::HELPER_IDLE) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout)
                if self.workers.leave(|door| door.same_channel(&helper.door)) =>
            {
                return None;
            }
            Err(_) => helper.mailbox.recv().expect("the helper holds the other end, too"),
        };
        match message {
            Message::Run(job) => Some(job),
            Message::End => None,
        }
    }

    /// A helper ends: the last it does.
    pub(crate) fn ends(&self, number: u64) {
        let mut threads = self.threads.lock();
        // Not there yet if its maker has been slow for all this time: then shutdown finds it.
        let Some(at) = threads.handles.iter().position(|(other, _)| *other == number) else {
            return;
        };
        let (_, owned) = threads.handles.swap_remove(at);
        let before = threads.ended.replace(owned);
        drop(threads);
        join(before);
    }

    /// Ends the helpers that wait, and the others once they have done what they do; waits for all
    /// of them.
    pub(crate) fn close(&self) {
        for door in self.workers.close() {
            door.send(Message::End).expect("a helper that waits has a mailbox");
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
        // What a helper runs for others catches their panics.
        let _ended = thread.join();
    }
}
