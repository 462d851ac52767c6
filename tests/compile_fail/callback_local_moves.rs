//! A closure that is bound to its thread ends there: its owner stays.

use gosched::callback::{Callback, LocalCallback};
use std::thread;

fn right(callback: Callback<fn(u8) -> u8>) {
    thread::spawn(move || drop(callback));
}

fn wrong(callback: LocalCallback<fn(u8) -> u8>) {
    let f = move || drop(callback);
    thread::spawn(f); //~ E0277
}

fn main() {
    let _ = (right as fn(_), wrong as fn(_));
}
