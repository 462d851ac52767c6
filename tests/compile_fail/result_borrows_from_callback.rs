//! `enter` runs its closure on the calling thread: the closure may borrow, and its result may not
//! borrow from inside the closure.

use gosched::callback::Bridge;
use std::rc::Rc;

fn right(bridge: &Bridge, words: &mut Vec<u8>, here: &Rc<u8>) {
    drop(bridge.enter(|| words.push(**here)));
}

fn wrong(bridge: &Bridge) {
    drop(bridge.enter(|| {
        let inside = vec![1];
        inside.as_slice() //~ E0515
    }));
}

fn main() {
    let both: fn(&Bridge) = wrong;
    let _ = (right as fn(&Bridge, &mut Vec<u8>, &Rc<u8>), both);
}
