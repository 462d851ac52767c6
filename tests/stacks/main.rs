//! What goroutines' stacks take, where they end, and what happens when a resource is exhausted.

mod big_values;
mod deep;
mod depths;
mod limits;
mod memory;
