//! Pages about sessions that belong to no single item.

#[doc = include_str!("asvs.md")]
pub mod asvs {}

#[doc = include_str!("migration.md")]
pub mod migration {}

#[doc = include_str!("device_bound.md")]
pub mod device_bound {}
