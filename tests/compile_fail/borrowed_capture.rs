//! A goroutine outlives the call that started it, so it borrows nothing from there.

fn right() {
    let words = vec![1, 2];
    gosched::go(move || words.len());
}

fn wrong() {
    let words = vec![1, 2];
    gosched::go(|| words.len()); //~ E0373
}

fn wrong_in_an_argument(words: &[u8]) {
    gosched::go(move || words.len()); //~ E0521
}

fn main() {
    right();
    wrong();
    wrong_in_an_argument(&[1]);
}
