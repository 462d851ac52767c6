//! A goroutine that may change threads needs a promise, which only `unsafe` can give.

fn right() {
    drop(unsafe { gosched::go_migratory(|| 1) });
}

fn wrong() {
    drop(gosched::go_migratory(|| 1)); //~ E0133
}

fn main() {
    right();
    wrong();
}
