//! A thread that makes threads for those that must not: a new thread inherits from its maker.
//!
//! A goroutine that locks its thread may change what belongs to the thread: its directory, its
//! namespaces, its priority, its mask of signals. A thread that it makes begins with the same. So
//! such a thread asks this one, which was made before the goroutine had the lock.
//!
//! There is none until a goroutine locks its thread, or gets one of its own.
//!
//! // GO: proc.go startTemplateThread, templateThread

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::thread::spawn_thread;

/// The main function of a thread.
pub(crate) type Main = Box<dyn FnOnce() + Send>;

/// A thread that is to be made, and where to say what came of it.
struct Order {
    name: String,
    main: Main,
    made: SyncSender<io::Result<JoinHandle<()>>>,
}

/// The way to the thread that makes threads.
pub(crate) struct ThreadMaker {
    /// Somebody has made the thread, or tried to. For those that come later.
    asked: AtomicBool,
    orders: Mutex<Option<Sender<Order>>>,
}

impl ThreadMaker {
    pub(crate) fn new() -> Self {
        Self { asked: AtomicBool::new(false), orders: Mutex::new(None) }
    }

    /// Makes the thread, unless somebody has. Returns its handle if this call made it.
    ///
    /// Without it, whoever wants a thread makes it. The thread calls `begins` first.
    pub(crate) fn start(
        &self,
        name: impl FnOnce() -> String,
        begins: impl FnOnce() + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        if self.asked.load(Relaxed) || self.asked.swap(true, Relaxed) {
            return None;
        }
        let (orders, theirs) = channel();
        let main = move || {
            begins();
            make_until_closed(&theirs);
        };
        match spawn_thread(name(), main) {
            Ok(thread) => {
                *self.orders.lock() = Some(orders);
                Some(thread)
            }
            Err(_) => {
                // The next goroutine that locks its thread tries again.
                self.asked.store(false, Relaxed);
                None
            }
        }
    }

    /// Has the thread make another one, and waits for it. Gives `main` back if there is no such
    /// thread.
    pub(crate) fn make(
        &self,
        name: String,
        main: Main,
    ) -> Result<io::Result<JoinHandle<()>>, (String, Main)> {
        let Some(orders) = self.orders.lock().clone() else { return Err((name, main)) };
        let (made, outcome) = sync_channel(1);
        orders
            .send(Order { name, main, made })
            .map_err(|refused| (refused.0.name, refused.0.main))?;
        drop(orders);
        Ok(outcome.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())))
    }

    /// Ends the thread, once it has made what was ordered.
    pub(crate) fn close(&self) {
        self.asked.store(true, Relaxed);
        drop(self.orders.lock().take());
    }
}

/// The main function of the thread.
fn make_until_closed(orders: &Receiver<Order>) {
    while let Ok(Order { name, main, made }) = orders.recv() {
        let _it_waits = made.send(spawn_thread(name, main));
    }
}
