//! Rate limiting: GCRA, fixed and sliding windows and concurrency limits with the draft's `RateLimit`
//! fields, exact over all processes that share a Redis. The [`guide`] says which to take and what
//! each costs.
//!
//! ```
//! use axum::{Router, routing::get};
//! use tower_keep::{
//!     Store,
//!     rate_limit::{Key, RateLimitLayer, TrustedProxies},
//! };
//!
//! # fn example() -> Result<Router, Box<dyn std::error::Error>> {
//! let limit = RateLimitLayer::new(Store::memory(), r#""burst";q=5;w=10"#.parse()?)
//!     .and_policy(r#""hourly";q=1000;w=3600"#.parse()?)?
//!     .with_key(Key::client_ip(TrustedProxies::hops(1)));
//!
//! let app: Router = Router::new().route("/", get(async || "hello")).layer(limit);
//! // With `into_make_service_with_connect_info::<SocketAddr>()` the peers are known.
//! # Ok(app) }
//! # example().unwrap();
//! ```
//!
//! An admitted response carries `RateLimit-Policy: "burst";q=5;w=10, "hourly";q=1000;w=3600` and
//! `RateLimit: "burst";r=4;t=2, "hourly";r=999;t=4`; the sixth request in a row gets a 429.
//!
//! # What a request goes through
//!
//! 1. A request that [`with_skip`](RateLimitLayer::with_skip) names passes without a limit.
//! 2. The [`Key`] makes the request's subject. [`MissingKey`] decides what happens without one.
//! 3. If the subject was denied before and the time that it was told is not over, the request is
//!    denied in the process: no command reaches the store. Every five seconds
//!    ([`with_denial_recheck`](RateLimitLayer::with_denial_recheck)) one request asks again.
//! 4. The store checks all policies of the layer and takes the request's cost of all or of none,
//!    in one step. A denied request has consumed nothing.
//! 5. If the store does not answer within its deadline, refuses or has no room, [`RateLimitOnStoreError`]
//!    decides what follows.
//! 6. A request that would be admitted soon enough waits, with
//!    [`with_max_wait`](RateLimitLayer::with_max_wait).
//! 7. An admitted request goes to the inner service with the [`RateLimitDecision`] in its
//!    extensions, and the response gets the fields and the decision.
//!
//! Without HTTP the same is a call: [`RateLimiter`], which is what the layer asks. A request holds its
//! places of concurrency limits until its response's body has ended. Limits by several keys are
//! asked as one: [`and_limiter`](RateLimitLayer::and_limiter), [`JointRateLimiter`].
//!
//! # Cost
//!
//! One `EVALSHA` and so one round trip for an admitted request, whatever the number of
//! policies; none for a repeated denial. Redis holds one small hash a subject and policy, which
//! expires when the limit has replenished or soon after. Time is the Redis server's own.
//!
//! # Denials
//!
//! By default problem details (RFC 9457), never to be stored by a cache; see
//! [`with_response`](RateLimitLayer::with_response) to change them.
//!
//! | | Status | Type | `Retry-After` | gRPC |
//! |---|---|---|---|---|
//! | a policy is violated | 429 | `quota-exceeded` | until all would admit it, rounded up to seconds | 8 |
//! | it costs more than a whole quota | 429 | `quota-exceeded` | none | 8 |
//! | the client is banned ([`BanPolicy`]) | 429 | `abnormal-usage-detected` | until the ban's end, or longer where a policy says so | 8 |
//! | the store failed, with [`RateLimitOnStoreError::Deny`] | 503 | `temporary-reduced-capacity` | 1 | 14 |
//! | no key, with [`MissingKey::Deny`] | 400 | `about:blank` | none | 3 |
//!
//! A gRPC call (`content-type: application/grpc…`) is answered by HTTP 200 and trailers alone,
//! with the status of the last column, and with the feature `tonic` with `google.rpc.RetryInfo` and
//! `QuotaFailure` in `grpc-status-details-bin`.
//!
//! # Deployment
//!
//! - axum's and tonic's servers tell the peer, with the features of their names; on hyper and any
//!   other put [`PeerAddr`](crate::PeerAddr) around each connection's service.
//! - Behind a proxy the peer is the proxy: use [`Key::client_ip`], and read the caveat of
//!   [`TrustedProxies`].
//! - Stacked layers each add their fields. Where an outer one admits and an inner one denies, the
//!   outer one has counted the request; limits of one layer, by one key or several, have not.
//! - The fields are of the request at hand, so put a response cache inside of the limit.

#[cfg(doc)]
#[doc = include_str!("GUIDE.md")]
pub mod guide {
    #[allow(unused_imports, reason = "for the links of the page")]
    use super::*;
}

mod configuration;
mod denial;
mod fields;
mod future;
#[cfg(feature = "tonic")]
mod grpc;
mod key;
mod layer;
mod limiter;
mod policy;
mod preparation;
mod service;
mod settings;
mod step;

pub use crate::store::operations::limit::Algorithm;
pub use configuration::{RateLimitConfig, UnknownName};
pub use denial::{Denial, DenialReason};
pub use fields::HeaderDialect;
pub use future::ResponseFuture;
#[cfg(feature = "session")]
#[cfg_attr(docsrs, doc(cfg(feature = "session")))]
pub use key::SessionUser;
pub use key::{ForwardingField, Key, KeyError, MissingKey, TrustedProxies};
pub use layer::RateLimitLayer;
pub use limiter::{
    BanError, BanPolicy, JointRateLimiter, Permit, PolicyDecision, RateLimitDecision,
    RateLimitOnStoreError, RateLimiter,
};
pub use policy::{Quota, QuotaError, QuotaPolicy, QuotaPolicyError, QuotaUnit};
pub use service::RateLimit;
