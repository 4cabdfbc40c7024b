//! Reading and changing the values of a session.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{error::SessionError, id::Place},
    Session,
    reach::Target,
};
use crate::store::operations::session::{Changes, Follower, IncrementSession, Swap, SwapSession};

/// Attempts of [`Session::update`]; each that fails means that another writer succeeded.
const MAX_ATTEMPTS: usize = 100;

impl Session {
    /// The value of `key`. One round trip if nothing was loaded yet.
    ///
    /// A value that does not read as a `T`, an older version's perhaps, counts as absent, with
    /// an event at level `warn`.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn currency(session: &Session) -> Result<String, SessionError> {
    ///     let currency = session.get::<String>("currency").await?;
    ///     Ok(currency.unwrap_or_else(|| "EUR".to_owned()))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Unavailable`]; [`SessionError::Committed`] for a first look after the
    /// response has begun.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, SessionError> {
        if !self.used().is_local(key) {
            self.load().await?;
        }
        let value = self.state().value(key);
        let Some(value) = value else {
            return Ok(None);
        };
        let Some(opened) = self.open(key, &value) else {
            return Ok(None);
        };
        if !opened.is_current {
            self.rewrite(key, &value, &opened.text).await;
        }
        Ok(self.read(key, &opened.text))
    }

    /// Sets the value of `key` at the commit: a value, or a reference to one.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// fn remember(session: &Session, cart: &Vec<String>) -> Result<(), SessionError> {
    ///     session.insert("currency", "EUR")?;
    ///     session.insert("page", 3)?;
    ///     session.insert("cart", cart)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Serialize`], [`SessionError::TooLarge`], [`SessionError::Committed`],
    /// [`SessionError::Ended`], and [`SessionError::Unavailable`] after the store has failed this
    /// request.
    pub fn insert<T: Serialize>(&self, key: &str, value: T) -> Result<(), SessionError> {
        let value = self.encode(key, &value)?;
        let mut state = self.used();
        state.writable()?;
        state.change(key, value, &self.rules())
    }

    /// Removes `key` at the commit.
    ///
    /// # Errors
    ///
    /// As of [`insert`](Self::insert).
    pub fn remove(&self, key: &str) -> Result<(), SessionError> {
        let mut state = self.used();
        state.writable()?;
        state.changes.fields.insert(key.into(), None);
        Ok(())
    }

    /// Removes all data at the commit; the session stays.
    ///
    /// # Errors
    ///
    /// As of [`insert`](Self::insert).
    pub fn clear(&self) -> Result<(), SessionError> {
        let mut state = self.used();
        state.writable()?;
        state.changes = Changes {
            cleared: true,
            ..Changes::default()
        };
        Ok(())
    }

    /// Adds `by` to the integer under `key`, atomically, and answers the sum; an absent value,
    /// or one that is no 64-bit integer, counts as 0. One round trip, one more after a
    /// [`login`](Self::login) if nothing was loaded yet.
    ///
    /// On a stored session this happens at once and is not undone by a 5xx. Where there is no
    /// session yet, or this request has a change of `key` to commit, it becomes part of that.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn greet(session: &Session) -> Result<String, SessionError> {
    ///     let visits = session.increment("visits", 1).await?;
    ///     Ok(format!("Welcome for the {visits}. time."))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Overflow`], and those of [`insert`](Self::insert).
    pub async fn increment(&self, key: &str, by: i64) -> Result<i64, SessionError> {
        if self.is_encrypted() {
            let add = |number: Option<serde_json::Value>| {
                let number = number.and_then(|number| number.as_i64()).unwrap_or(0);
                let overflow = || SessionError::Overflow(key.into());
                number.checked_add(by).ok_or_else(overflow)
            };
            return self.replace(key, add).await;
        }
        let logs_in = self.used().login.is_some();
        if logs_in {
            self.load().await?;
        }
        let _turn = self.0.turn.lock().await;
        if let Some(target) = self.target_of(key)? {
            self.check_sum(key, by)?;
            let increment = |access, _: &Place| IncrementSession {
                access,
                field: key.into(),
                by,
            };
            let found = self.reach(target, Follower::Request, increment).await?;
            if let Some(sum) = found.answer() {
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
        state.change(key, sum.to_string().into(), &self.rules())?;
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
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// /// Two requests at once add both of their items.
    /// async fn add(session: &Session, item: &str) -> Result<usize, SessionError> {
    ///     let push = |cart: Option<Vec<String>>| {
    ///         let mut cart = cart.unwrap_or_default();
    ///         cart.push(item.to_owned());
    ///         cart
    ///     };
    ///     Ok(session.update("cart", push).await?.len())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SessionError::Contended`] after 100 attempts, and those of [`insert`](Self::insert).
    pub async fn update<T, F>(&self, key: &str, mut f: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: FnMut(Option<T>) -> T,
    {
        self.replace(key, |value| Ok(f(value))).await
    }

    /// As [`update`](Self::update), with another type for the new value, and an error that leaves
    /// all as it was.
    async fn replace<T, U>(
        &self,
        key: &str,
        f: impl FnMut(Option<T>) -> Result<U, SessionError>,
    ) -> Result<U, SessionError>
    where
        T: DeserializeOwned,
        U: Serialize,
    {
        let _turn = self.turn_to_change(key).await?;
        self.replace_stored(key, f).await
    }

    /// Removes the value of `key` and answers it: of several requests at once, one gets it. `about_to`
    /// is called with it before it is removed, and again where that was in vain.
    pub(super) async fn take<T: DeserializeOwned>(
        &self,
        key: &str,
        mut about_to: impl FnMut(Option<&T>),
    ) -> Result<Option<T>, SessionError> {
        let _turn = self.turn_to_change(key).await?;
        let remove = |value: Option<&Bytes>| {
            let value = value.and_then(|value| self.decode(key, value));
            about_to(value.as_ref());
            Ok((None, value))
        };
        self.exchange(key, remove).await
    }

    /// Waits until the session may be changed, with what it has under `key` loaded.
    async fn turn_to_change(
        &self,
        key: &str,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, SessionError> {
        if !self.used().is_local(key) {
            self.load().await?;
        }
        let turn = self.0.turn.lock().await;
        self.state().writable()?;
        Ok(turn)
    }

    /// As `replace`, for a caller that has the turn and has loaded the session.
    pub(super) async fn replace_stored<T, U>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<T>) -> Result<U, SessionError>,
    ) -> Result<U, SessionError>
    where
        T: DeserializeOwned,
        U: Serialize,
    {
        let replace = |value: Option<&Bytes>| {
            let new = f(value.and_then(|value| self.decode(key, value)))?;
            Ok((Some(self.encode(key, &new)?), new))
        };
        self.exchange(key, replace).await
    }

    /// Replaces what is stored under `key` by what `f` makes of it, and answers what else `f` says;
    /// `None` is nothing stored.
    async fn exchange<R>(
        &self,
        key: &str,
        mut f: impl FnMut(Option<&Bytes>) -> Result<(Option<Bytes>, R), SessionError>,
    ) -> Result<R, SessionError> {
        for _ in 0..MAX_ATTEMPTS {
            let (target, expected) = {
                let state = self.state();
                let target = self.target(&state.stored).filter(|_| !state.is_local(key));
                (target, state.value(key))
            };
            let (value, answer) = f(expected.as_ref())?;
            let Some(target) = target else {
                let mut state = self.state();
                state.writable()?;
                match value {
                    Some(value) => state.change(key, value, &self.rules())?,
                    None => drop(state.changes.fields.insert(key.into(), None)),
                }
                return Ok(answer);
            };
            if let Some(value) = &value {
                self.state().check(key, value, &self.rules())?;
            }
            let swap = |access, _: &Place| SwapSession {
                access,
                field: key.into(),
                expected: expected.clone(),
                value: value.clone(),
            };
            let found = self.reach(target, Follower::Request, swap).await?;
            match found.answer() {
                Some(Swap::Done) => {
                    self.state().learn(key, value);
                    return Ok(answer);
                }
                Some(Swap::Conflict(current)) => self.state().learn(key, current),
                None => self.state().gone()?,
            }
        }
        Err(SessionError::Contended(key.into()))
    }

    /// Checks the sum of the number that was loaded, which another request may have changed
    /// since: the script checks again.
    fn check_sum(&self, key: &str, by: i64) -> Result<(), SessionError> {
        let mut state = self.state();
        match IncrementSession::sum(state.value(key).as_ref(), by) {
            Some(sum) => state.check(key, &sum.to_string().into(), &self.rules()),
            None => Ok(()),
        }
    }

    /// Where an immediate change of `key` goes; `None` if only this request knows of the key.
    fn target_of(&self, key: &str) -> Result<Option<Target>, SessionError> {
        let state = self.state();
        state.writable()?;
        let local = state.is_local(key);
        Ok(self.target(&state.stored).filter(|_| !local))
    }

    /// Writes a value as JSON, and encrypts it where the layer says so.
    fn encode<T: Serialize + ?Sized>(&self, key: &str, value: &T) -> Result<Bytes, SessionError> {
        let text = serde_json::to_vec(value).map_err(|error| SessionError::Serialize {
            key: key.into(),
            error,
        })?;
        #[cfg(feature = "session-encryption")]
        if let Some(keys) = &self.0.config.data_keys {
            return keys.seal(key, &text).map(Bytes::from);
        }
        Ok(text.into())
    }

    fn decode<T: DeserializeOwned>(&self, key: &str, value: &Bytes) -> Option<T> {
        let opened = self.open(key, value)?;
        self.read(key, &opened.text)
    }

    /// Decrypts a value where the layer says that it is encrypted.
    fn open(&self, key: &str, value: &Bytes) -> Option<Opened> {
        #[cfg(feature = "session-encryption")]
        if let Some(keys) = &self.0.config.data_keys {
            let Some((text, is_current)) = keys.open(key, value) else {
                #[cfg(feature = "metrics")]
                crate::metrics::session_unreadable("value");
                let session = self.log_id();
                tracing::warn!(target: "tower_keep::session", %session, key, "a session value cannot be decrypted by any key of the ring and counts as absent");
                return None;
            };
            let text = text.into();
            return Some(Opened { text, is_current });
        }
        let _ = key;
        Some(Opened {
            text: value.clone(),
            is_current: true,
        })
    }

    fn read<T: DeserializeOwned>(&self, key: &str, text: &[u8]) -> Option<T> {
        let decoded = serde_json::from_slice(text);
        let report = |error: &serde_json::Error| self.report_unreadable(key, error);
        decoded.inspect_err(report).ok()
    }

    pub(in crate::session) fn report_unreadable(&self, key: &str, error: &serde_json::Error) {
        #[cfg(feature = "metrics")]
        crate::metrics::session_unreadable("value");
        // Not the message: it may quote the value.
        let (session, error) = (self.log_id(), error.classify());
        tracing::warn!(target: "tower_keep::session", %session, key, ?error, "a session value does not read as its type and counts as absent");
    }

    /// Encrypts a value anew that an earlier key has encrypted, if it is still the same in the
    /// store. A read does not fail when this does.
    async fn rewrite(&self, key: &str, old: &Bytes, text: &[u8]) {
        #[cfg(feature = "session-encryption")]
        if let (Some(keys), Ok(Some(target))) = (&self.0.config.data_keys, self.target_of(key))
            && let Ok(new) = keys.seal(key, text)
        {
            let new = Bytes::from(new);
            let swap = |access, _: &Place| SwapSession {
                access,
                field: key.into(),
                expected: Some(old.clone()),
                value: Some(new.clone()),
            };
            let _turn = self.0.turn.lock().await;
            if self.state().failed.is_some() {
                return;
            }
            match self.reach(target, Follower::Request, swap).await {
                Ok(super::reach::Found::Here(_, Swap::Done)) => {
                    self.state().learn(key, Some(new));
                }
                Ok(_) => {}
                // The request has not failed: the next one that reads the value tries again.
                Err(_) => self.state().failed = None,
            }
        }
        #[cfg(not(feature = "session-encryption"))]
        let _ = (key, old, text);
    }

    fn is_encrypted(&self) -> bool {
        #[cfg(feature = "session-encryption")]
        return self.0.config.data_keys.is_some();
        #[cfg(not(feature = "session-encryption"))]
        false
    }
}

/// A value as JSON.
struct Opened {
    text: Bytes,
    /// Whether the current key has encrypted it, or none had to.
    is_current: bool,
}
