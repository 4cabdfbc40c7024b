//! Messages for the next page.

use serde::{Deserialize, Serialize};

use super::{super::error::SessionError, Session};

/// The session's key for messages. They count to its bounds.
const KEY: &str = "_flash";

/// A message that the next page shows once, as after a redirect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flash {
    /// What it is about: `success`, `error` or what the application likes.
    pub level: String,
    /// The message. Escape it, as all text in a page.
    pub text: String,
}

impl Session {
    /// Leaves a message for the next page. As an [`update`](Self::update): atomically, and on a
    /// stored session at once.
    ///
    /// ```
    /// # use tower_keep::session::{Session, SessionError};
    /// async fn save(session: Session) -> Result<(), SessionError> {
    ///     session.flash("success", "Your profile was saved.").await
    /// }
    ///
    /// async fn page(session: Session) -> Result<String, SessionError> {
    ///     let messages = session.take_flashes().await?;
    ///     Ok(messages.into_iter().map(|message| message.text).collect())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`update`](Self::update).
    pub async fn flash(&self, level: &str, text: &str) -> Result<(), SessionError> {
        let message = Flash {
            level: level.to_owned(),
            text: text.to_owned(),
        };
        let push = |messages: Option<Vec<Flash>>| {
            let mut messages = messages.unwrap_or_default();
            messages.push(message.clone());
            messages
        };
        self.update(KEY, push).await.map(drop)
    }

    /// The messages for this page, which are removed at the commit: a response that fails leaves
    /// them for the next.
    ///
    /// # Errors
    ///
    /// As of [`get`](Self::get) and [`remove`](Self::remove).
    pub async fn take_flashes(&self) -> Result<Vec<Flash>, SessionError> {
        let messages = self.get::<Vec<Flash>>(KEY).await?;
        if messages.is_some() {
            self.remove(KEY)?;
        }
        Ok(messages.unwrap_or_default())
    }
}
