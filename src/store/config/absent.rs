//! What stands in the place of servers in a build without Redis: none can be configured.

use std::{convert::Infallible, fmt};

use super::{ConfigError, pieces::Pieces};
use crate::store::Store;

/// There is none.
#[derive(Clone)]
pub(super) struct Server(Infallible);

impl Server {
    pub(super) fn from_url(_: &str) -> Result<Self, &'static str> {
        Err("expected memory: this build has no feature `redis`")
    }

    pub(super) fn from_pieces(_: Pieces) -> Result<Self, ConfigError> {
        Err(ConfigError::Incomplete {
            name: "REDIS_HOST",
            expected: "expected it to be unset: this build has no feature `redis`",
        })
    }

    pub(super) fn is_tls(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn store(self, _: usize, _: Option<&[u8]>) -> Result<Store, ConfigError> {
        match self.0 {}
    }
}

impl fmt::Display for Server {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {}
    }
}

#[cfg(test)]
mod tests {
    use crate::StoreConfig;

    #[test]
    fn a_server_is_refused_by_a_build_that_cannot_reach_it() {
        for name in ["REDIS_URL", "REDIS_HOST", "REDIS_PASSWORD"] {
            let config =
                StoreConfig::from_vars(|asked| (asked == name).then(|| "localhost".to_owned()));
            let error = config.unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
