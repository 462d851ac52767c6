//! What runs on a stack of ours, on a system whose threads run on their own stacks alone. No stack
//! can be made there, so no context is: goroutines are threads, or nothing.
//!
//! # Safety
//!
//! There is no value of the types.
#![expect(unsafe_code, reason = "the contracts of those that switch")]

use std::convert::Infallible;
use std::marker::PhantomData;

use crate::memory::stack::Stack;

/// A stack and what runs on it: there is none.
#[derive(Debug)]
pub struct Context<I: 'static, Y: 'static>(Infallible, PhantomData<(I, Y)>);

impl<I: 'static, Y: 'static> Context<I, Y> {
    /// Never called: there is no stack.
    pub fn new<F: FnOnce(Suspender<I, Y>, I) + 'static>(_stack: Stack, _f: F) -> Self {
        unreachable!("no stack can be made on this system")
    }

    /// Never called.
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn resume(&mut self, _input: I) -> Option<Y> {
        match self.0 {}
    }

    /// Never called.
    pub fn into_stack(self) -> Stack {
        match self.0 {}
    }
}

/// The right of a running context to suspend itself: none has it.
#[derive(Debug)]
pub struct Suspender<I: 'static, Y: 'static>(Infallible, PhantomData<(I, Y)>);

impl<I: 'static, Y: 'static> Clone for Suspender<I, Y> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: 'static, Y: 'static> Copy for Suspender<I, Y> {}

impl<I: 'static, Y: 'static> Suspender<I, Y> {
    /// Never called.
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn suspend(self, _value: Y) -> I {
        match self.0 {}
    }

    /// Never called.
    ///
    /// # Safety
    ///
    /// None.
    pub unsafe fn on_resumers_stack<R>(self, _f: impl FnOnce() -> R) -> R {
        match self.0 {}
    }
}
