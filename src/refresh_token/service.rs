//! The handle: issue and list.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Family, FamilyId, Grant, Issued, RefreshTokenError,
    config::Config,
    token::{self, Parts},
};
use crate::{
    Store,
    store::operations::token::{Digest, Issue, List},
};

/// Issues, exchanges and revokes refresh tokens.
///
/// | Setting | Default |
/// |---|---|
/// | [prefix](Self::with_prefix) | `rt_` |
/// | [idle lifetime](Self::with_idle_lifetime) of a token | 7 days |
/// | [absolute lifetime](Self::with_absolute_lifetime) of a family | 30 days |
/// | [grace](Self::with_grace) | 10 s |
/// | [families of a user](Self::with_max_families) | 100 |
///
/// Every call is one command and one round trip on Redis. Cheap to clone; see the
/// [module](super) for the rules.
#[derive(Debug, Clone)]
pub struct RefreshTokens {
    pub(super) store: Store,
    pub(super) config: Arc<Config>,
}

impl RefreshTokens {
    /// Tokens in `store` with the default settings.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            config: Arc::default(),
        }
    }

    /// A new family's first token, for a user who has just logged in.
    ///
    /// ```
    /// # use tower_keep::{Store, refresh_token::{Grant, RefreshTokenError, RefreshTokens}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), RefreshTokenError> {
    /// let tokens = RefreshTokens::new(Store::memory());
    /// let issued = tokens.issue(Grant::new("ada", "web").with_device("laptop")).await?;
    /// assert!(issued.token.expose().starts_with("rt_"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unusable`](RefreshTokenError::Unusable), [`Unavailable`](RefreshTokenError::Unavailable),
    /// [`NoEntropy`](RefreshTokenError::NoEntropy).
    pub async fn issue(&self, grant: Grant) -> Result<Issued, RefreshTokenError> {
        grant.check()?;
        let parts = Parts::first(grant.user())?;
        let lifetime = self.config.idle.min(self.config.absolute);
        let issue = Issue {
            user: parts.key(self.store.names()),
            family: parts.family(),
            secret: parts.secret(),
            client: token::client(grant.client()),
            device: grant.device().map_or(Digest([0; 16]), token::device),
            scope: grant.stored_scope(),
            about: grant.about(),
            lifetime,
            most: self.config.max_families,
        };
        self.store.execute(issue).await?;
        Ok(Issued {
            token: parts.token(&self.config.prefix),
            expires_in: lifetime,
            family: FamilyId(parts.family()),
            grant,
        })
    }

    /// The families of `user` that live, the one that was used last first.
    ///
    /// ```
    /// # use tower_keep::{Store, refresh_token::{Grant, RefreshTokenError, RefreshTokens}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), RefreshTokenError> {
    /// # let tokens = RefreshTokens::new(Store::memory());
    /// tokens.issue(Grant::new("ada", "web").with_device("laptop")).await?;
    /// let families = tokens.list("ada").await?;
    /// assert_eq!(families[0].grant.device(), Some("laptop"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unavailable`](RefreshTokenError::Unavailable).
    pub async fn list(&self, user: &str) -> Result<Vec<Family>, RefreshTokenError> {
        let list = List(token::key(self.store.names(), user));
        let listed = self.store.execute(list).await?;
        let mut families = Vec::with_capacity(listed.families.len());
        let absolute = u64::try_from(self.config.absolute.as_millis()).unwrap_or(u64::MAX);
        for (name, stored) in listed.families {
            let ends = stored.ends.min(stored.created.saturating_add(absolute));
            // The absolute lifetime may have been longer when it was issued.
            if ends <= listed.now {
                continue;
            }
            families.push(Family {
                id: FamilyId(name),
                grant: Grant::read(&stored.scope, &stored.about)?,
                created_at: moment(stored.created),
                rotated_at: moment(stored.rotated),
                expires_in: Duration::from_millis(ends - listed.now),
            });
        }
        families.sort_by_key(|family| std::cmp::Reverse(family.rotated_at));
        Ok(families)
    }
}

fn moment(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}
