//! Health: whether the process lives, and whether it is of use now.
//!
//! [`Health::live`] and [`Health::ready`] are plain Tower services, for the routes that a load
//! balancer or Kubernetes asks. Live is 200 as long as requests are answered at all. Ready asks every
//! store for a sign of life and is 503 while one gives none.
//!
//! ```
//! use http::{Request, StatusCode};
//! use tower::ServiceExt;
//! use tower_keep::{Store, health::Health};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), std::convert::Infallible> {
//! let health = Health::new(Store::memory());
//! let response = health.ready().oneshot(Request::new(())).await?;
//! assert_eq!(response.status(), StatusCode::OK);
//! # Ok(()) }
//! ```
//!
//! With axum they are routes, best outside of all layers, so that they are neither limited nor
//! cached:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::Router;
//! use tower_keep::{Store, health::Health};
//!
//! let health = Health::new(Store::memory());
//! let app: Router = Router::new()
//!     // … routes and layers …
//!     .route_service("/_health/live", health.live())
//!     .route_service("/_health/ready", health.ready());
//! # }
//! ```
//!
//! # What ready answers
//!
//! ```json
//! {
//!   "status": "degraded",
//!   "stores": [{
//!     "name": "store", "kind": "redis cluster", "status": "degraded", "breaker": "closed",
//!     "latency_ms": 0.41, "refused": ["OOM"],
//!     "servers": [
//!       {"address": "10.0.0.1:6379", "status": "degraded", "breaker": "closed", "latency_ms": 0.38, "refused": ["OOM"]},
//!       {"address": "10.0.0.2:6379", "status": "ready", "breaker": "closed", "latency_ms": 0.41}
//!     ]
//!   }]
//! }
//! ```
//!
//! | Status | | HTTP |
//! |---|---|---|
//! | `ready` | every server has answered | 200 |
//! | `degraded` | some servers of a cluster do not answer, or one refuses commands (`refused`): what can be done is done | 200 |
//! | `unavailable` | a store has not answered at all, or is a cluster that serves no key | 503 |
//!
//! A probe is one `DBSIZE` a server, all side by side, and takes no longer than the store's
//! deadline; while the breaker is open nothing is sent. The servers of a cluster by a URL are asked by
//! an `EXISTS` in the same round trip whether they serve keys: one that has lost a shard refuses them
//! all by default (`cluster-require-full-coverage`), with `CLUSTERDOWN`. `latency_ms` is what it took, also when
//! there was no answer; `error` says why. No address and no error has a password in it. Neither is
//! for everybody's eyes: leave the routes to those who need them.

mod probe;
mod report;
mod service;

pub use report::{Breaker, Report, ServerReport, Status, StoreReport};
pub use service::{Health, Live, Ready, ResponseFuture};
