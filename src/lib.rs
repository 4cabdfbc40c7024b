//! Composable [Tower](https://docs.rs/tower) layers for **rate limiting**, **sessions** and
//! **HTTP response caching**, and a typed **key-value cache**, over one [`Store`]: embedded memory
//! without any set-up, or the application's own `deadpool_redis` pool.
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "cache", feature = "rate-limit", feature = "session"))]
//! # fn app() -> Result<axum::Router, Box<dyn std::error::Error>> {
//! use axum::{Router, http::header::CACHE_CONTROL, routing::get};
//! use tower_keep::{
//!     Store,
//!     cache::CacheLayer,
//!     rate_limit::RateLimitLayer,
//!     session::{Session, SessionError, SessionLayer},
//! };
//!
//! async fn news() -> impl axum::response::IntoResponse {
//!     ([(CACHE_CONTROL, "public, max-age=60")], "nothing new")
//! }
//!
//! async fn visits(session: Session) -> Result<String, SessionError> {
//!     Ok(format!("{} visits", session.increment("visits", 1).await?))
//! }
//!
//! // Or `StoreConfig::from_env()?.build()?`, or `Store::redis(pool)`.
//! let store = Store::memory();
//!
//! let app = Router::new()
//!     .route("/news", get(news).layer(CacheLayer::new(store.clone())))
//!     .route("/visits", get(visits))
//!     .layer(SessionLayer::new(store.clone()))
//!     .layer(RateLimitLayer::new(store, r#""burst";q=100;w=60"#.parse()?));
//! # Ok(app) }
//! ```
//!
//! # Map
//!
//! | Module | What it does |
//! |---|---|
//! | [`store`] | the handle that all share: memory or Redis, deadline, circuit breaker, namespace |
//! | [`rate_limit`] | exact limits (GCRA, fixed and sliding windows, concurrency) with the draft's `RateLimit` fields |
//! | [`session`] | sessions that lose no update and do not come back after logout |
//! | [`cache`] | a shared HTTP cache by RFC 9111 |
//! | [`key_value`] | typed cache-aside values, loaded once |
//! | [`refresh_token`] | refresh tokens that rotate, and notice when one was stolen |
//! | [`health`] | live and ready services for load balancers |
//! | [`inspect`] | what an operator asks: keys, values, memory, slow commands |
//! | [`metrics`] | what is counted: decisions, hits, loads, the store's latency |
//! | [`target`] | the one site that a request is for, or why that is not certain |
//!
//! All layers are plain Tower: they work with hyper, axum and tonic, alone or together, and keep
//! the inner service's error type. Where they stand together the order is limit, session, cache,
//! from the outside in.
//!
//! # Features
//!
//! All are additive. On by default: `axum`, `cache`, `key-value`, `rate-limit`, `redis`, `session`.
//!
//! | Feature | What it adds |
//! |---|---|
//! | `redis` | [`Store::redis`](store::Store::redis) over a `deadpool_redis::Pool` |
//! | `rate-limit`, `session`, `cache`, `key-value`, `refresh-token`, `health`, `inspect` | the modules |
//! | `axum` | the session extractor, `ConnectInfo` and `MatchedPath` as keys of limits |
//! | `session-encryption` | signed and encrypted session cookies, and session data encrypted in the store |
//! | `tower-sessions` | the store for `tower-sessions` and `axum-login` |
//! | `tonic` | the peers of tonic's connections as keys of limits |
//! | `metrics` | counters, gauges and histograms by the crate `metrics` |
//! | `full` | everything |
//!
//! # Inside
//!
//! [`guide`]: what each call of a hand-written Redis service becomes.
//!
//! The [`architecture`] page has the rooms, the store's operations with their commands and keys,
//! and the reasons.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        reason = "in a test a failed unwrap is a failed test"
    )
)]

#[cfg(feature = "cache")]
#[cfg_attr(docsrs, doc(cfg(feature = "cache")))]
pub mod cache;
#[cfg(feature = "health")]
#[cfg_attr(docsrs, doc(cfg(feature = "health")))]
pub mod health;
#[cfg(feature = "inspect")]
#[cfg_attr(docsrs, doc(cfg(feature = "inspect")))]
pub mod inspect;
#[cfg(feature = "key-value")]
#[cfg_attr(docsrs, doc(cfg(feature = "key-value")))]
pub mod key_value;
#[cfg(feature = "metrics")]
#[cfg_attr(docsrs, doc(cfg(feature = "metrics")))]
pub mod metrics;
#[cfg(feature = "rate-limit")]
#[cfg_attr(docsrs, doc(cfg(feature = "rate-limit")))]
pub mod rate_limit;
#[cfg(feature = "refresh-token")]
#[cfg_attr(docsrs, doc(cfg(feature = "refresh-token")))]
pub mod refresh_token;
#[cfg(feature = "session")]
#[cfg_attr(docsrs, doc(cfg(feature = "session")))]
pub mod session;
pub mod store;
#[cfg(feature = "cache")]
#[cfg_attr(docsrs, doc(cfg(feature = "cache")))]
pub mod target;

#[cfg(doc)]
#[doc = include_str!("ARCHITECTURE.md")]
pub mod architecture {}

#[cfg(all(doc, feature = "key-value"))]
#[doc = include_str!("replace_redis_service.md")]
pub mod guide {}

/// Keeps the README's example compiling.
#[cfg(all(
    doctest,
    feature = "axum",
    feature = "cache",
    feature = "rate-limit",
    feature = "session"
))]
#[doc = include_str!("../README.md")]
pub struct Readme;

#[cfg(any(feature = "rate-limit", feature = "session"))]
mod answer;
#[cfg(any(feature = "rate-limit", feature = "session"))]
mod body;
#[cfg(feature = "key-value")]
mod collapse;
#[cfg(feature = "rate-limit")]
mod peer;
#[cfg(any(
    feature = "cache",
    feature = "health",
    feature = "rate-limit",
    feature = "session",
    all(feature = "axum", feature = "refresh-token")
))]
mod problem;
#[cfg(feature = "session")]
mod throttle;
#[cfg(any(feature = "rate-limit", feature = "session"))]
mod to_the_end;

#[cfg(any(feature = "rate-limit", feature = "session"))]
pub use body::ResponseBody;
#[cfg(feature = "rate-limit")]
pub use peer::{PeerAddr, WithPeerAddr};
pub use store::{Store, StoreConfig, StoreError};
