//! Tests of the stack pool: the stacks that it keeps, and the memory that it gives back.
//!
//! # Safety
//!
//! A test writes only to stacks that it owns, inside their bounds.
#![expect(unsafe_code, reason = "uses stacks without running on them")]

use super::*;

const SIZE: usize = 64 << 10;

fn pool() -> StackPool {
    StackPool::new(Shape::new(SIZE, Guards::available()).expect("a shape"))
}

fn taken(pool: &StackPool, cache: &mut StackCache, n: usize) -> Vec<Stack> {
    (0..n).map(|_| cache.get(pool, None).expect("a stack")).collect()
}

/// Writes to the stack's page that lies `below` bytes below its end.
fn use_page(stack: &Stack, below: usize) {
    let byte = std::ptr::with_exposed_provenance_mut::<u8>(stack.end() - below);
    // SAFETY: the address is inside a stack that the test owns.
    unsafe { byte.write_volatile(1) };
}

#[test]
fn the_stack_used_last_is_the_next() {
    let (pool, mut cache) = (pool(), StackCache::new());
    let mut stacks = taken(&pool, &mut cache, 3);
    let last = stacks.pop().expect("three");
    let end = last.end();
    stacks.into_iter().chain([last]).for_each(|stack| cache.put(&pool, stack));
    assert_eq!(cache.get(&pool, None).expect("a stack").end(), end);
}

#[test]
fn a_cache_keeps_few_and_two_meet_in_the_pool() {
    let (pool, mut one, mut other) = (pool(), StackCache::new(), StackCache::new());
    let stacks = taken(&pool, &mut one, 200);
    let before = pool.stats();
    stacks.into_iter().for_each(|stack| one.put(&pool, stack));
    assert!(one.stacks.len() <= CACHE && pool.stats().idle >= 200 - CACHE, "{:?}", pool.stats());
    let _again = taken(&pool, &mut other, 200 - CACHE);
    assert_eq!(
        (pool.stats().reserved, pool.stats().slabs),
        (before.reserved, before.slabs),
        "nothing new was needed"
    );
}

#[test]
fn slabs_grow_with_what_is_there() {
    let (pool, mut cache) = (pool(), StackCache::new());
    let mut before = StackStats::default();
    let mut stacks = Vec::new();
    while stacks.len() < 2000 {
        stacks.push(cache.get(&pool, None).expect("a stack"));
        let now = pool.stats();
        if now.slabs > before.slabs {
            // As large as all slabs before, except for bytes that do not fill a stack.
            assert!(now.reserved + (256 << 10) >= 2 * before.reserved, "{before:?} {now:?}");
            before = now;
        }
    }
    let now = pool.stats();
    assert!(now.slabs <= 6 && now.taken >= 2000, "{now:?}");
}

#[test]
#[cfg_attr(gosched_no_mincore, ignore = "the part is taken away")]
fn deep_pages_of_idle_stacks_are_given_back() {
    let (pool, mut cache) = (pool(), StackCache::new());
    let stacks = taken(&pool, &mut cache, 3 * CACHE);
    for stack in &stacks {
        use_page(stack, 1);
        use_page(stack, SIZE);
    }
    let depths = |stacks: &[Stack]| stacks.iter().map(Stack::depth).max();
    assert_eq!(depths(&stacks), Some(SIZE));
    stacks.into_iter().for_each(|stack| cache.put(&pool, stack));
    cache.tidy();
    assert_eq!(depths(&cache.stacks), Some(4096), "what waits here");
    let stacks = taken(&pool, &mut cache, 3 * CACHE);
    assert_eq!(depths(&stacks), Some(4096), "what went through the pool");
}

#[test]
#[cfg_attr(gosched_no_mincore, ignore = "the part is taken away")]
fn a_busy_cache_gives_them_back_now_and_then() {
    let (pool, mut cache) = (pool(), StackCache::new());
    let stacks = taken(&pool, &mut cache, 4);
    stacks.iter().for_each(|stack| use_page(stack, SIZE));
    stacks.into_iter().for_each(|stack| cache.put(&pool, stack));
    assert!(cache.stacks.iter().any(|stack| stack.depth() == SIZE));
    for _ in 0..TIDY_EVERY {
        let stack = cache.get(&pool, None).expect("a stack");
        cache.put(&pool, stack);
    }
    assert!(cache.stacks.iter().all(|stack| stack.depth() == 0));
}

#[test]
fn slabs_that_nobody_needs_are_unmapped() {
    let (pool, mut cache) = (pool(), StackCache::new());
    let stacks = taken(&pool, &mut cache, 2000);
    let peak = pool.stats();
    let survivor = {
        let mut stacks = stacks.into_iter();
        let survivor = stacks.next().expect("2000");
        stacks.for_each(|stack| cache.put(&pool, stack));
        survivor
    };
    drop(std::mem::replace(&mut cache, StackCache::new()));
    pool.tidy(monotonic_ns());
    assert_eq!(pool.stats().slabs, peak.slabs, "they may be needed again at once");
    pool.tidy(monotonic_ns() + IDLE_NS);
    let after = pool.stats();
    assert!(after.slabs < peak.slabs && after.unmapped > 0, "{peak:?} {after:?}");
    cache.put(&pool, survivor);
    let _again = taken(&pool, &mut cache, 2000);
}

/// A stack that stays in use keeps its slab, and not the memory of the stacks beside it.
#[test]
#[cfg_attr(gosched_no_mincore, ignore = "the part is taken away")]
fn beside_a_stack_in_use_the_memory_is_given_back() {
    let (pool, mut cache) = (pool(), StackCache::new());
    let mut stacks = taken(&pool, &mut cache, 2000);
    stacks.iter().for_each(|stack| use_page(stack, 1));
    let places: Vec<_> = stacks.iter().map(|stack| stack.limit()..stack.end()).collect();
    // In the last slab, which is the largest.
    let survivor = stacks.remove(1500);
    let lives = survivor.limit();
    stacks.into_iter().for_each(|stack| cache.put(&pool, stack));
    cache.come_to_rest(&pool);
    // Another test may have mapped memory since where a slab was unmapped.
    let in_memory = || {
        let ours = places.iter().filter(|place| pool.stack_at(place.start).is_some());
        ours.filter(|place| gosched_runtime_sys::memory::stack::used((*place).clone()) > 0).count()
    };
    assert!(in_memory() > 1900, "they may be needed again at once");
    let mut now = monotonic_ns();
    for _ in 0..500 {
        now += IDLE_NS;
        pool.tidy(now);
    }
    let first = pool.usual.first_slab.get().cloned().expect("there is one");
    let of_first = places.iter().filter(|place| first.contains(&place.start)).count();
    assert!(in_memory() <= of_first + 1, "{} of {of_first} and one", in_memory());
    assert_eq!(pool.due(), NEVER, "there is nothing more to do");
    assert!(survivor.depth() >= 4096, "it is in use");
    // They all serve again, with their guards, and none twice.
    let mut again = taken(&pool, &mut cache, 4000);
    again.iter().for_each(|stack| use_page(stack, SIZE));
    again.sort_by_key(Stack::limit);
    assert!(again.windows(2).all(|pair| pair[0].end() < pair[1].limit()));
    assert!(again.iter().all(|stack| stack.limit() != lives));
    cache.put(&pool, survivor);
}

#[test]
fn a_busy_cache_comes_to_rest_when_it_is_asked() {
    let (pool, mut cache, mut other) = (pool(), StackCache::new(), StackCache::new());
    let mut stacks = taken(&pool, &mut other, 2000);
    let few = stacks.split_off(1990);
    few.into_iter().for_each(|stack| cache.put(&pool, stack));
    stacks.into_iter().for_each(|stack| other.put(&pool, stack));
    other.come_to_rest(&pool);
    cache.rest_if_asked(&pool);
    assert_eq!(cache.stacks.len(), 10, "nobody has asked");
    pool.tidy(monotonic_ns() + IDLE_NS);
    cache.rest_if_asked(&pool);
    assert_eq!(cache.stacks.len(), 0);
}

#[test]
fn other_sizes_are_kept_apart() {
    let (pool, mut cache) = (pool(), StackCache::new());
    let large = cache.get(&pool, Some(1 << 20)).expect("a stack");
    let usual = cache.get(&pool, Some(SIZE - 1)).expect("a stack");
    assert_eq!((large.size(), usual.size()), (1 << 20, SIZE));
    let end = large.end();
    cache.put(&pool, large);
    cache.put(&pool, usual);
    assert_eq!(cache.get(&pool, None).expect("a stack").size(), SIZE);
    assert_eq!(cache.get(&pool, Some(1 << 20)).expect("a stack").end(), end, "it was kept");
}

#[test]
fn no_stack_is_an_error_that_says_so() {
    let pool = StackPool::new(Shape::new(1 << 46, Guards::available()).expect("a shape"));
    let mut cache = StackCache::new();
    // A few such stacks fit into the address space.
    let error = (0..64).try_for_each(|_| cache.get(&pool, None).map(std::mem::forget));
    let error = error.expect_err("more than a machine has");
    assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
    assert!(
        error.to_string().starts_with("no memory for a stack of 70368744177664 bytes"),
        "{error}"
    );
}
