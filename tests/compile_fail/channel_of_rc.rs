//! The ends of a channel may go to another thread only if its items may.

use gosched::chan::bounded;
use std::rc::Rc;

fn right() {
    let (sender, receiver) = bounded::<Box<u8>>(1);
    gosched::go(move || drop(sender));
    gosched::go(move || drop(receiver));
}

fn wrong() {
    let (sender, _receiver) = bounded::<Rc<u8>>(1);
    gosched::go(move || drop(sender)); //~ E0277
}

fn wrong_too() {
    let (_sender, receiver) = bounded::<Rc<u8>>(1);
    gosched::go(move || drop(receiver)); //~ E0277
}

fn main() {
    right();
    wrong();
    wrong_too();
}
