//! The end of tokens, families, devices and users.

use super::{
    FamilyId, RefreshTokenError, RefreshTokens,
    token::{self, Parts},
};
use crate::store::operations::token::{RevokeDevice, RevokeFamily, RevokeUser};

impl RefreshTokens {
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
}
