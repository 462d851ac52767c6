//! Joining in a destructor.

use std::ops::Deref;
use std::thread;

use super::JoinHandle;
use crate::gmp::current;
use crate::gmp::g::Kind;
use crate::proc::cancel::shielded;
use crate::proc::in_place::kind_of_running;
use crate::proc::put_off::put_off;
use crate::wait::owed::Panics;

/// A [`JoinHandle`] that joins when it is dropped. Made by
/// [`JoinHandle::join_on_drop`](JoinHandle::join_on_drop).
#[derive(Debug)]
#[must_use = "it joins when it is dropped"]
pub struct JoinOnDrop<T: 'static>(Option<JoinHandle<T>>);

impl<T> JoinHandle<T> {
    /// Returns a guard that waits for the goroutine's end when it is dropped. The outcome is
    /// dropped, and no cancel ends the wait.
    ///
    /// A goroutine that is dropping the guard because it unwinds, by a panic or a cancel, must not
    /// wait there: it would keep its thread, and the other goroutine may have settled on the same
    /// one. So it waits once it has stopped unwinding: when [`timeout`](crate::time::timeout)
    /// has caught it, or when its closure has ended and nobody was told yet. `drop(handle.join())`
    /// in a destructor of one's own may wait for ever there.
    ///
    /// ```
    /// use gosched::{JoinOnDrop, Mode, chan, go, run};
    ///
    /// struct Pool {
    ///     // Dropped first: then the workers end.
    ///     jobs: chan::Sender<u32>,
    ///     _workers: Vec<JoinOnDrop<()>>,
    /// }
    ///
    /// // SAFETY: nothing here waits in an initialiser or in code that relies on nesting.
    /// run(unsafe { Mode::settled() }, || {
    ///     let fails = go(|| {
    ///         let (jobs, taken) = chan::bounded(1);
    ///         let worker = go(move || taken.iter().for_each(|_: u32| {}));
    ///         let pool = Pool { jobs, _workers: vec![worker.join_on_drop()] };
    ///         pool.jobs.send(1).unwrap();
    ///         panic!("while the worker waits for a job");
    ///     });
    ///     assert!(fails.join().is_err());
    /// });
    /// ```
    #[doc(alias("scoped", "guard", "RAII"))]
    pub fn join_on_drop(self) -> JoinOnDrop<T> {
        JoinOnDrop(Some(self))
    }
}

impl<T> JoinOnDrop<T> {
    /// Returns the handle, which joins only when it is asked to.
    pub fn into_handle(mut self) -> JoinHandle<T> {
        self.0.take().expect("it is taken here, and in the drop")
    }
}

impl<T> Deref for JoinOnDrop<T> {
    type Target = JoinHandle<T>;

    fn deref(&self) -> &JoinHandle<T> {
        self.0.as_ref().expect("it is taken when this is gone")
    }
}

impl<T> Drop for JoinOnDrop<T> {
    fn drop(&mut self) {
        let Some(handle) = self.0.take() else { return };
        let wait = move || {
            let mut panics = Panics::none();
            panics.catch(|| drop(handle.join()));
            panics.give_up();
        };
        if thread::panicking() && shares_its_thread() {
            put_off(Box::new(wait));
        } else {
            shielded(wait);
        }
    }
}

/// True if the calling goroutine is not its thread.
fn shares_its_thread() -> bool {
    current::with(|cx| {
        cx.and_then(|cx| cx.g()).is_some_and(|g| kind_of_running(g) != Kind::ThreadBacked)
    })
}
