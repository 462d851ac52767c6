//! The modes that share a thread among goroutines need a promise, which only `unsafe` can give.

use gosched::Mode;

fn right() {
    drop(Mode::threads());
    drop(unsafe { Mode::settled() });
    drop(unsafe { Mode::migratory() });
}

fn wrong() {
    drop(Mode::settled()); //~ E0133
    drop(Mode::migratory()); //~ E0133
}

fn main() {
    right();
    wrong();
}
