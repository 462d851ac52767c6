//! What a goroutine of C's runs, and how it is made.
//!
//! # Call sites
//!
//! The scheduler learns for each place of the program where goroutines are made whether they talk
//! or compute. All of C's are made in this file. So there are several places here, and a function
//! of C's always takes the same one.
//!
//! # Safety
//!
//! A job has C's word that its function may be called with its pointer on any thread, once.
#![expect(unsafe_code, reason = "calls functions of C")]

use std::io;

use gosched::JoinHandle;
use gosched::goroutine::Builder;

use crate::function::{self, Callee, Function, Pointer};

/// One place where goroutines are made: each has its own, because the location of a macro's
/// expansion is where the macro stands.
macro_rules! site {
    () => {
        |builder, job| builder.try_go(body(job))
    };
}

/// A function of C's that is to run as a goroutine, once.
#[derive(Debug)]
pub(crate) struct Job<E: Send> {
    f: Callee,
    user: Pointer,
    /// Is called with the pointer in the end, whether the function has run or not.
    release: Function,
    /// Is told that the function has returned, and dropped when all of C's is over.
    end: E,
}

/// Who hears of a job's end.
pub(crate) trait End: Send + 'static {
    /// The function has returned.
    fn returned(&self);
}

impl End for () {
    fn returned(&self) {}
}

impl<E: End> Job<E> {
    /// # Safety
    ///
    /// `f`, and then `release`, may be called with `user` on any thread.
    pub(crate) unsafe fn new(f: Callee, user: Pointer, release: Function, end: E) -> Self {
        Self { f, user, release, end }
    }

    fn run(self) {
        // SAFETY: the contract of `new`.
        unsafe { function::call(self.f, self.user) };
        self.end.returned();
    }

    /// Makes the goroutine.
    pub(crate) fn go(self, builder: Builder) -> io::Result<JoinHandle<()>> {
        // Functions are some bytes apart, so their lowest bits say little.
        let site = (self.f as usize >> 4) % SITES;
        Self::MAKERS[site](builder, self)
    }

    #[rustfmt::skip]
    const MAKERS: [Maker<E>; SITES] = [
        site!(), site!(), site!(), site!(), site!(), site!(), site!(), site!(),
        site!(), site!(), site!(), site!(), site!(), site!(), site!(), site!(),
        site!(),
    ];
}

/// A prime, so that functions that are aligned alike are told apart.
const SITES: usize = 17;

type Maker<E> = fn(Builder, Job<E>) -> io::Result<JoinHandle<()>>;

impl<E: Send> Drop for Job<E> {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // SAFETY: the contract of `new`; the function has returned, or is never called.
            unsafe { function::call(release, self.user) };
        }
    }
}

/// Makes a closure of a job: of one type, wherever it is made.
fn body<E: End>(job: Job<E>) -> impl FnOnce() + Send + 'static {
    move || job.run()
}
