//! The numbers of goroutines: unique in the process, callbacks included.

use std::sync::Mutex;
use std::thread;

use gosched::callback::{Binding, Bridge};
use gosched::{Runtime, go, goroutine};
use test_support::modes;

/// Each callback is a goroutine of its own, with a number that no other has.
#[test]
fn each_callback_has_its_own_number() {
    for binding in [Binding::PerCall, Binding::UntilThreadExit] {
        for mode in modes() {
            let rt = Runtime::builder(mode).procs(2).build().expect("a runtime");
            let bridge = Bridge::new(&rt).with_binding(binding);
            let ids = Mutex::new(Vec::new());
            let number = || goroutine::current_id().expect("it is a goroutine");
            thread::scope(|threads| {
                for _ in 0..4 {
                    threads.spawn(|| {
                        for _ in 0..200 {
                            let (first, again) =
                                bridge.enter(|| (number(), number())).expect("it enters");
                            assert_eq!(first, again);
                            let goroutine = bridge.enter(|| go(number)).expect("it enters");
                            let mut ids = ids.lock().expect("no panic");
                            ids.extend([first, goroutine.join().expect("no panic")]);
                        }
                    });
                }
            });
            let mut ids = ids.into_inner().expect("no panic");
            ids.sort_unstable();
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count, "{mode:?}, {binding:?}");
        }
    }
}
