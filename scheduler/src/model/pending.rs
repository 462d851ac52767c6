//! Two publishers, and a helper that is on its way: what is pushed is seen by some helper.

use gosched_runtime_sys::sync::lock::Mutex;
use gosched_runtime_sys::sync::primitive::{Arc, thread};

use super::models;
use crate::ds::pending::Pending;

struct Queue {
    /// What was pushed and not taken.
    pushed: usize,
    /// Helpers that were sent and have not looked.
    helpers: usize,
}

struct World {
    pending: Pending,
    queue: Mutex<Queue>,
}

impl World {
    fn publish(&self) {
        self.queue.lock().pushed += 1;
        if self.pending.begin() {
            self.queue.lock().helpers += 1;
        }
    }

    /// A helper takes one, and sends another helper if there are more.
    fn help(&self) {
        self.queue.lock().helpers -= 1;
        let left = self.pending.look(|| {
            let mut queue = self.queue.lock();
            queue.pushed = queue.pushed.saturating_sub(1);
            queue.pushed
        });
        if left > 0 && self.pending.begin() {
            self.queue.lock().helpers += 1;
        }
    }
}

fn two_publish_while_one_comes() {
    let world = Arc::new(World {
        pending: Pending::new(),
        queue: Mutex::new(Queue { pushed: 0, helpers: 0 }),
    });
    world.publish();
    let publishers = [0, 1].map(|_| {
        let world = Arc::clone(&world);
        thread::spawn(move || world.publish())
    });
    world.help();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    while world.queue.lock().helpers > 0 {
        world.help();
    }
    assert_eq!(world.queue.lock().pushed, 0, "left, and no helper comes");
}

models! {
    holds two_publishers = two_publish_while_one_comes;
    catches a_helper_that_looks_before_it_arrives = "pending.arrives_after_its_look"
        in two_publish_while_one_comes;
}
