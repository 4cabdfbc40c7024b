//! A token for the next one.

use super::{
    FamilyId, Grant, Issued, RefreshTokenError, RefreshTokens, Reuse,
    config::Config,
    grant,
    token::{self, Parts},
};
use crate::store::{
    operations::token::{Rotate, Rotation},
    random,
};

impl RefreshTokens {
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
        let nonce = random::secret()?;
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
}
