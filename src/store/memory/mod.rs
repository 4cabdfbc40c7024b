//! Embedded memory: bounded tables whose entries expire, and the task that sweeps them. What they
//! hold is not known here.

mod budget;
mod list;
mod live;
mod shard;
mod sketch;
mod sweeper;
mod table;
mod walk;
mod weigh;

pub(crate) use live::{Live, replace};
pub(crate) use sweeper::{Reclaim, Swept};
pub(crate) use table::{Holds, Table};
pub(crate) use walk::{Walk, walk};
pub(crate) use weigh::{Weigh, exact, heap};
