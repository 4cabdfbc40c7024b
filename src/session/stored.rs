//! What a handle does on the stored session at once: load, increment, update, destroy.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Session, SessionError,
    handle::encode,
    id::{Place, SessionId},
    state::{Stored, Target},
};
use crate::store::{
    Operation, StoreError,
    operations::session::{
        Access, DestroySession, IncrementSession, LoadSession, Reached, Swap, SwapSession,
    },
};

/// How often an id may have been renewed within the grace for it still to lead to the session.
const MAX_MOVES: usize = 16;
/// Attempts of [`Session::update`]; each that fails means that another writer succeeded.
const MAX_ATTEMPTS: usize = 100;

impl Session {
    /// Adds `by` to the integer under `key`, atomically, and answers the sum; an absent value,
    /// or one that is no 64-bit integer, counts as 0. One round trip.
    ///
    /// On a stored session this happens at once and is not undone by a 5xx. Where there is no
    /// session yet, or this request has a change of `key` to commit, it becomes part of that.
    ///
    /// # Errors
    ///
    /// [`SessionError::Overflow`], and those of [`insert`](Self::insert).
    pub async fn increment(&self, key: &str, by: i64) -> Result<i64, SessionError> {
        drop(self.used());
        let _turn = self.0.turn.lock().await;
        if let Some(target) = self.target_of(key)? {
            let increment = |access, _| IncrementSession {
                access,
                field: key.into(),
                by,
            };
            if let Some((_, sum)) = self.reach(target, increment).await? {
                let sum = sum.ok_or_else(|| SessionError::Overflow(key.into()))?;
                self.state().learn(key, Some(sum.to_string().into()));
                return Ok(sum);
            }
            self.state().gone()?;
        }
        let mut state = self.state();
        state.writable()?;
        let sum = IncrementSession::sum(state.value(key).as_ref(), by)
            .ok_or_else(|| SessionError::Overflow(key.into()))?;
        state.change(key, Some(sum.to_string().into()));
        Ok(sum)
    }

    /// Replaces the value of `key` by what `f` makes of it, and answers the new one. When
    /// another request changes it in between, `f` is called again with what is there then.
    ///
    /// On a stored session this happens at once and is not undone by a 5xx, in one round trip
    /// when the session was loaded, two when not, and one more for each interference. Where
    /// there is no session yet, or this request has a change of `key` to commit, it becomes
    /// part of that.
    ///
    /// # Errors
    ///
    /// [`SessionError::Contended`] after 100 attempts, and those of [`insert`](Self::insert).
    pub async fn update<T, F>(&self, key: &str, mut f: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> T,
    {
        if !self.used().is_local(key) {
            self.load().await?;
        }
        let _turn = self.0.turn.lock().await;
        for _ in 0..MAX_ATTEMPTS {
            let target = self.target_of(key)?;
            let expected = self.state().value(key);
            let new = f((expected.as_ref()).and_then(|value| self.decode(key, value)));
            let value = encode(key, &new)?;
            let Some(target) = target else {
                let mut state = self.state();
                state.writable()?;
                state.change(key, Some(value));
                return Ok(new);
            };
            let swap = |access, _| SwapSession {
                access,
                field: key.into(),
                expected: expected.clone(),
                value: value.clone(),
            };
            match self.reach(target, swap).await? {
                Some((_, Swap::Done)) => {
                    self.state().learn(key, Some(value));
                    return Ok(new);
                }
                Some((_, Swap::Conflict(current))) => self.state().learn(key, current),
                None => self.state().gone()?,
            }
        }
        Err(SessionError::Contended(key.into()))
    }

    /// Ends the session, at once and for every process: a logout. What the request has changed
    /// is dropped with it, and the response takes the cookie back. What is written after it
    /// makes a new session. One round trip; none without a session cookie.
    ///
    /// # Errors
    ///
    /// [`SessionError::Unavailable`]: the session may live on; [`SessionError::Committed`].
    pub async fn destroy(&self) -> Result<(), SessionError> {
        drop(self.used());
        let _turn = self.0.turn.lock().await;
        let target = {
            let state = self.state();
            match state.writable() {
                Ok(()) => self.target(&state.stored),
                // It is gone already, as it should be.
                Err(SessionError::Ended) => None,
                Err(error) => return Err(error),
            }
        };
        if let Some(target) = target {
            self.reach(target, |access, _| DestroySession(access))
                .await?;
        }
        self.state().destroyed(self.0.presented.is_some());
        Ok(())
    }

    /// Asks the store for the session, unless that was done.
    pub(super) async fn load(&self) -> Result<(), SessionError> {
        let on_error = self.0.config.on_store_error;
        if self.state().readable(on_error)? {
            return Ok(());
        }
        let _turn = self.0.turn.lock().await;
        if self.state().readable(on_error)? {
            return Ok(());
        }
        let Some(target) = self.target(&Stored::Unknown) else {
            return Ok(());
        };
        let loaded = self.reach(target, |access, _| LoadSession(access)).await;
        let mut state = self.state();
        match loaded {
            Ok(Some((place, session))) => state.loaded(place, session),
            Ok(None) => state.stored = Stored::Absent,
            // It is noted in the state by now, and an error or not as the policy says.
            Err(_) => {
                state.readable(on_error)?;
            }
        }
        Ok(())
    }

    /// Where an immediate change of `key` is to go; `None` if it is local.
    fn target_of(&self, key: &str) -> Result<Option<Target>, SessionError> {
        let state = self.state();
        state.writable()?;
        let local = state.is_local(key);
        Ok(self.target(&state.stored).filter(|_| !local))
    }

    /// Where the session stands as far as is known.
    pub(super) fn target(&self, stored: &Stored) -> Option<Target> {
        match stored {
            Stored::Unknown => Some(Target {
                place: self.0.presented.as_ref().map(SessionId::place)?,
                lineage: None,
            }),
            Stored::Live(live) => Some(Target {
                place: live.place.clone(),
                lineage: Some(live.lineage.clone()),
            }),
            Stored::Absent | Stored::Ended(_) => None,
        }
    }

    /// Executes an operation where the session is, along the pointers of renewed ids; `None`
    /// if it is nowhere. `operation` gets to know whether a pointer led there. A failure is
    /// noted and ends the use of the session.
    pub(super) async fn reach<O, T>(
        &self,
        Target { mut place, lineage }: Target,
        operation: impl Fn(Access, bool) -> O,
    ) -> Result<Option<(Place, T)>, StoreError>
    where
        O: Operation<Output = Reached<T>>,
    {
        let store = &self.0.store;
        for _ in 0..=MAX_MOVES {
            let access = Access {
                key: place.key(store.names()),
                timeouts: self.0.config.timeouts(),
                lineage: lineage.clone(),
            };
            match store.execute(operation(access, place.moved)).await {
                Ok(Reached::Here(answer)) => return Ok(Some((place, answer))),
                Ok(Reached::Moved(id_hash)) => place.follow(id_hash),
                Ok(Reached::Gone) => return Ok(None),
                Err(error) => {
                    tracing::debug!(target: "tower_keep::session", %error, "the store failed a session");
                    self.state().failed = Some(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}
