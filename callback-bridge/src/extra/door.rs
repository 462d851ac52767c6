//! Who is inside of a bridge, so that it can be closed.
//!
//! # The protocol
//!
//! Each M has a place. A call writes there which door it came in by, and then looks whether that
//! door is closed. The closer closes the door, and then looks at all places. Between the two steps
//! of each side stands a fence, so one of them sees the other: the call finds the door closed and
//! goes out again, or the closer finds the call inside. The fences are an asymmetric pair, because
//! calls are frequent and closers are rare.
//!
//! On its way out a call empties its place and then looks at the door once more, in the same way.
//! If the door is closed by then, somebody may wait for the place to be empty, and is told. If not,
//! the closer, which comes later, finds the place empty. A call that was refused has been in its
//! place for a moment, and tells as well.
//!
//! A call that has no place of its own, because its thread is a goroutine already, is counted. So
//! are the guards of `attach`, which may outlive each other in any order.
//!
//! # Lifetime
//!
//! Places are never freed, and a list only grows. A place holds the address of a door as a name;
//! nobody follows it. While the name is there, the call borrows the door, so no other door has this
//! address.
//!
//! # Rejected
//!
//! One counter for all calls: threads that call at the same time would write one word twice with
//! each call, which costs more than the call.
//!
//! # Safety
//!
//! What a list links is leaked.
#![expect(unsafe_code, reason = "follows the links of leaked places")]

use gosched_runtime_sys::sync::primitive::{
    AtomicBool, AtomicPtr, AtomicUsize, Ordering, heavy_fence, light_fence, mutated,
};
use std::iter::successors;
use std::{ptr, thread};

/// What calls come in by, until it is closed.
#[derive(Debug)]
pub(crate) struct Door {
    closed: AtomicBool,
    /// The calls inside that have no place.
    counted: AtomicUsize,
}

/// Where the thread that has an M says which door it came in by. Null while it is in no call, or in
/// one that is counted.
#[derive(Debug)]
pub(crate) struct Place {
    door: AtomicPtr<Door>,
    /// The place that was listed before this one. Written before this one is listed.
    next: AtomicPtr<Place>,
}

/// All places of a process.
#[derive(Debug)]
pub(crate) struct Places {
    newest: AtomicPtr<Place>,
}

/// The call came to a closed door.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct IsClosed;

impl Door {
    /// Returns an open door.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { closed: AtomicBool::new(false), counted: AtomicUsize::new(0) }
    }

    /// True if the door was closed. It may be closed right after a false.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// As [`is_closed`](Self::is_closed), with what the closer did before.
    #[inline]
    pub(crate) fn was_closed(&self) -> bool {
        // ORDERING[door.closed]: partner is the store in `close`.
        self.closed.load(Ordering::Acquire)
    }

    /// Comes in, with a place. The caller [tells](Self::is_waited_for) in both cases: after it has
    /// gone out, or after it was refused.
    #[inline]
    pub(crate) fn come_in(&self, place: &Place) -> Result<(), IsClosed> {
        place.door.store(ptr::from_ref(self).cast_mut(), Ordering::Relaxed);
        if self.is_closed_now() {
            self.go_out(place);
            return Err(IsClosed);
        }
        Ok(())
    }

    /// Goes out.
    #[inline]
    pub(crate) fn go_out(&self, place: &Place) {
        let order =
            if mutated("door.go_out_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        // ORDERING[door.inside]: partner is the load in `inside`; what was done in the call becomes
        // visible to the closer.
        place.door.store(ptr::null_mut(), order);
    }

    /// Comes in without a place. As [`come_in`](Self::come_in).
    #[inline]
    pub(crate) fn count_in(&self) -> Result<(), IsClosed> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        if self.is_closed_now() {
            self.count_out();
            return Err(IsClosed);
        }
        Ok(())
    }

    /// Goes out, after [`count_in`](Self::count_in).
    #[inline]
    pub(crate) fn count_out(&self) {
        // ORDERING[door.inside]: as in `go_out`. An addition in between carries it on.
        self.counted.fetch_sub(1, Ordering::Release);
    }

    /// True if somebody may wait for those inside. Called after the caller went out.
    #[inline]
    pub(crate) fn is_waited_for(&self) -> bool {
        !mutated("door.tell_nobody") && self.is_closed_now()
    }

    /// Reads the door's state after what the calling thread has written before.
    #[inline]
    fn is_closed_now(&self) -> bool {
        if !mutated("door.no_light_fence") {
            light_fence();
        }
        self.is_closed()
    }

    /// Closes the door. Whoever is inside then is found by [`inside`](Self::inside).
    #[inline]
    pub(crate) fn close(&self) {
        // ORDERING[door.closed]: partner is the load in `was_closed`; what the closer did before
        // becomes visible.
        self.closed.store(true, Ordering::Release);
        if !mutated("door.no_heavy_fence")
            && let Some(bound) = heavy_fence()
        {
            // A call that came in without a fence may not be seen yet. After the bound it is.
            thread::sleep(bound);
        }
    }

    /// Returns how many are inside of a closed door.
    #[inline]
    pub(crate) fn inside(&self, places: &Places) -> usize {
        // ORDERING[door.inside]: partners are the store in `go_out` and the subtraction in
        // `count_out`.
        let counted = self.counted.load(Ordering::Acquire);
        let is_here =
            |place: &&Place| ptr::eq(place.door.load(Ordering::Acquire), ptr::from_ref(self));
        counted + places.iter().filter(is_here).count()
    }
}

impl Place {
    /// Returns an empty place. Allocates.
    #[inline]
    fn new() -> &'static Self {
        Box::leak(Box::new(Self {
            door: AtomicPtr::new(ptr::null_mut()),
            next: AtomicPtr::new(ptr::null_mut()),
        }))
    }
}

impl Places {
    /// Returns an empty list.
    #[inline]
    pub(crate) fn new() -> Self {
        Self { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Lists a new place. Allocates.
    #[inline]
    pub(crate) fn add(&self) -> &'static Place {
        let place = Place::new();
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            place.next.store(newest, Ordering::Relaxed);
            let new = ptr::from_ref(place).cast_mut();
            // ORDERING[door.listed]: partner is the load in `iter`; the link becomes visible, and
            // the links of older places are carried on.
            match self.newest.compare_exchange(newest, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return place,
                Err(changed) => newest = changed,
            }
        }
    }

    /// Returns all places. One that was added before a call came in by it is among them, if the
    /// door was closed after that call.
    #[inline]
    fn iter(&self) -> impl Iterator<Item = &'static Place> {
        // ORDERING[door.listed]: partner is the exchange in `add`.
        let newest = self.newest.load(Ordering::Acquire);
        // SAFETY: null, or a leaked place.
        let newest = unsafe { newest.as_ref() };
        successors(newest, |place| {
            let next = place.next.load(Ordering::Relaxed);
            // SAFETY: as above.
            unsafe { next.as_ref() }
        })
    }
}
