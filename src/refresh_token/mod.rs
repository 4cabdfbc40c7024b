//! Refresh tokens: opaque, exchanged at each use, and noticed when somebody else has one.
//!
//! A login issues a token; the client exchanges it for an access token and the next refresh token,
//! and so on: they are a *family*. A token that is presented again, long after it was exchanged, is
//! in two hands, and nobody knows whose are the right ones: the whole family ends (RFC 9700,
//! section 4.14.2).
//!
//! ```
//! use std::time::Duration;
//! use tower_keep::{
//!     Store,
//!     refresh_token::{Grant, RefreshTokens},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokens = RefreshTokens::new(Store::memory())
//!     .with_idle_lifetime(Duration::from_secs(14 * 24 * 3600))?
//!     .on_reuse(|reuse| eprintln!("stolen: {}", reuse.family));
//!
//! // After the password was checked:
//! let grant = Grant::new("ada", "web").with_device("laptop").with_scope("read write");
//! let issued = tokens.issue(grant).await?;
//!
//! // When the client comes back with it:
//! let next = tokens.rotate(issued.token.expose(), "web").await?;
//! assert_eq!(next.grant.user(), "ada");
//!
//! // At the logout:
//! tokens.revoke(next.token.expose()).await?;
//! assert!(tokens.rotate(next.token.expose(), "web").await.is_err());
//! # Ok(()) }
//! ```
//!
//! # Rules
//!
//! 1. **Opaque.** A token is a prefix and 88 characters with 320 random bits of the operating
//!    system. The store knows digests only: what it holds yields no token.
//! 2. **Bound** to user, client, device and scope from the login on. Another client is refused, and
//!    a wider scope; neither costs the token.
//! 3. **One use.** A rotation is one atomic script: the next token out, the old one retired. Of
//!    fifty at once with one token, all get the same successor within the grace; without a grace
//!    one gets it, and the others are the reuse that ends the family.
//! 4. **Grace.** Within it (10 s), and until the successor is used, a retired token gives the same
//!    successor again, in any process: it is derived from the presented token and a random number
//!    that the store keeps, and stands nowhere itself. A call that is sent again after a lost
//!    connection is the same call, also without a grace.
//! 5. **Reuse.** A retired token after the grace, or one that is two generations old, revokes its
//!    family, the newest token included, calls [`on_reuse`](RefreshTokens::on_reuse) and is an event
//!    at level `warn`. Other families live. A token that was changed or never issued revokes
//!    nothing.
//! 6. **Lifetimes.** A token ends when it is not used for its idle lifetime, a family with its
//!    absolute one, by the store's clock. What has ended is unknown, and no theft. Every key
//!    expires with the last family in it.
//! 7. **Revocation** of a token, a family, a device or a user is idempotent and final: a user's
//!    families are in one key, so a rotation that is under way comes before it, and its token is
//!    revoked too, or after it, and finds nothing.
//! 8. **A store that fails** is [`Unavailable`](RefreshTokenError::Unavailable), a 503, and never
//!    `invalid_grant`, which would log the client out. The same token may be sent again.
//! 9. **Bounds.** A user has at most [100 families](RefreshTokens::with_max_families), whose size
//!    does not grow with rotations: no marker is kept for a token that was used.
//!
//! # Who can do what
//!
//! Whoever reads the store learns users, clients, devices and scopes, and can neither use nor make
//! a token. Whoever reads it and has the last token but one can make the newest, as its client
//! could. A family's tokens carry a common secret, so whoever had one can end the family: as
//! anybody can who sends a stolen token twice.
//!
//! # With axum
//!
//! [`RefreshTokenError`] is a response (feature `axum`): `{"error":"invalid_grant"}` with status 400
//! as RFC 6749, section 5.2, has it, or 503.
//!
//! ```
//! # #[cfg(feature = "axum")] {
//! use axum::{Router, extract::State, response::IntoResponse, routing::post};
//! use tower_keep::{Store, refresh_token::{RefreshTokenError, RefreshTokens}};
//!
//! async fn refresh(
//!     State(tokens): State<RefreshTokens>,
//!     token: String,
//! ) -> Result<impl IntoResponse, RefreshTokenError> {
//!     Ok(tokens.rotate(&token, "web").await?.token.into_string())
//! }
//!
//! let app: Router = Router::new()
//!     .route("/token/refresh", post(refresh))
//!     .with_state(RefreshTokens::new(Store::memory()));
//! # }
//! ```

mod config;
mod error;
mod grant;
mod reuse;
mod revocation;
mod rotation;
mod service;
mod settings;
mod token;

pub use config::RefreshTokenConfigError;
pub use error::RefreshTokenError;
pub use grant::{Family, FamilyId, Grant, InvalidFamilyId, Issued};
pub use reuse::Reuse;
pub use service::RefreshTokens;
pub use token::RefreshToken;
