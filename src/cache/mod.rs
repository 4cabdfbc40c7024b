//! HTTP response caching by RFC 9111, as a shared cache in front of the inner service.
//!
//! ```
//! use axum::{Router, http::header::CACHE_CONTROL, routing::get};
//! use tower_keep::{Store, cache::CacheLayer};
//! # use axum::{body::Body, http::Request};
//! # use tower::ServiceExt;
//!
//! async fn news() -> impl axum::response::IntoResponse {
//!     ([(CACHE_CONTROL, "max-age=60, stale-while-revalidate=600")], "nothing new")
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app: Router = Router::new()
//!     .route("/news", get(news))
//!     .layer(CacheLayer::new(Store::memory()));
//!
//! # let get = || Request::get("/news").body(Body::empty()).unwrap();
//! let first = app.clone().oneshot(get()).await.unwrap();
//! let status = "tower-keep; fwd=uri-miss; fwd-status=200; stored";
//! assert_eq!(first.headers()["cache-status"], status);
//! # drop(axum::body::to_bytes(first.into_body(), 100).await.unwrap());
//!
//! let second = app.oneshot(get()).await.unwrap();
//! let status = second.headers()["cache-status"].to_str().unwrap();
//! assert!(status.starts_with("tower-keep; hit; ttl="));
//! assert!(second.headers().contains_key("age"));
//! # }
//! ```
//!
//! # What is stored, and when it is reused
//!
//! What the response says decides; [`CachePolicy`] sets what RFC 9111 leaves open.
//!
//! - **Stored** (§3): responses to GET that `Cache-Control`, `Expires` or a targeted field such
//!   as `CDN-Cache-Control` (RFC 9213) allow a shared cache to store, and those of a status that
//!   is cacheable by default; a 206 in part, completed later (§3.4).
//! - **Fresh** (§4.2): by `s-maxage`, `max-age`, `Expires`, else for 10 % of the time since
//!   `Last-Modified`. A fresh response answers GET and HEAD, ranges (206, 416) and the client's
//!   conditions (304). The request's own directives are honoured (§5.2.1).
//! - **Variants** (§4.1): one for each combination of the fields that `Vary` lists, in a normal
//!   form, so that `en, de` and `de,EN` are the same `Accept-Language`. An origin that prefers
//!   the language which is named first needs weights (`en, de;q=0.9`) from its clients, or
//!   [`with_partition`](CacheLayer::with_partition) by the first language.
//! - **Stale** (§4.3): validated with the stored `ETag` and `Last-Modified`; a 304 freshens what
//!   is stored. With `stale-while-revalidate` (RFC 5861 §3) the stale response is sent at once
//!   and one request refreshes it; with `stale-if-error` (§4) it stands in for a 500, 502, 503
//!   or 504, and for an error of the inner service.
//! - **Invalidated** (§4.4): an unsafe method that succeeds removes all variants of its URI and
//!   of `Location` and `Content-Location` on the same origin, and a fill that is under way then
//!   is not stored, in whatever process it is. If the inner service returns an error instead of a
//!   response, it is not known what the request did, and its own URI is removed. A response that
//!   may not be stored removes the stored one if it says what the resource is now: a 2xx, 300, 301,
//!   308, 404, 410 or 451. A response about the request (400, 401, 403, 405, 406, 412, 429 and all
//!   other 4xx), a temporary redirection and a 5xx remove nothing and replace nothing fresh.
//! - **Newer over older** (§4): a response does not replace one with a later `Date`, or one of the
//!   same second that was received later, unless the stored one was stale and was being validated.
//!   An update of a stored response (by a 304, a HEAD, a completing 206) replaces that response
//!   only: a head is never stored over another response's body.
//!
//! # Requests that come together
//!
//! A fresh response is served even while another request for it is under way. Requests that have to
//! go forward share one call of the inner service if they are for the same variant, within a process
//! and even without a store. All of them get the body while it arrives. It is stored at its end even
//! if its client has left.
//!
//! - The head decides which requests can use the answer. Those for another variant go on at once,
//!   in groups by variant. If the answer is not to be stored, all go on, and for a minute no
//!   request waits for that URI.
//! - A failure (5xx) is shared by those who waited for it, unless it is `private`, `no-store` or
//!   sets a cookie; so is the stale response in its place. When the inner service returns an error,
//!   the others get a 502.
//! - A request that could not use the answer does not wait: one with `no-cache`, or with a `max-age`
//!   that the answer would exceed, goes forward by itself. One with `no-store` neither waits nor do
//!   others wait for it.
//! - No request waits for longer than a fill's lease of 60 seconds; then the next one asks the inner
//!   service. An answer that comes later reaches its own client only. A body that takes longer goes
//!   on to those who read it, and is not stored. A pause longer than
//!   [`with_body_idle`](CacheLayer::with_body_idle) is an error to all who read it.
//!
//! # Tags
//!
//! A response may have tags, named by `Surrogate-Key` and `xkey` (by spaces), `Cache-Tag` (by commas)
//! and `Cache-Groups` (RFC 9875) in one namespace, by which it is purged:
//!
//! 1. By [`CacheLayer::handle`], from the application, and by `Cache-Group-Invalidation` in the response
//!    to an unsafe request that succeeds.
//! 2. A purge costs the same for any number of responses. No response that was asked for before it is
//!    served after it, in whatever process; a fill under way reaches its own client only.
//! 3. [`soft_purge_tags`](CacheHandle::soft_purge_tags) makes stale: the response is validated before its
//!    next use, or served meanwhile where its directives allow that.
//! 4. The names are shared by all sites behind a layer, so a site may invalidate a group of another,
//!    where RFC 9875 keeps groups to their origin. Sites that do not trust each other need layers
//!    on stores with [namespaces](crate::StoreConfig::with_namespace) of their own.
//! 5. A tag survives a 304 that leaves it out. More than 64 tags are not stored
//!    (`detail=too-many-tags`).
//!
//! # What the client sees
//!
//! `Age`, the original `Date`, and a member of `Cache-Status` (RFC 9211): `hit; ttl=…`, or
//! `fwd=…` with why the request went forward, `fwd-status`, `stored`, `collapsed`, and a `detail`:
//! why the response is not stored (`no-store`, `private`, `set-cookie`, `too-long`, `too-many-tags`,
//! `lease-expired`, …), `stale-if-error`, `only-if-cached`, `store-unavailable`,
//! `invalidation-pending` or `contradicted`
//! (a 304 or 206 that does not fit what is stored).
//!
//! The client's own conditions reach the inner service when its answer is for that client only:
//! for a URI that is known not to be stored, and with `Authorization`, `Range` or `no-store`.
//!
//! # What requests can take of this process
//!
//! - The bodies under way, whether they are being stored or shared, take 64 MiB together, or four
//!   times [`with_max_body`](CacheLayer::with_max_body) if that is more; on embedded memory at most
//!   a quarter of what responses may take. Once that is used up, further ones are only passed on, at
//!   the pace of their clients.
//! - A fill whose clients have all left goes on to its end, up to 256 of them. One more ends with
//!   its last client, as a request without a cache does.
//!
//! # Invalidations are not lost
//!
//! 1. A successful unsafe request is answered after the first attempt to invalidate, which takes at
//!    most the store's deadline.
//! 2. If the store does not take an invalidation, this process still obeys it: requests for the URI go
//!    forward and nothing is stored for it (`detail=invalidation-pending`). A task repeats the
//!    invalidation until the store takes it. Up to 16,384 keys are remembered; beyond them, this
//!    process uses nothing that was stored until then. Other processes use what the store still has.
//! 3. A Redis that restarts with old data revives nothing: on a new connection the invalidations
//!    of the last hour (the latest 16,384 of this process) are repeated, and until that is done
//!    their keys are misses in this process. In others, an old response may be served for the
//!    second that it takes an idle process to notice.
//! 4. An unsafe request whose client leaves after the inner service was called runs on in a task,
//!    for a minute at most, and invalidates what its answer says. Beyond 256 of these at a time, or
//!    after that minute, it is dropped, and its own URI is invalidated.
//!
//! # Safety
//!
//! 1. A response with `Set-Cookie` is not stored, unless [`SetCookie`] says otherwise. Cookies,
//!    rate limits, ids of requests and traces that come with a 304, a HEAD or a part that completes
//!    a stored one reach the client that caused it and are neither stored nor shared.
//! 2. A response to a request with `Authorization` is stored only if it says `public`,
//!    `must-revalidate` or `s-maxage` (§3.5).
//! 3. `private` and `no-store` are obeyed. With the session layer around the cache, a response
//!    whose handler has read the session is taken for private unless it says `public`; inside
//!    the cache, the session layer says so itself.
//! 4. Keys are hashes, and so is what `Vary` selects by: no URL, cookie or credential of a
//!    request is in the store.
//! 5. A body that breaks off or is not as long as it was declared is never stored.
//! 6. A response that depends on a request field which neither the key nor `Vary` names is served
//!    to everybody: name it in `Vary`, or use [`with_partition`](CacheLayer::with_partition).
//!
//! # Limits
//!
//! Bodies up to [`with_max_body`](CacheLayer::with_max_body), and up to what the store has room
//! for, are stored; the same length is the most that is read ahead of a slow client. A longer body
//! passes whole, at the pace of its own client or, once that has left, of the fastest reader; a
//! reader that falls further behind than that length gets an error. Stored bytes are copies, so no
//! read buffer of the server stays in memory with them. The variants of a URI are capped by
//! [`with_max_variants`](CacheLayer::with_max_variants).
//!
//! # Cost on Redis
//!
//! | Event | Commands | Delays the response by |
//! |---|---|---|
//! | hit | 1 `HMGET` | one round trip |
//! | hit that needs a `Vary` new to this process | 2 `HMGET` | two round trips |
//! | hit with tags | 1 `HMGET` and a `GET` for each tag | one round trip, two the first time |
//! | miss | `HMGET`, 2 `EVALSHA` before the inner call, `EVALSHA` after the body | the first two |
//! | the same with tags | beside these an `EVALSHA` for each tag and a `GET` after the body | the first two |
//! | 304 to a validation | the same | the first two |
//! | not storable | `HMGET`, 2 `EVALSHA` before the inner call, `EVALSHA` to take it back | the first two |
//! | unsafe method that succeeds | 1 `UNLINK` for each URI, in one pipeline | one round trip |
//! | an hour after that | 1 `DBSIZE` a second from each process that has seen one | nothing |
//! | purge of tags | 1 `UNLINK`, then one for each tag | two round trips |
//! | stored bytes that cannot be read, or were purged | 1 `HDEL` | one round trip |
//!
//! A URI is one hash with all its variants. It always has a TTL: until the last fill under way has
//! had its minute, and as long as a stored response can be of use. When the store fails, the inner service
//! answers, after one deadline of the store.
//!
//! # Deployment
//!
//! - The cache belongs inside a rate limit, which else would not see the hits.
//! - Bodies are stored by tasks of their own: that takes a tokio runtime with its timer and a
//!   `'static` inner service.
//! - A request's body is of any type and goes to one call of the inner service; the request that
//!   refreshes a stale response has the body of the client that got it. A GET with content is not
//!   cached. Over HTTP/2 no field need say that there is content: with bodies other than those
//!   that [`with_empty_body`](CacheLayer::with_empty_body) lists or names, an inner service must
//!   not let the content of a GET change its answer.
//! - The service is always ready: only a request that goes forward waits for the inner one.
//! - The site that a request names, in its URI or in `Host`, is part of the key, in lower case. A
//!   request that names two sites, or an invalid one, goes past the cache and invalidates nothing
//!   ([`target`](crate::target)). A client can name any one site: check the name before if the
//!   inner service answers to all.
//! - The future of an unsafe request is boxed; all others that go past the cache are not.
//! - Processes that share a store need clocks that agree: of two responses the newer one is kept,
//!   by `Date` and within a second by the time of receipt. Beside a `Date` of the origin a wrong
//!   clock can only make a response older; without one it is fresh for longer by the difference.
//! - A [`CacheLayer`] and its clones are one cache. Two of them on one store share what is
//!   stored, not what is in flight.

mod body;
mod cache_status;
mod client_request;
mod clock;
mod error;
mod fill;
mod forward;
mod future;
mod handle;
mod invalidation;
mod key;
mod layer;
mod lookup;
mod options;
mod policy;
mod request_body;
mod respond;
mod serve;
mod service;
mod state;

pub use body::CacheBody;
pub use error::CacheNameError;
pub use future::ResponseFuture;
pub use handle::{CacheHandle, Purged};
pub use layer::CacheLayer;
#[cfg(feature = "inspect")]
pub(crate) use lookup::encoding::show as show_head;
pub use policy::{CachePolicy, RequestDirective, SetCookie};
pub use service::ResponseCache;
