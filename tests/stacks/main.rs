//! What goroutines' stacks take, where they end, and what happens when there is no more of
//! something.

mod big_values;
mod deep;
mod depths;
mod limits;
mod memory;
