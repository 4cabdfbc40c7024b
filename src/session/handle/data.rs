//! Reading and changing the values of a session.

use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{error::SessionError, id::Place},
    Session,
};
use crate::store::operations::session::{Changes, Follower, IncrementSession};

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
        let (value, place) = {
            let state = self.state();
            (state.value(key), state.place_of(key).cloned())
        };
        let Some(value) = value else {
            return Ok(None);
        };
        let Some(place) = place else {
            return Ok(self.read(key, &value));
        };
        let Some(opened) = self.open(&place, key, &value) else {
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
        state.change(key, value, &self.bounds())
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
            let found = self.reach(&target, Follower::Request, increment).await?;
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
        state.change(key, sum.to_string().into(), &self.bounds())?;
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

    /// Checks the sum of the number that was loaded, which another request may have changed
    /// since: the script checks again.
    fn check_sum(&self, key: &str, by: i64) -> Result<(), SessionError> {
        let mut state = self.state();
        match IncrementSession::sum(state.value(key).as_ref(), by) {
            Some(sum) => state.check(key, &sum.to_string().into(), &self.bounds()),
            None => Ok(()),
        }
    }
}
