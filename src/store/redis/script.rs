//! Lua scripts: their sources and digests.

use std::sync::OnceLock;

use deadpool_redis::redis;

/// A script that stands beside its operation, called by its digest.
#[derive(Debug)]
pub(crate) struct Script {
    source: &'static str,
    sha: OnceLock<Box<str>>,
}

/// What a new connection gives to its server, by kind of data.
pub(crate) type Scripts = &'static [&'static [&'static Script]];

impl Script {
    pub(crate) const fn new(source: &'static str) -> Self {
        Self {
            source,
            sha: OnceLock::new(),
        }
    }

    pub(crate) fn source(&self) -> &'static str {
        self.source
    }

    pub(crate) fn sha(&self) -> &str {
        self.sha
            .get_or_init(|| redis::Script::new(self.source).get_hash().into())
    }
}
