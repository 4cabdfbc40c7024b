//! A request that goes past the cache.

use std::sync::Arc;

use http::Response;

use crate::cache::{body::CacheBody, cache_status::CacheStatus, policy::Forward, state::State};

/// What the response to a request needs that goes past the cache: its `Cache-Status`.
pub(crate) struct Pass {
    pub(crate) state: Arc<State>,
    pub(crate) forward: Forward,
}

impl Pass {
    /// Adds `Cache-Status` to the response.
    pub(crate) fn finish<B>(self, mut response: Response<CacheBody<B>>) -> Response<CacheBody<B>> {
        let status = CacheStatus {
            forward_status: Some(response.status()),
            ..CacheStatus::forward(self.forward)
        };
        status.append_to(response.headers_mut(), &self.state.options.name);
        response
    }
}
