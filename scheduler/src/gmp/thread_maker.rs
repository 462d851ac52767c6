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
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::note::Note;
use gosched_runtime_sys::thread::spawn_thread;

use crate::ds::letterbox::Letterbox;

/// The main function of a thread.
pub(crate) type Main = Box<dyn FnOnce() + Send>;

/// What came of an order.
type Made = io::Result<JoinHandle<()>>;

/// A thread that is to be made, and where to say what came of it.
struct Order {
    name: String,
    main: Main,
    answer: Answer,
    next: Option<Box<Order>>,
}

/// Says that no thread was made, if nothing was said.
struct Answer(Option<Arc<Letterbox<Made>>>);

impl Answer {
    fn say(mut self, made: Made) {
        if let Some(waiting) = self.0.take() {
            waiting.put(made);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let Some(waiting) = self.0.take() {
            waiting.put(Err(io::ErrorKind::BrokenPipe.into()));
        }
    }
}

/// The orders, the last one first.
enum Orders {
    /// There is no thread to make them.
    NoThread,
    Open(Option<Box<Order>>),
    /// The thread makes these and ends.
    Closed(Option<Box<Order>>),
}

/// What the thread shares with those that order.
struct Desk {
    orders: Mutex<Orders>,
    note: Note,
}

/// The way to the thread that makes threads.
pub(crate) struct ThreadMaker {
    /// Somebody has made the thread, or tried to. For those that come later.
    asked: AtomicBool,
    desk: Arc<Desk>,
}

impl ThreadMaker {
    pub(crate) fn new() -> Self {
        let desk = Desk { orders: Mutex::new(Orders::NoThread), note: Note::new() };
        Self { asked: AtomicBool::new(false), desk: Arc::new(desk) }
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
        let desk = self.desk.clone();
        let main = move || {
            begins();
            desk.make_until_closed();
        };
        match spawn_thread(name(), main) {
            Ok(thread) => {
                let mut orders = self.desk.orders.lock();
                if matches!(*orders, Orders::NoThread) {
                    *orders = Orders::Open(None);
                }
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
    pub(crate) fn make(&self, name: String, main: Main) -> Result<Made, (String, Main)> {
        let made = Arc::new(Letterbox::new());
        // Allocated before the lock is held.
        let answer = Answer(Some(made.clone()));
        let mut order = Box::new(Order { name, main, answer, next: None });
        let mut orders = self.desk.orders.lock();
        let Orders::Open(last) = &mut *orders else {
            drop(orders);
            let Order { name, main, .. } = *order;
            return Err((name, main));
        };
        order.next = last.take();
        *last = Some(order);
        drop(orders);
        self.desk.note.wake();
        Ok(made.take())
    }

    /// Ends the thread, once it has made what was ordered.
    pub(crate) fn close(&self) {
        self.asked.store(true, Relaxed);
        self.desk.close();
    }
}

impl Drop for ThreadMaker {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl Desk {
    fn close(&self) {
        let mut orders = self.orders.lock();
        *orders = Orders::Closed(match &mut *orders {
            Orders::NoThread => None,
            Orders::Open(last) | Orders::Closed(last) => last.take(),
        });
        drop(orders);
        self.note.wake();
    }

    /// The main function of the thread.
    fn make_until_closed(&self) {
        let _no_more_is_ordered = CloseAtEnd(self);
        loop {
            let mut orders = self.orders.lock();
            let (ordered, ends) = match &mut *orders {
                Orders::NoThread => (None, false),
                Orders::Open(last) => (last.take(), false),
                Orders::Closed(last) => (last.take(), true),
            };
            drop(orders);
            if ordered.is_none() {
                if ends {
                    return;
                }
                self.note.sleep();
            }
            let mut next = ordered;
            while let Some(order) = next {
                let Order { name, main, answer, next: before } = *order;
                answer.say(spawn_thread(name, main));
                next = before;
            }
        }
    }
}

/// Has nobody wait for a thread that has panicked.
struct CloseAtEnd<'a>(&'a Desk);

impl Drop for CloseAtEnd<'_> {
    fn drop(&mut self) {
        self.0.close();
        let mut orders = self.0.orders.lock();
        let left = mem::replace(&mut *orders, Orders::Closed(None));
        drop(orders);
        drop(left);
    }
}
