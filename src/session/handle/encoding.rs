//! Values as they are stored: JSON, encrypted where the layer says so.
//!
//! What a request has changed is JSON until it is written, since only then is it known to which session
//! it belongs.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    super::{error::SessionError, id::Place},
    Session,
};
use crate::store::operations::session::Changes;

/// A stored value as JSON.
pub(super) struct Opened {
    pub(super) text: Bytes,
    /// Whether the current key has encrypted it, or none had to.
    pub(super) is_current: bool,
}

impl Session {
    /// Writes a value as JSON.
    pub(super) fn encode<T: Serialize + ?Sized>(
        &self,
        key: &str,
        value: &T,
    ) -> Result<Bytes, SessionError> {
        let text = serde_json::to_vec(value).map_err(|error| SessionError::Serialize {
            key: key.into(),
            error,
        })?;
        Ok(text.into())
    }

    /// Encrypts a value of the session at `place` where the layer says so.
    pub(super) fn seal(
        &self,
        place: &Place,
        key: &str,
        text: Bytes,
    ) -> Result<Bytes, SessionError> {
        #[cfg(feature = "session-encryption")]
        if let Some(keys) = &self.0.config.data_keys {
            return keys.seal(&place.binds(key), &text).map(Bytes::from);
        }
        let _ = (place, key);
        Ok(text)
    }

    /// Changes as they are stored in the session at `place`.
    pub(super) fn seal_all(
        &self,
        place: &Place,
        changes: &Arc<Changes>,
    ) -> Result<Arc<Changes>, SessionError> {
        if !self.is_encrypted() {
            return Ok(changes.clone());
        }
        let fields = changes.fields.iter().map(|(key, value)| {
            let value = (value.clone()).map(|text| self.seal(place, key, text));
            Ok((key.clone(), value.transpose()?))
        });
        Ok(Arc::new(Changes {
            cleared: changes.cleared,
            fields: fields.collect::<Result<_, SessionError>>()?,
        }))
    }

    /// Decrypts a value of the session at `place` where the layer says that it is encrypted.
    pub(super) fn open(&self, place: &Place, key: &str, value: &Bytes) -> Option<Opened> {
        #[cfg(feature = "session-encryption")]
        if let Some(keys) = &self.0.config.data_keys {
            let Some((text, is_current)) = keys.open(&place.binds(key), value) else {
                #[cfg(feature = "metrics")]
                crate::metrics::session_unreadable("value");
                let session = self.log_id();
                tracing::warn!(target: "tower_keep::session", %session, key, "a session value cannot be decrypted by any key of the ring and counts as absent");
                return None;
            };
            let text = text.into();
            return Some(Opened { text, is_current });
        }
        let _ = (place, key);
        Some(Opened {
            text: value.clone(),
            is_current: true,
        })
    }

    pub(super) fn read<T: DeserializeOwned>(&self, key: &str, text: &[u8]) -> Option<T> {
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

    pub(super) fn is_encrypted(&self) -> bool {
        #[cfg(feature = "session-encryption")]
        return self.0.config.data_keys.is_some();
        #[cfg(not(feature = "session-encryption"))]
        false
    }
}
