//! A thread lock belongs to the thread that it was made on.

fn right() {
    gosched::go(|| drop(gosched::lock_thread()));
}

fn wrong() {
    let locked = gosched::lock_thread();
    gosched::go(move || drop(locked)); //~ E0277
}

fn main() {
    right();
    wrong();
}
