//! A closure for `blocking` may run on another thread: it borrows from the caller, and takes
//! nothing that is bound to a thread.

use std::rc::Rc;

fn right(words: &[u8]) -> usize {
    gosched::blocking(|| words.len())
}

fn wrong() {
    let shared = Rc::new(1);
    gosched::blocking(move || *shared); //~ E0277
}

fn wrong_result() {
    gosched::blocking(|| Rc::new(1)); //~ E0277
}

fn main() {
    right(&[1]);
    wrong();
    wrong_result();
}
