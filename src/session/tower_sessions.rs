//! The store of `tower-sessions`, for applications that use that crate or `axum-login`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use cookie::time::OffsetDateTime;
use sha2::{Digest, Sha256};
use tower_sessions_core::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

use super::config::Config;
use crate::{
    Store,
    store::{
        Key, StoreError,
        operations::session::{
            Access, Changes, CommitSession, CreateSession, DestroySession, Lifetime, LoadSession,
            Names, Reached, Rules, Size, Via,
        },
    },
};

/// A [`SessionStore`] of `tower-sessions` over a [`Store`]: embedded memory, or Redis over the
/// application's own pool.
///
/// ```
/// use tower_keep::{Store, session::TowerSessionsStore};
///
/// let sessions = TowerSessionsStore::new(Store::memory());
/// // let layer = tower_sessions::SessionManagerLayer::new(sessions);
/// ```
///
/// The store knows ids only by their SHA-256, values are fields of a hash, and a session that was
/// deleted is not brought back by a request that saves it later. Of two requests at once the last
/// one to save still decides on all values: `tower-sessions` saves whole records. A record holds at
/// most 64 KiB and 128 values.
#[derive(Debug, Clone)]
pub struct TowerSessionsStore {
    store: Store,
}

/// Where a record is, and what the hash of its id says of it.
struct Place {
    key: Key,
    lineage: Arc<str>,
}

impl TowerSessionsStore {
    /// Records in `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    fn place(&self, id: Id) -> Place {
        let digest = Sha256::new()
            .chain_update("tower-sessions")
            .chain_update(id.0.to_be_bytes())
            .finalize();
        let hash = BASE64.encode(digest);
        Place {
            key: Names::new(self.store.names(), "").session(&hash[..4], &hash),
            lineage: hash[..16].into(),
        }
    }

    /// No record ends by these: each has a lifetime of its own.
    fn rules() -> Rules {
        let bounds = Config::default();
        Rules {
            idle: ALWAYS,
            absolute: ALWAYS,
            touch_fraction: 0.0,
            max_bytes: bounds.max_bytes,
            max_keys: bounds.max_keys,
        }
    }

    fn access(&self, id: Id) -> Access {
        Access {
            key: self.place(id).key,
            via: Via::Presented,
            rules: Self::rules(),
            lineage: None,
            touch: true,
        }
    }
}

/// Longer than the store keeps anything.
const ALWAYS: Duration = Duration::from_secs(20 * 365 * 24 * 3600);

#[async_trait]
impl SessionStore for TowerSessionsStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        while self.load(&record.id).await?.is_some() {
            record.id = Id::default();
        }
        let fields = fields(record)?;
        let bounds = Config::default();
        if Size::of(&fields).over(Size::default(), bounds.max_bytes, bounds.max_keys) {
            return Err(too_large());
        }
        let place = self.place(record.id);
        let create = CreateSession {
            key: place.key,
            rules: Self::rules(),
            lifetime: Some(lifetime(record)),
            lineage: place.lineage,
            user: None,
            fields,
        };
        self.store.execute(create).await.map_err(backend).map(drop)
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let fields = Arc::unwrap_or_clone(fields(record)?);
        let changes = Changes {
            cleared: true,
            fields: (fields.into_iter())
                .map(|(name, value)| (name, Some(value)))
                .collect(),
        };
        let save = CommitSession {
            access: self.access(record.id),
            changes: Arc::new(changes),
            lifetime: Some(lifetime(record)),
            renewal: None,
        };
        match self.store.execute(save).await.map_err(backend)? {
            Reached::TooLarge => Err(too_large()),
            Reached::Here(_) => Ok(()),
            _ => {
                tracing::info!(target: "tower_keep::session", "a session was deleted before it was saved: its changes are dropped");
                Ok(())
            }
        }
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let load = LoadSession(self.access(*id));
        let Reached::Here(session) = self.store.execute(load).await.map_err(backend)? else {
            return Ok(None);
        };
        let data = (session.fields.iter())
            .map(|(name, value)| Ok((name.to_string(), serde_json::from_slice(value)?)))
            .collect::<std::result::Result<_, serde_json::Error>>()
            .map_err(|error| Error::Decode(format!("{:?}", error.classify())))?;
        Ok(Some(Record {
            id: *id,
            data,
            expiry_date: OffsetDateTime::now_utc()
                + session.age.ends.saturating_sub(session.age.session),
        }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let destroy = DestroySession {
            access: self.access(*id),
            presented: None,
        };
        self.store.execute(destroy).await.map_err(backend).map(drop)
    }
}

/// A record ends when it says: so long after it was saved, at least a millisecond. What has ended
/// is then gone at once.
fn lifetime(record: &Record) -> Lifetime {
    let left = record.expiry_date - OffsetDateTime::now_utc();
    let left = Duration::try_from(left).unwrap_or_default();
    Lifetime::Own {
        idle: left.clamp(Duration::from_millis(1), ALWAYS),
        absolute: ALWAYS,
        persistent: false,
    }
}

fn fields(record: &Record) -> Result<Arc<BTreeMap<Box<str>, bytes::Bytes>>> {
    let encode = |(name, value): (&String, &serde_json::Value)| {
        let value = serde_json::to_vec(value)?;
        Ok((name.as_str().into(), value.into()))
    };
    let fields = record.data.iter().map(encode);
    let fields = fields.collect::<std::result::Result<_, serde_json::Error>>();
    fields
        .map(Arc::new)
        .map_err(|error| Error::Encode(error.to_string()))
}

fn backend(error: StoreError) -> Error {
    Error::Backend(error.to_string())
}

fn too_large() -> Error {
    Error::Backend("the session would grow over its bounds".to_owned())
}
