//! The typed key-value cache.
