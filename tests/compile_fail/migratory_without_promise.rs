//! A goroutine that may change threads wants a promise, which only `unsafe` can give.

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
