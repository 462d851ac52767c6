//! The slabs of one size of stacks: which of them serve, which go, and which are cooled.
//!
//! Under the lock nothing is allocated or freed, and the system is not called; see
//! `stack_pool`.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::OnceLock;

use gosched_runtime_sys::clock::monotonic_ns;
use gosched_runtime_sys::memory::stack::{Guards, Shape, Stack, StackSlab, Unopened};
use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::grow;
use crate::ds::timers::NEVER;

/// How many fresh stacks are opened at a time.
pub(super) const OPEN: u32 = 16;

/// A slab that was whole for so long is unmapped.
pub(super) const IDLE_NS: u64 = 1_000_000_000;

/// Of how many stacks one call of `StackPool::tidy` gives all pages back, some 100 us. The next
/// call is due after [`NEXT_NS`].
const COOLED: usize = 64;
/// See [`COOLED`].
const NEXT_NS: u64 = 1_000_000;

/// Bytes of the first slab, and of the largest. Each new slab is as large as all before it.
const SLAB_BYTES: std::ops::RangeInclusive<usize> = (64 << 20)..=(16 << 30);

/// The stacks of one size.
pub(super) struct SizeClass {
    pub(super) shape: Shape,
    /// The oldest first.
    slabs: Mutex<Vec<Slab>>,
    /// The addresses of the first slab, which is never unmapped.
    pub(super) first_slab: OnceLock<Range<usize>>,
}

struct Slab {
    stacks: StackSlab,
    /// When the slab became whole; `None` while some of its stacks are elsewhere.
    whole_since: Option<u64>,
}

/// What the stacks of a runtime take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackStats {
    /// Bytes of address space, guards included. Memory is what was touched of it.
    pub reserved: usize,
    /// Reservations, which are mappings or parts of one.
    pub slabs: usize,
    /// Stacks with a goroutine on them, or in the cache of a P, where it keeps up to 64 for its
    /// next ones.
    pub taken: usize,
    /// Stacks that wait in their slabs.
    pub idle: usize,
    /// Slabs that were unmapped because nobody needed them any more.
    pub unmapped: u64,
    /// Whether guards cost no mapping (`MADV_GUARD_INSTALL`). If not, each stack costs two.
    pub light_guards: bool,
}

/// The error of a stack that could not be had.
#[derive(Debug)]
struct NoStack {
    size: usize,
    taken: usize,
    guards: Guards,
    error: io::Error,
}

impl fmt::Display for NoStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no memory for a stack of {} bytes beside {} others: {}",
            self.size, self.taken, self.error
        )?;
        match self.guards {
            Guards::Light => Ok(()),
            Guards::Closed => {
                f.write_str(" (each takes two of the mappings that vm.max_map_count limits)")
            }
        }
    }
}

impl std::error::Error for NoStack {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl SizeClass {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, slabs: Mutex::new(Vec::new()), first_slab: OnceLock::new() }
    }

    /// Moves up to `most` idle stacks into `into`; if none is idle, opens fresh ones. Brings at
    /// least one stack, or an error.
    pub(super) fn take(&self, into: &mut Vec<Stack>, most: usize) -> io::Result<()> {
        loop {
            let mut slabs = self.slabs.lock();
            for slab in slabs.iter_mut() {
                while into.len() < most
                    && let Some(stack) = slab.stacks.pop()
                {
                    slab.whole_since = None;
                    into.push(stack);
                }
            }
            if !into.is_empty() {
                return Ok(());
            }
            let claimed = slabs.iter_mut().find_map(|slab| {
                slab.stacks.take_unopened(OPEN).inspect(|_| slab.whole_since = None)
            });
            drop(slabs);
            match claimed {
                Some(unopened) => return self.open(unopened, into),
                None => self.add_slab()?,
            }
        }
    }

    /// Opens fresh stacks. Fails only if none could be opened; those that could not are put back.
    fn open(&self, mut unopened: Unopened, into: &mut Vec<Stack>) -> io::Result<()> {
        let outcome = unopened.open(into);
        if outcome.is_err() {
            let now = monotonic_ns();
            for slab in self.slabs.lock().iter_mut() {
                slab.stacks.put_back(&mut unopened);
                slab.whole_since = slab.whole_since.or(slab.stacks.is_whole().then_some(now));
            }
        }
        if into.is_empty() { outcome.map_err(|error| self.no_stack(error)) } else { Ok(()) }
    }

    fn no_stack(&self, error: io::Error) -> io::Error {
        let taken = self.slabs.lock().iter().map(|slab| slab.stacks.out() as usize).sum();
        let none = NoStack { size: self.shape.size(), taken, guards: self.shape.guards(), error };
        io::Error::new(io::ErrorKind::OutOfMemory, none)
    }

    /// Reserves as many bytes again as there are; fewer if the system refuses that many.
    fn add_slab(&self) -> io::Result<()> {
        let present: usize = self.slabs.lock().iter().map(|slab| slab.stacks.reserved()).sum();
        let bytes = present.clamp(*SLAB_BYTES.start(), *SLAB_BYTES.end());
        let mut count = u32::try_from(bytes / self.shape.stride()).unwrap_or(u32::MAX).max(1);
        let stacks = loop {
            match StackSlab::reserve(self.shape, count) {
                Ok(stacks) => break stacks,
                Err(error) if count == 1 => return Err(self.no_stack(error)),
                Err(_) => count /= 2,
            }
        };
        grow::push(|| self.slabs.lock(), |slabs| slabs, Slab { stacks, whole_since: None });
        let first = self.slabs.lock().first().map(|slab| {
            let base = slab.stacks.base();
            base..base + slab.stacks.reserved()
        });
        // The same for whoever comes here.
        let _known = first.map(|first| self.first_slab.set(first));
        Ok(())
    }

    /// Gives stacks back to their slabs. Returns when a slab that became whole is to be unmapped;
    /// [`NEVER`] if none is.
    pub(super) fn give(&self, stacks: impl Iterator<Item = Stack>) -> u64 {
        let now = monotonic_ns();
        let mut slabs = self.slabs.lock();
        let (mut at, mut due) = (0, NEVER);
        for stack in stacks {
            // Several stacks in a row are mostly of one slab.
            if slabs.get(at).is_none_or(|slab| !slab.stacks.owns(&stack)) {
                at = slabs
                    .iter()
                    .position(|slab| slab.stacks.owns(&stack))
                    .expect("a slab stays until it is whole");
            }
            slabs[at].stacks.push(stack).expect("just looked");
            if slabs[at].stacks.is_whole() {
                slabs[at].whole_since = Some(now);
            }
            due = if at > 0 { now + IDLE_NS } else { due };
        }
        due
    }

    /// True if a slab, other than the first, has idle stacks and others that are elsewhere.
    pub(super) fn is_pinned(&self) -> bool {
        let slabs = self.slabs.lock();
        slabs.iter().skip(1).any(|slab| slab.stacks.idle() > 0 && !slab.stacks.is_whole())
    }

    /// Unmaps the slabs that were whole for a while, except the first slab, and counts them. Cools
    /// others. Returns when the next one is due.
    pub(super) fn tidy(&self, now: u64, unmapped: &mut u64) -> u64 {
        loop {
            let mut slabs = self.slabs.lock();
            let due = |slab: &Slab| slab.whole_since.map_or(NEVER, |since| since + IDLE_NS);
            let Some(at) = slabs.iter().skip(1).position(|slab| due(slab) <= now) else {
                let next = slabs.iter().skip(1).map(due).min().unwrap_or(NEVER);
                drop(slabs);
                return next.min(self.cool(now));
            };
            let slab = slabs.remove(at + 1);
            drop(slabs);
            drop(slab);
            *unmapped += 1;
        }
    }

    /// Gives all pages of some idle stacks back that lie in slabs which are not whole and which
    /// nobody has used since the last call. Returns when there is more to do.
    fn cool(&self, now: u64) -> u64 {
        let mut warm: [Option<Stack>; COOLED] = [const { None }; COOLED];
        let (mut count, mut due) = (0, NEVER);
        for slab in self.slabs.lock().iter_mut().skip(1) {
            if slab.stacks.is_whole() || !slab.stacks.is_warm() {
                continue;
            }
            if !slab.stacks.is_quiet() {
                due = due.min(now + IDLE_NS);
                continue;
            }
            while count < COOLED
                && let Some(stack) = slab.stacks.pop_warm()
            {
                warm[count] = Some(stack);
                count += 1;
            }
            if slab.stacks.is_warm() {
                due = due.min(now + NEXT_NS);
            }
        }
        let cooled = &mut warm[..count];
        Stack::discard_below(cooled.iter_mut().flatten(), 0);
        let nothing_cooled = count == 0;
        let mut slabs = self.slabs.lock();
        for stack in cooled.iter_mut().filter_map(Option::take) {
            let slab = slabs.iter_mut().find(|slab| slab.stacks.owns(&stack));
            let slab = slab.expect("a slab stays until it is whole");
            slab.stacks.push_cold(stack).expect("just looked");
            if slab.stacks.is_whole() {
                slab.whole_since = Some(now);
                due = due.min(now + IDLE_NS);
            } else if slab.stacks.has_new_cold() {
                due = due.min(now + NEXT_NS);
            }
        }
        drop(slabs);
        if nothing_cooled { due.min(self.give_tables_back(now)) } else { due }
    }

    /// Gives the page tables of a run of cold stacks back. Returns when there is more to do.
    fn give_tables_back(&self, now: u64) -> u64 {
        let of_cold = |slab: &mut Slab| slab.stacks.has_new_cold() && !slab.stacks.is_whole();
        let room = self
            .slabs
            .lock()
            .iter_mut()
            .skip(1)
            .find_map(|slab| of_cold(slab).then(|| slab.stacks.room_for_cold()));
        let Some(room) = room else { return NEVER };
        let list = Vec::with_capacity(room);
        let taken = self
            .slabs
            .lock()
            .iter_mut()
            .skip(1)
            .find_map(|slab| {
                let fits = of_cold(slab) && slab.stacks.room_for_cold() <= room;
                fits.then_some(slab)
            })
            .map(|slab| slab.stacks.take_cold(list));
        let Some(mut cold) = taken else { return now + NEXT_NS };
        cold.reset_one();
        let mut slabs = self.slabs.lock();
        let _dropped_without_the_lock = slabs.iter_mut().find_map(|slab| {
            let list = slab.stacks.put_cold_back(&mut cold)?;
            if slab.stacks.is_whole() {
                slab.whole_since = Some(now);
            }
            Some(list)
        });
        drop(slabs);
        now + NEXT_NS
    }

    pub(super) fn stack_at(&self, address: usize) -> Option<Range<usize>> {
        self.slabs.lock().iter().find_map(|slab| slab.stacks.stack_at(address))
    }

    pub(super) fn count(&self, stats: &mut StackStats) {
        for slab in self.slabs.lock().iter() {
            stats.reserved += slab.stacks.reserved();
            stats.slabs += 1;
            stats.taken += slab.stacks.out() as usize;
            stats.idle += slab.stacks.idle() as usize;
        }
    }
}
