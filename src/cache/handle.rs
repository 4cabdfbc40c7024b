//! Purging what a cache has stored, from the application.

use std::{fmt, sync::Arc};

use http::{Uri, request};

use super::{invalidation::Hidden, policy::Tag, state::State};
use crate::store::{Key, StoreError};

/// Purges what a cache has stored, by tag or by URI: [`CacheLayer::handle`](super::CacheLayer::handle).
///
/// A purge costs the same however many responses it concerns. A response that was asked for before
/// it reaches at most its own client, in whatever process.
///
/// ```
/// use axum::{Router, body::Body, http::Request, routing::get};
/// use tower::ServiceExt as _;
/// use tower_keep::{Store, cache::{CacheLayer, Purged}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache = CacheLayer::new(Store::memory());
/// let purges = cache.handle();
/// let product = get(|| async { ([("cache-control", "max-age=600"), ("cache-tag", "product-7")], "7") });
/// let app: Router = Router::new().route("/products/7", product).layer(cache);
///
/// let get = || Request::get("/products/7").body(Body::empty()).unwrap();
/// # for _ in 0..2 {
/// let response = app.clone().oneshot(get()).await.unwrap();
/// # axum::body::to_bytes(response.into_body(), 100).await.unwrap();
/// # }
/// assert_eq!(purges.purge_tags(["product-7"]).await, Purged::Everywhere);
/// let response = app.oneshot(get()).await.unwrap();
/// let status = response.headers()["cache-status"].to_str().unwrap();
/// assert!(status.contains("fwd=uri-miss"), "{status}");
/// # }
/// ```
#[derive(Clone)]
pub struct CacheHandle {
    pub(super) state: Arc<State>,
}

/// How far a purge has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Purged {
    /// The store has taken it: no process uses what was purged.
    Everywhere,
    /// The store has not taken it yet. This process does not use what was purged, and repeats the
    /// purge until the store takes it; other processes may use it until then.
    HereOnly,
}

impl CacheHandle {
    /// Purges every response that has one of these tags. `Surrogate-Key`, `xkey`, `Cache-Tag` and
    /// `Cache-Groups` (RFC 9875) name tags, in one namespace; names are compared as they are.
    ///
    /// On Redis an `UNLINK`, and then one for each tag in one pipeline: two round trips.
    pub async fn purge_tags(&self, tags: impl IntoIterator<Item: AsRef<str>>) -> Purged {
        self.purge(None, &of_names(tags)).await
    }

    /// Makes every response that has one of these tags stale: it is validated before its next use,
    /// and where `stale-while-revalidate` or `stale-if-error` allow it, still served meanwhile.
    ///
    /// On Redis an `UNLINK`, and then one EVALSHA for each tag in one pipeline: two round trips.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]. The responses may then be fresh as before: try again.
    pub async fn soft_purge_tags(
        &self,
        tags: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<(), StoreError> {
        self.state.soften(&of_names(tags)).await
    }

    /// Purges all variants of the response to GET requests for `uri`: an absolute URI, whose
    /// authority is the `Host` that clients send, or for requests without one a bare path.
    ///
    /// A [partition](super::CacheLayer::with_partition) is told the URI and no fields; where it
    /// needs more, use [`purge_request`](Self::purge_request).
    ///
    /// On Redis one `UNLINK`.
    pub async fn purge_uri(&self, uri: &Uri) -> Purged {
        let mut request = http::Request::new(());
        *request.uri_mut() = uri.clone();
        self.purge_request(&request.into_parts().0).await
    }

    /// Purges all variants of the response to this request: its URI, `Host` and partition count,
    /// its method and its other fields do not.
    ///
    /// On Redis one `UNLINK`.
    pub async fn purge_request(&self, request: &request::Parts) -> Purged {
        self.purge(self.state.own_key(request), &[]).await
    }

    async fn purge(&self, primary: Option<Key>, tags: &[Tag]) -> Purged {
        let tag_keys = tags.iter().map(|&tag| self.state.responses.tag_key(tag));
        let keys: Vec<_> = primary.iter().cloned().chain(tag_keys).collect();
        // Once more where a connection was replaced meanwhile, and what the store has taken is not
        // certain.
        for _ in 0..2 {
            let primaries = primary.iter().cloned().collect();
            self.state.invalidate_all(primaries, tags).await;
            let pending = keys
                .iter()
                .filter_map(|key| self.state.invalidations.hidden(key));
            match pending.max() {
                None => return Purged::Everywhere,
                Some(Hidden::ForNow) => {}
                Some(Hidden::UntilTaken) => break,
            }
        }
        Purged::HereOnly
    }
}

fn of_names(tags: impl IntoIterator<Item: AsRef<str>>) -> Vec<Tag> {
    let tags = tags.into_iter();
    tags.map(|tag| Tag::new(tag.as_ref().as_bytes())).collect()
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").finish_non_exhaustive()
    }
}
