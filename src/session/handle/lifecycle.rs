//! Login, renewal and logout, and what a session is.

use std::sync::Arc;

use super::{
    super::{
        error::SessionError,
        id::{self, Place, SessionId},
        lifetime::SessionLifetime,
    },
    Session, csrf,
    reach::Found,
    state::Login,
};
use crate::store::operations::session::{DestroySession, Follower, Via};

impl Session {
    /// Whether the store has the session. One round trip if nothing was loaded yet.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn exists(&self) -> Result<bool, SessionError> {
        drop(self.used());
        self.load().await?;
        Ok(self.state().live().is_some())
    }

    /// A public name of the session; `None` before it is stored. It stays the same when the id is
    /// renewed, and nobody gets into the session with it. One round trip if nothing was loaded yet.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn handle(&self) -> Result<Option<Arc<str>>, SessionError> {
        drop(self.used());
        self.load().await?;
        Ok(self.state().live().map(|live| live.seen.lineage.clone()))
    }

    /// Who is logged in, as [`login`](Self::login) has named them. One round trip if nothing was
    /// loaded yet.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn greet(session: &Session) -> Result<String, SessionError> {
    ///     Ok(match session.user().await? {
    ///         Some(user) => format!("Hello {user}"),
    ///         None => "Hello stranger".to_owned(),
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn user(&self) -> Result<Option<Arc<str>>, SessionError> {
        let login = self.used().login.clone();
        if let Some(login) = login {
            return Ok(Some(login.user));
        }
        self.load().await?;
        Ok(self.state().live().and_then(|live| live.seen.user.clone()))
    }

    /// The id that the client has sent, where the store has not told what is behind it.
    #[cfg(feature = "rate-limit")]
    pub(crate) fn unread_id(&self) -> Option<&str> {
        let unread = self.state().is_unread();
        let presented = self.0.presented.as_ref().filter(|_| unread);
        presented.map(SessionId::expose)
    }

    /// Logs `user` in, at the commit and in one step with the other changes: the session is
    /// theirs from then on and gets a new id (OWASP: session fixation). Call it at every login,
    /// after the password or whatever else was checked. `user` is what the application knows
    /// them by, 1 to 256 bytes.
    ///
    /// When nobody was logged in, or somebody else, the old id is anonymous at once. An anonymous
    /// session's data stay, those of another user go; what this request has set stays. When the
    /// same user was logged in, this is a [`renew`](Self::renew). Where there is no session yet,
    /// there is one then.
    ///
    /// The session is then in the list of the user's sessions, and beyond the layer's
    /// [cap](crate::session::SessionLayer::with_max_sessions_per_user) the oldest of them end. That is noted
    /// before the session is stored, in a round trip of its own.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn log_in(session: &Session) -> Result<(), SessionError> {
    ///     // … after the password was checked:
    ///     session.login("ada")?;
    ///     session.insert("currency", "EUR")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::InvalidUser`], and those of [`renew`](Self::renew).
    pub fn login(&self, user: &str) -> Result<(), SessionError> {
        self.bind(user, "")
    }

    /// As [`login`](Self::login), and notes the device for the list of the user's sessions: at
    /// most 256 bytes of text that tells its user which one it is.
    ///
    /// ```
    /// use tower_keep::session::{Session, SessionError};
    ///
    /// async fn log_in(session: Session) -> Result<(), SessionError> {
    ///     // … after the password was checked:
    ///     session.bind("ada", "Firefox on Linux")
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::InvalidDevice`], and those of [`login`](Self::login).
    pub fn bind(&self, user: &str, device: &str) -> Result<(), SessionError> {
        const MOST: usize = 256;
        let mut state = self.used();
        state.renewable()?;
        id::check_user(user)?;
        if device.len() > MOST {
            return Err(SessionError::InvalidDevice);
        }
        // What a form was given before is not good for the user who logs in.
        let secret = state.changes.fields.entry(csrf::KEY.into());
        secret.or_insert(None);
        state.login = Some(Login {
            user: user.into(),
            device: device.into(),
        });
        state.renew = true;
        Ok(())
    }

    /// Who is logged in, where somebody has to be. One round trip if nothing was loaded yet.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn whoami(session: Session) -> Result<String, SessionError> {
    ///     Ok(session.require_user().await?.to_string())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Unauthenticated`], a 401, or to a gRPC call `UNAUTHENTICATED`; those of
    /// [`get`](Self::get).
    pub async fn require_user(&self) -> Result<Arc<str>, SessionError> {
        self.user().await?.ok_or(SessionError::Unauthenticated)
    }

    /// Gives the session a new id at the commit, in one step with the other changes, for instance
    /// when the user's privileges change. Data and user stay. For a login there is
    /// [`login`](Self::login): after it the old id does not lead to the user's session.
    ///
    /// After a renewal the old id leads to the session until the new one was used, since its
    /// client may never have got the response; and for the
    /// [grace](crate::session::SessionLayer::with_renewal_grace) in any case, so that requests under way
    /// stay logged in. A request that comes by an old id commits its changes, but gets no
    /// new id.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn become_administrator(session: &Session) -> Result<(), SessionError> {
    ///     session.insert("administrator", true)?;
    ///     session.renew()
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Committed`], [`SessionError::Ended`], and [`SessionError::Unavailable`]
    /// after the store has failed this request.
    pub fn renew(&self) -> Result<(), SessionError> {
        let mut state = self.used();
        state.renewable()?;
        state.renew = true;
        Ok(())
    }

    /// Gives this session timeouts of its own at the commit, in one step with the other changes, and a
    /// new id with a cookie to match; `None` gives it those of its layer again. For a login with
    /// "remember me", see [`SessionLifetime`].
    ///
    /// They are stored with the session: every process goes by them, renewals and logins of the same
    /// user keep them, a logout and a login of another user end them. The absolute timeout counts from
    /// the creation of the session or the login of its user. Of a client without a session, nothing is
    /// stored by this alone. One round trip more for a session with a user, and for one that
    /// was not read.
    ///
    /// # Errors
    ///
    /// As of [`renew`](Self::renew).
    pub fn set_lifetime(
        &self,
        lifetime: impl Into<Option<SessionLifetime>>,
    ) -> Result<(), SessionError> {
        let mut state = self.used();
        state.renewable()?;
        state.lifetime = Some(lifetime.into());
        state.renew = true;
        Ok(())
    }

    /// Ends the session, at once and for every process: a logout. What the request has changed
    /// is dropped with it, and the response takes the cookie back. What is written after it
    /// makes a new session. One round trip; none without a session cookie, and one or two more
    /// over an id that was renewed or is new.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn log_out(session: &Session) -> Result<(), SessionError> {
    ///     session.destroy().await?;
    ///     // For the next page, which is nobody's: it comes with a new session.
    ///     session.flash("info", "You are logged out.").await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Unavailable`]: the session may live on; [`SessionError::Committed`].
    pub async fn destroy(&self) -> Result<(), SessionError> {
        self.end_stored().await.map(drop)
    }

    /// Likewise, and answers whether it was there.
    pub(super) async fn end_stored(&self) -> Result<bool, SessionError> {
        drop(self.used());
        let _turn = self.0.turn.lock().await;
        let target = {
            let state = self.state();
            match state.writable() {
                Ok(()) => self.target(&state.stored),
                // It has ended already, or there was none.
                Err(SessionError::Ended | SessionError::TooLateForCookie) => None,
                Err(error) => return Err(error),
            }
        };
        let mut ended = false;
        if let Some(target) = target {
            let destroy = |access, place: &Place| DestroySession {
                access,
                presented: (self.0.presented.as_ref())
                    .map(SessionId::place)
                    .filter(|presented| place.via != Via::Presented && presented.shares_slot(place))
                    .map(|presented| presented.key(self.names())),
            };
            let found = self.reach(&target, Follower::Request, destroy).await?;
            if let Found::Here(place, destroyed) = found {
                ended = true;
                if let Some(user) = destroyed.user {
                    self.leave(&user, &place.member(destroyed.lineage)).await;
                }
            }
        }
        self.state().destroyed();
        Ok(ended)
    }
}
