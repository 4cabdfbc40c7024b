//! The handle: issue, rotate, revoke, list.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    Family, FamilyId, Grant, Issued, RefreshTokenConfigError, RefreshTokenError, Reuse,
    config::{self, Config},
    grant,
    token::{self, Parts, random},
};
use crate::{
    Store,
    store::operations::token::{
        Digest, Issue, List, RevokeDevice, RevokeFamily, RevokeUser, Rotate, Rotation,
    },
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
    store: Store,
    config: Arc<Config>,
}

impl RefreshTokens {
    /// Tokens in `store` with the default settings.
    pub fn new(store: Store) -> Self {
        Self {
            store,
            config: Arc::default(),
        }
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }

    /// Begins every token with `prefix`, by which scanners find those that leak. Tokens with
    /// another one are unknown from then on.
    ///
    /// # Errors
    ///
    /// When it is not up to 32 of `a-z A-Z 0-9 _ -`.
    pub fn with_prefix(self, prefix: &str) -> Result<Self, RefreshTokenConfigError> {
        let prefix = config::prefix(prefix)?;
        Ok(self.set(|config| config.prefix = prefix))
    }

    /// How long a token can be exchanged, by the store's clock. Default 7 days.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond or more than ten years.
    pub fn with_idle_lifetime(self, idle: Duration) -> Result<Self, RefreshTokenConfigError> {
        let idle = config::lifetime("idle lifetime", idle)?;
        Ok(self.set(|config| config.idle = idle))
    }

    /// How long after its login a family ends, however often it is rotated. Default 30 days.
    /// What it was when a family began does not matter: a shorter one ends those that are older.
    ///
    /// # Errors
    ///
    /// When it is less than a millisecond or more than ten years.
    pub fn with_absolute_lifetime(
        self,
        absolute: Duration,
    ) -> Result<Self, RefreshTokenConfigError> {
        let absolute = config::lifetime("absolute lifetime", absolute)?;
        Ok(self.set(|config| config.absolute = absolute))
    }

    /// For how long a token that was exchanged still gives its successor, the same one each time,
    /// unless that was used: for clients that lose an answer or ask twice at once. Default 10 s.
    ///
    /// Zero takes every second use for a theft, also one whose answer was lost.
    ///
    /// # Errors
    ///
    /// When it is more than an hour: so long a stolen token goes unnoticed.
    pub fn with_grace(self, grace: Duration) -> Result<Self, RefreshTokenConfigError> {
        let grace = config::grace(grace)?;
        Ok(self.set(|config| config.grace = grace))
    }

    /// How many families, that is logins, a user may have. One more ends the one that was not
    /// used for longest. Default 100.
    ///
    /// # Errors
    ///
    /// When it is not from 1 to 1000.
    pub fn with_max_families(self, most: usize) -> Result<Self, RefreshTokenConfigError> {
        let most = config::max_families(most)?;
        Ok(self.set(|config| config.max_families = most))
    }

    /// Calls `event` when a token was used twice and its family is revoked for it, before the
    /// rotation answers. Once a family. It is to return soon: spawn what takes time.
    ///
    /// ```
    /// use tower_keep::{Store, refresh_token::RefreshTokens};
    ///
    /// let tokens = RefreshTokens::new(Store::memory())
    ///     .on_reuse(|reuse| println!("write to {}: somebody has your login", reuse.grant.user()));
    /// ```
    #[must_use]
    pub fn on_reuse(self, event: impl Fn(&Reuse) + Send + Sync + 'static) -> Self {
        self.set(|config| config.on_reuse = Some(Arc::new(event)))
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

    /// Exchanges `token`, which `client` has presented, for the next one.
    ///
    /// ```
    /// # use tower_keep::{Store, refresh_token::{Grant, RefreshTokenError, RefreshTokens}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), RefreshTokenError> {
    /// # let tokens = RefreshTokens::new(Store::memory());
    /// # let first = tokens.issue(Grant::new("ada", "web")).await?.token;
    /// let next = tokens.rotate(first.expose(), "web").await?;
    /// assert_eq!(next.grant.user(), "ada");
    /// // An answer that was lost is given again.
    /// assert_eq!(tokens.rotate(first.expose(), "web").await?.token, next.token);
    /// // A token that was used long ago is in the wrong hands.
    /// let newest = tokens.rotate(next.token.expose(), "web").await?.token;
    /// let stolen = tokens.rotate(first.expose(), "web").await;
    /// assert!(matches!(stolen, Err(RefreshTokenError::Reused)));
    /// assert!(tokens.rotate(newest.expose(), "web").await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`](RefreshTokenError::Invalid), [`Reused`](RefreshTokenError::Reused),
    /// [`OtherClient`](RefreshTokenError::OtherClient),
    /// [`Unavailable`](RefreshTokenError::Unavailable), [`NoEntropy`](RefreshTokenError::NoEntropy).
    pub async fn rotate(&self, token: &str, client: &str) -> Result<Issued, RefreshTokenError> {
        self.rotate_for(token, client, Vec::new()).await
    }

    /// As [`rotate`](Self::rotate), for an access token of this `scope` only, which must not exceed
    /// what was granted. The next refresh token is good for all that was granted, as this one is
    /// (RFC 6749, section 6).
    ///
    /// # Errors
    ///
    /// Also [`WiderScope`](RefreshTokenError::WiderScope) and, for what is no scope at all,
    /// [`Unusable`](RefreshTokenError::Unusable). The token stays good.
    pub async fn rotate_with_scope(
        &self,
        token: &str,
        client: &str,
        scope: &str,
    ) -> Result<Issued, RefreshTokenError> {
        grant::scope(scope)?;
        let scope = scope.split(' ').map(|token| format!(" {token} "));
        self.rotate_for(token, client, scope.collect()).await
    }

    async fn rotate_for(
        &self,
        token: &str,
        client: &str,
        scope: Vec<String>,
    ) -> Result<Issued, RefreshTokenError> {
        let Config {
            prefix,
            idle,
            absolute,
            grace,
            ..
        } = &*self.config;
        let presented = Parts::parse(prefix, token).ok_or(RefreshTokenError::Invalid)?;
        let family = presented.family();
        let nonce = random()?;
        let mut successor = presented.successor(&nonce);
        let rotate = Rotate {
            user: presented.key(self.store.names()),
            family,
            generation: presented.generation,
            secret: presented.secret(),
            nonce,
            successor: successor.secret(),
            client: token::client(client),
            scope,
            idle: *idle,
            absolute: *absolute,
            grace: *grace,
        };
        match self.store.execute(rotate).await? {
            Rotation::Rotated {
                nonce: taken,
                lifetime,
                scope,
                about,
            } => {
                if taken != nonce {
                    successor = presented.successor(&taken);
                }
                Ok(Issued {
                    token: successor.token(prefix),
                    expires_in: lifetime,
                    family: FamilyId(family),
                    grant: Grant::read(&scope, &about)?,
                })
            }
            Rotation::Reused { scope, about } => {
                self.reused(Reuse {
                    family: FamilyId(family),
                    grant: Grant::read(&scope, &about)?,
                    presented_by: client.chars().take(256).collect::<String>().into(),
                });
                Err(RefreshTokenError::Reused)
            }
            Rotation::Unknown => Err(RefreshTokenError::Invalid),
            Rotation::OtherClient => Err(RefreshTokenError::OtherClient),
            Rotation::WiderScope => Err(RefreshTokenError::WiderScope),
        }
    }

    fn reused(&self, reuse: Reuse) {
        tracing::warn!(target: "tower_keep::refresh_token", family = %reuse.family, "a refresh token was used twice: its family is revoked");
        if let Some(event) = &self.config.on_reuse {
            event(&reuse);
        }
    }

    /// Revokes the family of `token`, whichever of its tokens that is: a logout. A token that is
    /// unknown or revoked already is none to complain about (RFC 7009, section 2.2).
    ///
    /// # Errors
    ///
    /// [`Unavailable`](RefreshTokenError::Unavailable): the token may still be good.
    pub async fn revoke(&self, token: &str) -> Result<(), RefreshTokenError> {
        let Some(parts) = Parts::parse(&self.config.prefix, token) else {
            return Ok(());
        };
        let revoke = RevokeFamily {
            user: parts.key(self.store.names()),
            family: parts.family(),
        };
        Ok(self.store.execute(revoke).await?)
    }

    /// Revokes a family of `user` by its public name, as [`list`](Self::list) has it. One that is
    /// another user's stays as it is.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](RefreshTokenError::Unavailable).
    pub async fn revoke_family(
        &self,
        user: &str,
        family: FamilyId,
    ) -> Result<(), RefreshTokenError> {
        let revoke = RevokeFamily {
            user: token::key(self.store.names(), user),
            family: family.0,
        };
        Ok(self.store.execute(revoke).await?)
    }

    /// Revokes what `user` was issued on a device.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](RefreshTokenError::Unavailable).
    pub async fn revoke_device(&self, user: &str, device: &str) -> Result<(), RefreshTokenError> {
        let revoke = RevokeDevice {
            user: token::key(self.store.names(), user),
            device: token::device(device),
        };
        Ok(self.store.execute(revoke).await?)
    }

    /// Revokes all that `user` was issued, as after a change of the password. A rotation that is
    /// under way gives its client a token that is of no use.
    ///
    /// ```
    /// # use tower_keep::{Store, refresh_token::{Grant, RefreshTokenError, RefreshTokens}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), RefreshTokenError> {
    /// # let tokens = RefreshTokens::new(Store::memory());
    /// let issued = tokens.issue(Grant::new("ada", "web")).await?;
    /// tokens.revoke_user("ada").await?;
    /// assert!(tokens.rotate(issued.token.expose(), "web").await.is_err());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Unavailable`](RefreshTokenError::Unavailable).
    pub async fn revoke_user(&self, user: &str) -> Result<(), RefreshTokenError> {
        let revoke = RevokeUser(token::key(self.store.names(), user));
        Ok(self.store.execute(revoke).await?)
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
        for (name, stored) in listed.families {
            families.push(Family {
                id: FamilyId(name),
                grant: Grant::read(&stored.scope, &stored.about)?,
                created_at: moment(stored.created),
                rotated_at: moment(stored.rotated),
                expires_in: Duration::from_millis(stored.ends - listed.now),
            });
        }
        families.sort_by_key(|family| std::cmp::Reverse(family.rotated_at));
        Ok(families)
    }
}

fn moment(millis: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis)
}
