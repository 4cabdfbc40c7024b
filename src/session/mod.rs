//! Sessions: data of one client, kept in the store under an id that only the client holds.
//!
//! ```
//! use http::{Request, Response, StatusCode};
//! use tower::{Layer, Service, ServiceExt, service_fn};
//! use tower_keep::{
//!     Store,
//!     session::{Session, SessionError, SessionLayer},
//! };
//!
//! async fn count(request: Request<()>) -> Result<Response<String>, SessionError> {
//!     let session = request.extensions().get::<Session>().expect("the layer is around this");
//!     let visits = session.increment("visits", 1).await?;
//!     Ok(Response::new(format!("visit {visits}")))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), SessionError> {
//! let service = SessionLayer::new(Store::memory()).layer(service_fn(count));
//!
//! let first = service.clone().oneshot(Request::new(())).await?;
//! let cookie = first.headers()["set-cookie"].to_str().unwrap();
//! assert!(cookie.starts_with("__Host-id="));
//!
//! let (cookie, _attributes) = cookie.split_once(';').unwrap();
//! let second = Request::builder().header("cookie", cookie).body(()).unwrap();
//! let second = service.oneshot(second).await?;
//! assert!(!second.headers().contains_key("set-cookie"));
//! # use http_body_util::BodyExt;
//! # assert_eq!(second.into_body().collect().await.unwrap().to_bytes(), "visit 2");
//! # Ok(()) }
//! ```
//!
//! With axum (feature `axum`) the session is an extractor, and its errors are responses:
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, http::StatusCode, routing::post};
//! use tower_keep::{Store, session::{Session, SessionError, SessionLayer}};
//!
//! async fn login(session: Session) -> Result<StatusCode, SessionError> {
//!     // … after the password was checked:
//!     session.login("ada")?;
//!     Ok(StatusCode::NO_CONTENT)
//! }
//!
//! async fn logout(session: Session) -> Result<StatusCode, SessionError> {
//!     session.destroy().await?;
//!     Ok(StatusCode::NO_CONTENT)
//! }
//!
//! let app: Router = Router::new()
//!     .route("/login", post(login))
//!     .route("/logout", post(logout))
//!     .layer(SessionLayer::new(Store::memory()));
//! # }
//! ```
//!
//! # Rules
//!
//! 1. **Lazy.** A request that does not use its session costs no store call and gets no cookie;
//!    one that uses it costs one round trip to load and, if it has changed it, one to commit.
//! 2. **Ids** are 264 random bits. The store knows only the SHA-256 of an id. An id that it does
//!    not know is never adopted: what is written then goes to a new session with a new id.
//! 3. **Changes** are per key: concurrent requests that change different keys keep both.
//!    [`update`](Session::update) and [`increment`](Session::increment) are for the same key.
//! 4. **No resurrection.** A commit changes only a session that still exists. Changes that a
//!    logout has overtaken are dropped, with an event at level `info`; those that a renewal has
//!    overtaken land in the session under its new id. A request that has not read its session before
//!    the logout is one with an unknown id: what it writes goes to a new session.
//! 5. **Login.** [`login`](Session::login) gives the session a new id. When nobody was logged in,
//!    or somebody else, the old id is anonymous at once, and another user's data are gone: an id
//!    that was planted or stolen before leads nobody to the session. What a request writes over it is
//!    dropped for the length of the [grace](SessionLayer::with_renewal_grace), unless it logs in, so
//!    that a late response does not replace the cookie of the login. Of two logins at once with
//!    one cookie, as the same user, either new cookie is logged in.
//! 6. **Renewal.** When the user stays, the old id leads to the session until the new one was used,
//!    and for the [grace](SessionLayer::with_renewal_grace): a client that never gets the response
//!    is not logged out, nor are requests under way. A request that comes by an old id gets no new
//!    one. With a grace of zero the old id ends as soon as the new one is used.
//! 7. **Bounds.** A session holds [64 KiB](SessionLayer::with_max_bytes) and
//!    [128 keys](SessionLayer::with_max_keys). What would make it larger is an error, and 413 at the
//!    commit; the session is as it was.
//! 8. **Commit before the response.** A client that follows a redirect at once finds the session
//!    as the response left it. When the store fails, no success goes out; whether
//!    the changes were stored is then not known.
//! 9. **5xx and panics** drop what was to be committed, unless
//!    [`commit_on_server_error`](SessionLayer::with_commit_on_server_error) says otherwise.
//! 10. **Users.** The sessions of a user are [listed](Session::list_sessions) and
//!     [revoked](Session::revoke_session) one by one, all others, or all; a revoked session is gone
//!     in every process when the call returns. A [cap](SessionLayer::with_max_sessions_per_user)
//!     holds however many logins come at once. An administrator has [`UserSessions`]. Layers with
//!     different [cookie names](SessionLayer::with_cookie_name) share neither sessions nor users.
//! 11. **Timeouts** are the expiry of the store's keys; no activity extends the absolute one, which a
//!     login of another user starts. That activity could not be noted does not cost a request its
//!     session. A session may have [timeouts of its own](Session::set_lifetime), as of a login with
//!     "remember me".
//! 12. **After the head** of the response nothing can be written, unless the handler has
//!     [saved](Session::save) the session before: then it goes on with it, as long as the client needs
//!     no other id.
//! 13. **Responses.** One that sets the cookie is `no-store`; one from a handler that has used
//!     the session is `private` unless it says `public`. Both vary by the field that carries the id.
//!
//! # Events
//!
//! All have the target `tower_keep::session`. A session is named there by a hash with a salt
//! that dies with the process, never by its id.

mod config;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod future;
#[cfg(doc)]
pub mod guides;
mod handle;
mod head;
mod id;
#[cfg(feature = "session-encryption")]
mod keys;
mod layer;
mod lifetime;
mod report;
mod service;
mod touching;
#[cfg(feature = "tower-sessions")]
mod tower_sessions;
mod transport;
mod typed;
mod user_sessions;

pub use config::SessionOnStoreError;
pub use error::{SessionConfigError, SessionError};
#[cfg(feature = "axum")]
pub use extract::MissingSessionLayer;
pub use future::ResponseFuture;
pub use handle::{Flash, Session};
pub use head::SessionAccessed;
#[cfg(feature = "session-encryption")]
#[cfg_attr(docsrs, doc(cfg(feature = "session-encryption")))]
pub use keys::SessionKeys;
pub use layer::SessionLayer;
pub use lifetime::SessionLifetime;
pub use service::SessionService;
#[cfg(feature = "tower-sessions")]
#[cfg_attr(docsrs, doc(cfg(feature = "tower-sessions")))]
pub use tower_sessions::TowerSessionsStore;
pub use transport::cookie::SameSite;
pub use typed::TypedSession;
pub use user_sessions::{SessionInfo, UserSessions};
