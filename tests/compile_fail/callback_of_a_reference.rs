//! A callback's arguments are what C has: a pointer may be dangling, and a reference may not.

use gosched::callback::{Callback, Signature};

fn callback<S: Signature>(_: Option<Callback<S>>) {}

fn right() {
    callback::<fn(*const u8) -> u8>(None);
}

fn wrong() {
    callback::<fn(&'static u8) -> u8>(None); //~ E0277
}

fn main() {
    let _ = (right as fn(), wrong as fn());
}
