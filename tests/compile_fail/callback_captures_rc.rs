//! C may call a callback from any thread: what it captures goes there.

use gosched::callback::Callback;
use gosched::Handle;
use std::rc::Rc;
use std::sync::Arc;

fn right(handle: Handle, shared: Arc<u8>) {
    drop(Callback::<fn(u8) -> u8>::new(handle, 0, move |n: u8| n + *shared));
}

fn wrong(handle: Handle, shared: Rc<u8>) {
    let f = move |n: u8| n + *shared;
    drop(Callback::<fn(u8) -> u8>::new(handle, 0, f)); //~ E0277
}

fn main() {
    let _ = (right as fn(Handle, Arc<u8>), wrong as fn(Handle, Rc<u8>));
}
