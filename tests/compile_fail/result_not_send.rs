//! The joiner takes a goroutine's result, on another thread.

use std::rc::Rc;

fn right() {
    // An `Rc` that never leaves the goroutine is no result.
    gosched::go(|| *Rc::new(1));
}

fn wrong() {
    gosched::go(|| Rc::new(1)); //~ E0277
}

fn main() {
    right();
    wrong();
}
