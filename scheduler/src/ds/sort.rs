//! Sorting in place, by a few lines that are compiled for each type.
//!
//! *Rejected.* std's sorts: an unoptimised build spends 40 milliseconds on each type that one of
//! them is used with. What is sorted here is what a report shows.

/// From how many on a heap is faster than insertion.
const MANY: usize = 32;

/// Sorts `items` by a key. Equal ones come in any order.
pub(crate) fn by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    let mut ordered = 1;
    if items.len() < MANY {
        while ordered < items.len() {
            let mut at = ordered;
            while at > 0 && key(&items[at]) < key(&items[at - 1]) {
                items.swap(at, at - 1);
                at -= 1;
            }
            ordered += 1;
        }
        return;
    }
    let mut root = items.len() / 2;
    while root > 0 {
        root -= 1;
        sift(items, root, &key);
    }
    let mut left = items.len();
    while left > 1 {
        left -= 1;
        items.swap(0, left);
        sift(&mut items[..left], 0, &key);
    }
}

/// Moves the item at `at` down a heap that has the greatest at its top.
fn sift<T, K: Ord>(items: &mut [T], mut at: usize, key: &impl Fn(&T) -> K) {
    loop {
        let mut child = 2 * at + 1;
        if child >= items.len() {
            return;
        }
        if child + 1 < items.len() && key(&items[child]) < key(&items[child + 1]) {
            child += 1;
        }
        if key(&items[child]) <= key(&items[at]) {
            return;
        }
        items.swap(at, child);
        at = child;
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::{MANY, by_key};

    #[test]
    fn it_agrees_with_std() {
        let mut random = 1_u32;
        for len in (0..100).chain([1000, MANY, MANY - 1]) {
            let mut ours: Vec<_> = (0..len)
                .map(|_| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    random >> 24
                })
                .collect();
            let mut theirs = ours.clone();
            by_key(&mut ours, |item| u32::MAX - item);
            theirs.sort_by_key(|item| u32::MAX - item);
            assert_eq!(ours, theirs);
        }
    }
}
