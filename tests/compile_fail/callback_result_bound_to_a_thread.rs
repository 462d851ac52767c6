//! What C gets is used on any thread, so which types it may have is a promise.

use std::cell::Cell;

use gosched::callback::{CReturn, Otherwise};

#[derive(Clone, Copy)]
struct Shared(&'static Cell<u64>);

fn c_gets<R: CReturn>(_: Otherwise<R>) {}

fn right() {
    c_gets(Otherwise::from(-1_i32));
    c_gets(Otherwise::from(()));
}

impl CReturn for Shared {} //~ E0200

fn main() {
    right();
    let Shared(_) = Shared(Box::leak(Box::new(Cell::new(0))));
}
