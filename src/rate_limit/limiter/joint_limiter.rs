//! Several limiters as one, for callers without HTTP.

use super::{RateLimiter, decision::RateLimitDecision, joint::JointAsk, permit::Permit};
use crate::{rate_limit::policy::QuotaPolicyError, store::StoreError};

/// Limiters that are asked as one, each about a key of its own: a cost is taken of all of them, or
/// of none.
///
/// For a login that counts by address and by user name: one that is denied for the name has used up
/// no attempt of the address. Each limiter stays what it is. It can be asked and
/// [reset](RateLimiter::reset) by itself, and keeps its bans, its denials in this process and what
/// it does when the store fails.
///
/// ```
/// use tower_keep::{Store, rate_limit::{JointRateLimiter, RateLimiter}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Store::memory();
/// let addresses = RateLimiter::new(store.clone(), r#""address";q=20;w=60"#.parse()?);
/// let names = RateLimiter::new(store, r#""name";q=5;w=60"#.parse()?);
/// let logins = JointRateLimiter::new([addresses, names.clone()])?;
///
/// let permit = logins.acquire(["192.0.2.1", "ada"], 1).await?;
/// assert!(permit.is_admitted());
///
/// // The password was right.
/// names.reset("ada").await?;
/// # Ok(()) }
/// ```
///
/// # Cost
///
/// On a single server, also behind Sentinel, one `EVALSHA` and one round trip, and the store itself
/// takes of all or of none. On a cluster one `EVALSHA` for each key, side by side in one round trip.
/// Where some of them deny or do not answer, one more of each is sent that has charged the
/// others, and the denial is told when they have it back, or once the store's deadline has passed:
/// two round trips, for the first denial of a key, since this process then knows it.
///
/// # On a cluster
///
/// Never is more admitted than a policy says. Until what a denied call has taken is back, which is
/// a round trip, others may be denied for want of it. If the store fails in that moment, the
/// units stay charged and come back by time, as those of any call whose answer is lost: no more
/// than the call's cost, and only of the shard that has failed. The caller may leave at any time:
/// what was sent is brought to its end by a task.
#[derive(Debug, Clone)]
pub struct JointRateLimiter<const N: usize>([RateLimiter; N]);

impl<const N: usize> JointRateLimiter<N> {
    /// Asks `limiters` as one.
    ///
    /// # Errors
    ///
    /// When two policies have the same name, a limiter takes [blocks](RateLimiter::with_blocks), or
    /// they have different stores.
    pub fn new(limiters: [RateLimiter; N]) -> Result<Self, QuotaPolicyError> {
        check_joint(&limiters)?;
        Ok(Self(limiters))
    }

    /// The limiters, in order.
    pub fn limiters(&self) -> &[RateLimiter; N] {
        &self.0
    }

    /// Takes `cost` units of all policies of each limiter for its key, if all of them have so much
    /// left. The decision has the policies of all limiters, in order; of a denial that this process
    /// has remembered only those of the limiters that deny.
    ///
    /// # Errors
    ///
    /// As of [`RateLimiter::acquire`], for any of the limiters. Nothing is taken then.
    pub async fn acquire<K: AsRef<[u8]>>(
        &self,
        keys: [K; N],
        cost: u64,
    ) -> Result<Permit, StoreError> {
        self.ask(keys, cost, false).await
    }

    /// As [`acquire`](Self::acquire), of a cost that may turn out to be another: see
    /// [`RateLimiter::reserve`]. To [settle](RateLimitDecision::settle) it is one `EVALSHA` a limiter.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire).
    pub async fn reserve<K: AsRef<[u8]>>(
        &self,
        keys: [K; N],
        cost: u64,
    ) -> Result<Permit, StoreError> {
        self.ask(keys, cost, true).await
    }

    /// What is left for the keys; nothing is taken.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire).
    pub async fn peek<K: AsRef<[u8]>>(
        &self,
        keys: [K; N],
    ) -> Result<RateLimitDecision, StoreError> {
        Ok(self.ask(keys, 0, false).await?.into_decision())
    }

    async fn ask<K: AsRef<[u8]>>(
        &self,
        keys: [K; N],
        cost: u64,
        reserves: bool,
    ) -> Result<Permit, StoreError> {
        let parts = self.0.iter().zip(&keys);
        let parts = parts.map(|(limiter, key)| limiter.part(limiter.subject(key.as_ref())));
        let ask = JointAsk {
            parts: parts.collect(),
            cost,
            reserves,
        };
        ask.question().await.into_permit()
    }
}

/// Refuses limiters that cannot be asked as one.
pub(crate) fn check_joint<'a>(
    limiters: impl IntoIterator<Item = &'a RateLimiter>,
) -> Result<(), QuotaPolicyError> {
    let mut known: Vec<&RateLimiter> = Vec::new();
    for limiter in limiters {
        for policy in limiter.policies() {
            let name = || policy.name().to_owned();
            let named = known.iter().flat_map(|known| known.policies());
            if named.into_iter().any(|other| other.name() == policy.name()) {
                return Err(QuotaPolicyError::Duplicate(name()));
            }
            if !known
                .iter()
                .all(|known| known.limits.store.is_same(&limiter.limits.store))
            {
                return Err(QuotaPolicyError::JointStores(name()));
            }
        }
        known.push(limiter);
    }
    let blocks = known
        .iter()
        .find(|known| known.limits.block_share.is_some());
    match blocks
        .filter(|_| known.len() > 1)
        .and_then(|known| known.policies().first())
    {
        Some(policy) => Err(QuotaPolicyError::JointBlocks(policy.name().to_owned())),
        None => Ok(()),
    }
}
