//! Several goroutines and one outcome: errors of joins, sets, scopes and groups that fail together.

mod conservation;
mod group;
mod join_error;
mod join_set;
mod scope_try;
