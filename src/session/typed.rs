//! A session whose data are one type of the application.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{error::SessionError, handle::Session};

/// A [`Session`] whose data are a `T`: a struct whose fields are the session's keys, so that
/// concurrent requests that change different fields keep both.
///
/// ```
/// # #[cfg(feature = "axum")] {
/// use serde::{Deserialize, Serialize};
/// use tower_keep::session::{SessionError, TypedSession};
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct Shop {
///     cart: Vec<String>,
///     currency: Option<String>,
/// }
///
/// async fn add(session: TypedSession<Shop>) -> Result<String, SessionError> {
///     let mut shop = session.get().await?;
///     shop.cart.push("tea".to_owned());
///     session.set(&shop).await?;
///     Ok(format!("{} things", shop.cart.len()))
/// }
/// # }
/// ```
pub struct TypedSession<T> {
    session: Session,
    data: PhantomData<fn() -> T>,
}

impl<T> TypedSession<T> {
    /// The data of `session` as a `T`.
    pub fn new(session: Session) -> Self {
        let data = PhantomData;
        Self { session, data }
    }

    /// The session itself, for what is not about its data.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl<T: Serialize + DeserializeOwned + Default> TypedSession<T> {
    /// The data; a field that the session does not have, or that does not read as its type (with an
    /// event at level `warn`), is that of `T`'s default. One round trip if nothing was loaded yet.
    ///
    /// # Errors
    ///
    /// As of [`Session::get`]; [`SessionError::Serialize`] when `T` is no struct or map.
    pub async fn get(&self) -> Result<T, SessionError> {
        let mut fields = object(&T::default())?;
        for (name, value) in &mut fields {
            let Some(stored) = self.session.get::<Value>(name).await? else {
                continue;
            };
            *value = stored;
        }
        let read = |fields| serde_json::from_value(Value::Object(fields));
        match read(fields.clone()) {
            Ok(data) => Ok(data),
            // Field by field, to keep what still reads.
            Err(_) => {
                let mut known = object(&T::default())?;
                for (name, value) in fields {
                    let mut tried = known.clone();
                    tried.insert(name.clone(), value);
                    match read(tried.clone()) {
                        Ok(_) => known = tried,
                        Err(error) => self.session.report_unreadable(&name, &error),
                    }
                }
                read(known).map_err(serialize)
            }
        }
    }

    /// Sets the data at the commit. Only fields that have changed are written; what is `null` is
    /// removed. One round trip if nothing was loaded yet.
    ///
    /// # Errors
    ///
    /// As of [`Session::insert`]; [`SessionError::Serialize`] when `T` is no struct or map.
    pub async fn set(&self, data: &T) -> Result<(), SessionError> {
        for (name, value) in object(data)? {
            // Without the comparison a field that another request has changed would be set back.
            if self.session.get::<Value>(&name).await?.unwrap_or_default() == value {
                continue;
            }
            match value {
                Value::Null => self.session.remove(&name)?,
                value => self.session.insert(&name, &value)?,
            }
        }
        Ok(())
    }
}

fn object<T: Serialize>(data: &T) -> Result<Map<String, Value>, SessionError> {
    match serde_json::to_value(data).map_err(serialize)? {
        Value::Object(fields) => Ok(fields),
        _ => Err(serialize(serde::ser::Error::custom(
            "expected a struct or a map",
        ))),
    }
}

fn serialize(error: serde_json::Error) -> SessionError {
    let key = "a typed session".into();
    SessionError::Serialize { key, error }
}

impl<T> Clone for TypedSession<T> {
    fn clone(&self) -> Self {
        Self::new(self.session.clone())
    }
}

impl<T> fmt::Debug for TypedSession<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedSession").field(&self.session).finish()
    }
}
