//! The limits without HTTP: what was decided, what is remembered, and what stands in for a store
//! that fails.

pub(crate) mod decision;
pub(crate) mod local_denials;
pub(crate) mod on_store_error;
