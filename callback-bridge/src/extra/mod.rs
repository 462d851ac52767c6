//! What belongs to a process: the list of extra Ms, the Ms, and who is inside of which bridge.

pub(crate) mod door;
pub(crate) mod entrance;
pub(crate) mod line;
pub(crate) mod list;
pub(crate) mod m;
pub(crate) mod process;
pub(crate) mod room;
pub(crate) mod stock;
