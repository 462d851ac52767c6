//! A goroutine of a scope stays in the scope, and borrows only from outside of it.

use std::rc::Rc;

fn right() {
    let words = vec![1, 2];
    let mut count = 0;
    gosched::scope(|s| {
        s.go(|| count = words.len());
        let inner = s.go(|| s.go(|| words.len()).join());
        inner.join()
    })
    .unwrap()
    .unwrap();
    drop((words, count));
}

fn the_handle_escapes() {
    let mut escaped = None;
    gosched::scope(|s| {
        escaped = Some(s.go(|| 1)); //~ E0521
    });
    drop(escaped);
}

fn it_borrows_from_inside() {
    gosched::scope(|s| {
        let words = vec![1, 2];
        s.go(|| words.len()); //~ E0373
    });
}

fn two_write() {
    let mut count = 0;
    gosched::scope(|s| {
        s.go(|| count += 1);
        s.go(|| count += 1); //~ E0499
    });
}

fn what_cannot_be_sent() {
    let shared = Rc::new(1);
    gosched::scope(|s| {
        s.go(|| *shared); //~ E0277
    });
}

fn the_borrowed_is_used_meanwhile() {
    let mut words = vec![1, 2];
    gosched::scope(|s| {
        s.go(|| words.push(3));
        words.push(4); //~ E0499
    });
}

fn main() {
    right();
    the_handle_escapes();
    it_borrows_from_inside();
    two_write();
    what_cannot_be_sent();
    the_borrowed_is_used_meanwhile();
}
