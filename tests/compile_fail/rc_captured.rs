//! The captured values of a goroutine go to another thread before it starts.

use std::rc::Rc;
use std::sync::Arc;

fn right(shared: Arc<u8>) {
    gosched::go(move || drop(shared));
}

fn wrong(shared: Rc<u8>) {
    gosched::go(move || drop(shared)); //~ E0277
}

fn main() {
    right(Arc::new(1));
    wrong(Rc::new(1));
}
