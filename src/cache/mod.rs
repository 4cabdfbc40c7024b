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
//!   is not stored, in whatever process it is. So does one that gets an error of the inner service
//!   in place of a response, with its own URI: what it did is not known. A response that may not be stored removes the one
//!   that it supersedes: a 2xx, 300, 301, 308, 404, 410 or 451, since these say what the resource
//!   is now. What is about the request (400, 401, 403, 405, 406, 412, 429 and all other 4xx), a
//!   temporary redirection or a 5xx removes nothing, and does not replace what is fresh.
//! - **Newer over older** (§4): a response does not replace one with a later `Date`, or of the same
//!   second and received later, unless that is stale and was the reason to ask. What was made of a
//!   stored response (by a 304, a HEAD, a completing 206) replaces that one only: a head is never
//!   stored over another response's body.
//!
//! # Requests that come together
//!
//! What is fresh is served whatever is under way. Of the requests that have to go forward, those
//! for the same variant share one call of the inner service, within a process and without a store
//! too. The body is passed on while it arrives, to those who share it as well, and stored at its
//! end even if its client has left.
//!
//! - The head decides who can use the answer. Requests for another variant go on at once, grouped
//!   by what the response turned out to vary by; an answer that is not to be stored releases all,
//!   and for a minute nobody waits for such a URI again.
//! - A failure (5xx) is shared by those who waited for it, unless it is `private`, `no-store` or
//!   sets a cookie; so is the stale response in its place. When the inner service returns an error,
//!   the others get a 502.
//! - Nobody waits who cannot use the answer: a request with `no-cache`, or a `max-age` that an
//!   answer asked for then would exceed, goes forward beside the others, and one with `no-store`
//!   neither waits nor is waited for.
//! - Nobody waits for longer than a fill's lease of 60 seconds; then the next one is asked. What
//!   comes later reaches its own client only. A body that takes longer goes on to those who read
//!   it, is not joined any more and not stored. One of which nothing comes for
//!   [`with_body_idle`](CacheLayer::with_body_idle) is an error to all who read it.
//!
//! # What the client sees
//!
//! `Age`, the original `Date`, and a member of `Cache-Status` (RFC 9211): `hit; ttl=…`, or
//! `fwd=…` with why the request went forward, `fwd-status`, `stored`, `collapsed`, and a `detail`:
//! why the response is not stored (`no-store`, `private`, `set-cookie`, `too-long`,
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
//! 2. What the store does not take is gone to this process all the same: requests for it go forward
//!    and nothing of it is stored (`detail=invalidation-pending`). A task repeats the invalidation
//!    until it is taken. Up to 16,384 keys are remembered so; beyond them, nothing that was stored
//!    until then is used by this process any more. Other processes use what the store still has.
//! 3. A Redis that comes back with old data revives nothing: on a new connection the invalidations
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
//! for, are stored, and so much is the most that is read ahead of a slow client. A longer one
//! passes whole, at the pace of the client that it was fetched for, or of the fastest once that has
//! left; one that falls further behind than so much sees an error. What is kept owns its bytes:
//! no read buffer of the server stays in memory with it. Variants of a URI are capped by [`with_max_variants`](CacheLayer::with_max_variants).
//!
//! # Cost on Redis
//!
//! | Event | Commands | Delays the response by |
//! |---|---|---|
//! | hit | 1 `HMGET` | one round trip |
//! | hit that needs a `Vary` new to this process | 2 `HMGET` | two round trips |
//! | miss | `HMGET`, `EVALSHA` before the inner call, `EVALSHA` after the body | the first two |
//! | 304 to a validation | the same | the first two |
//! | not storable | `HMGET`, `EVALSHA` before the inner call, `EVALSHA` to take it back | the first two |
//! | unsafe method that succeeds | 1 `UNLINK` for each URI, in one pipeline | one round trip |
//! | an hour after that | 1 `DBSIZE` a second from each process that has seen one | nothing |
//! | stored bytes that cannot be read | 1 `HDEL` | one round trip |
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
//! - The site that a request names, in its URI or in `Host`, is part of the key, as it was sent but for its
//!   case. A request that names two, or none validly, goes past the cache and invalidates
//!   nothing ([`target`](crate::target)). A client can still choose any one name: check it
//!   before if the inner service answers to all.
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
pub use layer::CacheLayer;
pub use policy::{CachePolicy, RequestDirective, SetCookie};
pub use service::ResponseCache;
