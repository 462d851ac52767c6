//! The names of goroutines, for reports.
//!
//! A goroutine's name is freed when the goroutine ends, perhaps while another thread reads it. So a
//! table under a lock lists the names of those goroutines that have one; a goroutine without a name
//! pays nothing. A reader clones the `Arc` of each name under the lock, and drops the clones
//! without the lock. A clone may be the last, and then its drop frees the name.
//!
//! Rejected: a pointer to the name in the G's record, because readers would follow it while the
//! name is freed; names that are never freed; a copy of fixed length in each record, for which 10^6
//! nameless goroutines would pay.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use gosched_runtime_sys::sync::lock::Mutex;

use crate::ds::grow;

/// A goroutine's name.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) text: Box<str>,
    /// The goroutine's number; zero before the goroutine has one.
    id: AtomicU64,
}

impl Name {
    /// Returns the number of the goroutine that has this name.
    pub(crate) fn id(&self) -> u64 {
        self.id.load(Relaxed)
    }

    /// Sets the goroutine's number.
    pub(crate) fn set_id(&self, id: u64) {
        self.id.store(id, Relaxed);
    }
}

/// A place in the table.
enum Place {
    Taken(Arc<Name>),
    /// With the next vacant place, if there is one.
    Vacant(Option<usize>),
}

struct NameTable {
    /// As many places as there were names at the same time. Never shrinks.
    places: Vec<Place>,
    /// The first vacant place, if there is one.
    vacant: Option<usize>,
    taken: usize,
}

/// The names of a runtime's goroutines.
pub(crate) struct Names(Mutex<NameTable>);

/// A name in the table. Dropping this removes the name.
pub(crate) struct NameEntry {
    name: Arc<Name>,
    names: Arc<Names>,
    place: usize,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(NameTable { places: Vec::new(), vacant: None, taken: 0 }))
    }

    /// Adds a name for a goroutine that is about to be spawned.
    pub(crate) fn enter(self: &Arc<Self>, text: Box<str>) -> NameEntry {
        let name = Arc::new(Name { text, id: AtomicU64::new(0) });
        let theirs = name.clone();
        let place = grow::with_room(
            || self.0.lock(),
            |table| &mut table.places,
            move |table| {
                table.taken += 1;
                let Some(vacant) = table.vacant else {
                    table.places.push(Place::Taken(theirs));
                    return table.places.len() - 1;
                };
                let before = mem::replace(&mut table.places[vacant], Place::Taken(theirs));
                let Place::Vacant(next) = before else {
                    unreachable!("the list is of vacant places")
                };
                table.vacant = next;
                vacant
            },
        );
        NameEntry { name, names: self.clone(), place }
    }

    /// Returns all names of this moment, in the order of their goroutines' numbers.
    pub(crate) fn all(&self) -> Vec<Arc<Name>> {
        let mut all = Vec::new();
        loop {
            let table = self.0.lock();
            if all.capacity() >= table.taken {
                // Within the capacity, so nothing is allocated under the lock.
                all.extend(table.places.iter().filter_map(|place| match place {
                    Place::Taken(name) => Some(name.clone()),
                    Place::Vacant(_) => None,
                }));
                drop(table);
                all.sort_unstable_by_key(|name| name.id());
                return all;
            }
            let wanted = table.taken;
            drop(table);
            all.reserve(wanted + wanted / 8);
        }
    }
}

impl NameEntry {
    /// Returns the name.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }
}

impl Drop for NameEntry {
    fn drop(&mut self) {
        let mut table = self.names.0.lock();
        let next = table.vacant.replace(self.place);
        let left = mem::replace(&mut table.places[self.place], Place::Vacant(next));
        table.taken -= 1;
        drop(table);
        // This may be the last share of the name, and frees it: not under the lock.
        drop(left);
    }
}

#[cfg(all(test, not(gosched_loom)))]
mod tests {
    use super::*;

    fn listed(names: &Names) -> Vec<(u64, String)> {
        names.all().iter().map(|name| (name.id(), name.text.to_string())).collect()
    }

    #[test]
    fn a_name_is_listed_until_it_goes_and_its_place_is_used_again() {
        let names = Arc::new(Names::new());
        let mut entry: Vec<NameEntry> =
            (1..=5).map(|id| names.enter(format!("g{id}").into())).collect();
        entry.iter().zip([9, 2, 7, 1, 5]).for_each(|(entry, id)| entry.name().set_id(id));
        let expected = [(1, "g4"), (2, "g2"), (5, "g5"), (7, "g3"), (9, "g1")];
        assert_eq!(listed(&names), expected.map(|(id, text)| (id, text.to_owned())));
        drop(entry.drain(1..4));
        assert_eq!(listed(&names), [(5, "g5".to_owned()), (9, "g1".to_owned())]);
        let again: Vec<NameEntry> = (0..3).map(|_| names.enter("again".into())).collect();
        assert_eq!(names.0.lock().places.len(), 5, "the places of those that went");
        drop((entry, again));
        assert!(listed(&names).is_empty());
    }
}
