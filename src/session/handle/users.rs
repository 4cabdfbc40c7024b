//! The other sessions of the user who is logged in.

use std::sync::Arc;

use super::{
    super::{
        error::SessionError,
        user_sessions::{SessionInfo, UserSessions},
    },
    Session,
};
use crate::{store::StoreError, to_the_end::to_the_end};

impl Session {
    /// The sessions of the user who is logged in, this one among them, the oldest first; none
    /// when nobody is. After a [`login`](Self::login) of this request they are those of the user who
    /// logs in, and this one joins them when it is stored. Three round trips, one more if nothing was
    /// loaded yet.
    ///
    /// ```
    /// use tower_keep::session::{Session, SessionError};
    ///
    /// async fn devices(session: Session) -> Result<String, SessionError> {
    ///     let sessions = session.list_sessions().await?;
    ///     let devices = sessions.iter().map(|session| &*session.device);
    ///     Ok(devices.collect::<Vec<_>>().join(", "))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get).
    pub async fn list_sessions(&self) -> Result<Vec<SessionInfo>, SessionError> {
        let Some((handle, user)) = self.own_sessions().await? else {
            return Ok(Vec::new());
        };
        let mut sessions = user.list().await?;
        for session in &mut sessions {
            session.is_current = handle.as_ref() == Some(&session.handle);
        }
        Ok(sessions)
    }

    /// Ends the session of this user with this handle, at once and in every process, and answers
    /// whether there was one: a handle of somebody else's session is `false`, and leaves that
    /// alone. With this session's own handle it is [`destroy`](Self::destroy). Four round trips,
    /// one more if nothing was loaded yet.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// /// `handle` is one of those that [`list_sessions`](Session::list_sessions) has given.
    /// async fn end(session: &Session, handle: &str) -> Result<&'static str, SessionError> {
    ///     Ok(match session.revoke_session(handle).await? {
    ///         true => "That device is logged out.",
    ///         false => "You have no such session.",
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Unavailable`]: the session may live on; [`SessionError::Committed`].
    pub async fn revoke_session(&self, handle: &str) -> Result<bool, SessionError> {
        let Some((own, user)) = self.own_sessions().await? else {
            return Ok(false);
        };
        if own.as_deref() == Some(handle) {
            self.destroy().await?;
            return Ok(true);
        }
        Ok(user.revoke(handle).await?)
    }

    /// Ends all other sessions of this user, at once and in every process. Answers how many. After a
    /// [`login`](Self::login) of this request this user is the one who logs in. Four round trips, one
    /// more if nothing was loaded yet.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// /// Whoever knew the old password is logged out.
    /// async fn password_changed(session: &Session) -> Result<(), SessionError> {
    ///     session.renew()?;
    ///     session.revoke_other_sessions().await.map(drop)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`revoke_session`](Self::revoke_session).
    pub async fn revoke_other_sessions(&self) -> Result<usize, SessionError> {
        match self.own_sessions().await? {
            Some((Some(own), user)) => Ok(user.revoke_others(&own).await?),
            Some((None, user)) => Ok(user.revoke_all().await?),
            None => Ok(0),
        }
    }

    /// Ends all sessions of this user, at once and in every process, and this one with them, as
    /// [`destroy`](Self::destroy) does. Answers how many. Without a user it only destroys this one. Four
    /// round trips and those of [`destroy`](Self::destroy), one more if nothing was loaded yet.
    ///
    /// One step marks them all, this one among them, and they end also if the client leaves
    /// meanwhile. Should the process die before they have, the next list, revocation or login at the
    /// cap of this user ends them.
    ///
    /// # Errors
    ///
    /// As of [`revoke_session`](Self::revoke_session).
    pub async fn revoke_all_sessions(&self) -> Result<usize, SessionError> {
        let user = self.own_sessions().await?.map(|(_, user)| user);
        // Before anything is ended: afterwards this one could not be.
        if let Err(error @ SessionError::Committed) = self.state().writable() {
            return Err(error);
        }
        let session = self.clone();
        let ended = to_the_end(async move {
            let ended = match user {
                Some(user) => user.revoke_all().await?,
                None => 0,
            };
            // It is still there where no list had it.
            Ok(ended + usize::from(session.end_stored().await?))
        });
        (ended.await).unwrap_or(Err(StoreError::Unavailable.into()))
    }

    /// The handle of this session among those of the user who is logged in, if it was stored as one,
    /// and all of them.
    async fn own_sessions(&self) -> Result<Option<(Option<Arc<str>>, UserSessions)>, SessionError> {
        drop(self.used());
        self.load().await?;
        let state = self.state();
        let live = state.live();
        let stored = live.and_then(|live| live.seen.user.as_ref());
        let login = state.login.as_ref().map(|login| &login.user);
        let Some(user) = login.or(stored) else {
            return Ok(None);
        };
        let own = live.filter(|_| stored == Some(user));
        let own = own.map(|live| live.seen.lineage.clone());
        let user = self.sessions_of(user);
        Ok(Some((own, user)))
    }
}
