//! The sessions of a user: which there are, and ending them from elsewhere.

mod binding;
mod ending;
mod list;

use std::{sync::Arc, time::SystemTime};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use sha2::{Digest, Sha256};

pub(super) use self::binding::{Binding, Noted};
use super::{
    error::{SessionConfigError, SessionError},
    id,
    transport::cookie::CookieSettings,
};
use crate::{
    Store,
    store::{
        Key, StoreError,
        operations::{session::Names, session_index::Condemned},
    },
};

/// The most sessions of one user where the layer sets no cap; the oldest end beyond it.
pub(super) const MOST: usize = 1000;

/// The sessions of one user, for instance to list or end them from an administrator's page.
///
/// A revocation that has begun is done to its end, also if its future is dropped because the client
/// of a request has left.
///
/// A handler ends those of its own user with
/// [`revoke_session`](super::Session::revoke_session) and the like.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_keep::session::SessionError> {
/// use tower_keep::{Store, session::UserSessions};
///
/// let store = Store::memory();
/// let sessions = UserSessions::new(store, "ada")?;
/// for session in sessions.list().await? {
///     println!("{} on {}", session.handle, session.device);
/// }
/// // The account was closed: nobody is logged in with it any more, in any process.
/// sessions.revoke_all().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct UserSessions {
    store: Store,
    /// Of the layer, as it is in keys.
    name: Box<str>,
    /// The digest of the user's name.
    user: Box<str>,
    key: Key,
}

/// A session in the list of its user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its public name, as of [`Session::handle`](super::Session::handle).
    pub handle: Arc<str>,
    /// The device that [`bind`](super::Session::bind) has named, or nothing.
    pub device: Arc<str>,
    /// By the store's clock.
    pub created_at: SystemTime,
    /// The last activity that was noted, by the store's clock. It may be older than the last
    /// request by the [touch fraction](super::SessionLayer::with_touch_fraction) of the idle timeout.
    pub last_seen_at: SystemTime,
    /// Whether it is the session of the request that lists them.
    pub is_current: bool,
}

impl UserSessions {
    /// The sessions of `user` in `store`, by the name that [`login`](super::Session::login) gets; those
    /// of layers that do not name their cookie.
    ///
    /// # Errors
    ///
    /// [`SessionError::InvalidUser`] when `user` is not 1 to 256 bytes.
    pub fn new(store: Store, user: &str) -> Result<Self, SessionError> {
        id::check_user(user)?;
        Ok(Self::of(store, "", user))
    }

    /// The sessions of layers with this [cookie name](super::SessionLayer::with_cookie_name), which are
    /// kept apart from all others.
    ///
    /// # Errors
    ///
    /// When no cookie can have this name.
    pub fn with_cookie_name(self, name: &str) -> Result<Self, SessionConfigError> {
        let cookie = CookieSettings::default().with_name(name)?;
        let name = Box::<str>::from(cookie.name_in_keys());
        let key = Names::new(self.store.names(), &name).index(&self.user);
        Ok(Self { name, key, ..self })
    }

    /// Of a user whose name was checked, with sessions of layers of this name in keys.
    pub(super) fn of(store: Store, name: &str, user: &str) -> Self {
        let user = BASE64.encode(Sha256::digest(user)).into_boxed_str();
        let key = Names::new(store.names(), name).index(&user);
        let name = name.into();
        Self {
            store,
            name,
            user,
            key,
        }
    }

    fn names(&self) -> Names<'_> {
        Names::new(self.store.names(), &self.name)
    }

    /// Ends the session with this handle, at once and in every process, and answers whether the
    /// user had it: `false` for a handle of somebody else's session, and of one that has ended. Four
    /// round trips.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]: the session may live on.
    pub async fn revoke(&self, handle: &str) -> Result<bool, StoreError> {
        let ended = self.condemn(Condemned::One(handle.into())).await?;
        Ok(ended > 0)
    }

    /// Ends all sessions of the user but that with this handle, at once and in every process.
    /// Answers how many. Four round trips.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]: some sessions may live on.
    pub async fn revoke_others(&self, handle: &str) -> Result<usize, StoreError> {
        self.condemn(Condemned::AllBut(handle.into())).await
    }

    /// Ends all sessions of the user, at once and in every process. Answers how many. Four round
    /// trips.
    ///
    /// # Errors
    ///
    /// Any [`StoreError`]: some sessions may live on.
    pub async fn revoke_all(&self) -> Result<usize, StoreError> {
        self.condemn(Condemned::All).await
    }
}
