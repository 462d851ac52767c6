//! The ends of a channel may go to another thread only if its items may.

use gosched::chan::{Select, bounded};
use std::rc::Rc;

fn right() {
    let (sender, receiver) = bounded::<Box<u8>>(1);
    gosched::go(move || drop(sender));
    gosched::go(move || drop(receiver));

    let (sender, receiver) = bounded::<Box<u8>>(1);
    let mut select = Select::new();
    select.recv(&receiver);
    let sends = select.send(&sender, Box::new(1));
    let _had = select.put(sends, &sender, Box::new(2));
    std::thread::scope(|scope| drop(scope.spawn(|| select.select().index())));
}

fn wrong() {
    let (sender, _receiver) = bounded::<Rc<u8>>(1);
    gosched::go(move || drop(sender)); //~ E0277
}

fn wrong_too() {
    let (_sender, receiver) = bounded::<Rc<u8>>(1);
    gosched::go(move || drop(receiver)); //~ E0277
}

fn wrong_in_a_list() {
    let (sender, receiver) = bounded::<Rc<u8>>(1);
    let mut select = Select::new();
    select.recv(&receiver); //~ E0277
    select.send(&sender, Rc::new(1)); //~ E0277
    select.put(0, &sender, Rc::new(2)); //~ E0277
}

fn main() {
    right();
    wrong();
    wrong_too();
    wrong_in_a_list();
}
