//! The limits without HTTP: the engine that the layer uses, as plain calls.

mod asked;
mod asking;
mod ban;
mod blocks;
mod decision;
mod exchange;
mod inquiry;
mod joint;
mod joint_limiter;
mod limits;
mod local_denials;
mod on_store_error;
mod part;
mod permit;
mod places;
mod policy_set;
mod question;
mod requests;
mod reservation;
mod waiting;

pub(crate) use asked::Asked;
pub use ban::{BanError, BanPolicy};
pub use decision::{PolicyDecision, RateLimitDecision};
pub(crate) use decision::{ceil_seconds, part_left};
pub(crate) use joint::{JointAsk, JointQuestion};
pub use joint_limiter::JointRateLimiter;
pub(crate) use joint_limiter::check_joint;
pub(crate) use limits::Limits;
pub use on_store_error::RateLimitOnStoreError;
pub(crate) use part::Part;
pub use permit::Permit;
pub(crate) use places::HeldPlaces;
pub(crate) use policy_set::PolicySet;
pub(crate) use question::{Answer, Question};

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    key::subject::{SubjectHasher, SubjectKey},
    policy::{Quota, QuotaPolicy, QuotaPolicyError},
};
use crate::store::{
    Store, StoreError,
    operations::limit::{Algorithm, Subject},
};
use blocks::BlockShare;
use waiting::WaitingRoom;

/// Limits as plain calls, without HTTP: for logins counted by the user name of a body, for jobs,
/// for the messages of a websocket.
///
/// It is what a [`RateLimitLayer`](super::RateLimitLayer) asks, with the same policies, algorithms
/// and promises. Cloning is cheap and shares everything.
///
/// ```
/// use tower_keep::{Store, rate_limit::RateLimiter};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let logins = RateLimiter::new(Store::memory(), r#""login";q=5;w=60"#.parse()?);
///
/// let permit = logins.acquire("ada", 1).await?;
/// if !permit.is_admitted() {
///     println!("again in {:?}", permit.retry_after());
/// }
/// assert_eq!(permit.tightest().unwrap().remaining(), 4);
///
/// // The password was right.
/// logins.reset("ada").await?;
/// assert_eq!(logins.peek("ada").await?.tightest().unwrap().remaining(), 5);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RateLimiter {
    limits: Arc<Limits>,
    /// The policies with the quotas that are in force.
    set: PolicySet,
}

impl RateLimiter {
    /// Enforces `policy`.
    #[must_use]
    pub fn new(store: Store, policy: QuotaPolicy) -> Self {
        Self::of(Limits::new(store, policy))
    }

    fn of(limits: Limits) -> Self {
        let set = limits.set.clone();
        let limits = Arc::new(limits);
        Self { limits, set }
    }

    /// Enforces `policy` too: all policies have to admit a cost, which is taken of all of them or
    /// of none. The store is asked once whatever their number.
    ///
    /// # Errors
    ///
    /// When the limiter has a policy of that name.
    pub fn and_policy(self, policy: QuotaPolicy) -> Result<Self, QuotaPolicyError> {
        let policies = &self.limits.set.policies;
        if policies.iter().any(|p| p.name() == policy.name()) {
            return Err(QuotaPolicyError::Duplicate(policy.name().to_owned()));
        }
        let policies = policies.iter().cloned().chain([policy]).collect();
        self.change(|limits| limits.set = PolicySet::new(policies))
            .checked()
    }

    /// Bans keys that are denied too often.
    ///
    /// A call that [waits](Self::with_max_wait) and is admitted is no denial. One that may not wait
    /// is denied by a second `EVALSHA`, which counts it.
    ///
    /// # Errors
    ///
    /// When the limiter takes [blocks](Self::with_blocks).
    pub fn with_ban(self, ban: BanPolicy) -> Result<Self, QuotaPolicyError> {
        self.change(|limits| limits.ban = Some(ban)).checked()
    }

    /// Decides what happens while the store does not answer, refuses or has no room.
    #[must_use]
    pub fn on_store_error(self, on_store_error: RateLimitOnStoreError) -> Self {
        self.change(|limits| limits.on_store_error = on_store_error)
    }

    /// After a denial, repeats of the request are denied in this process, without the store, until
    /// the time that the caller was told. Every `interval` one of them asks the store
    /// nevertheless, so that a reset, a raised quota or a flush is seen. Default 5 s; zero asks
    /// each time.
    #[must_use]
    pub fn with_denial_recheck(self, interval: Duration) -> Self {
        self.change(|limits| limits.denial_recheck = interval)
    }

    /// Lets what would be admitted within `max_wait` wait for it rather than be denied: at most
    /// `queue` calls at a time, in the order of their arrival in this process. What waits for a
    /// concurrency limit asks every 50 ms. Who is [banned](Self::with_ban) does not wait. No wait is
    /// longer than 366 days. Without this nothing waits.
    #[must_use]
    pub fn with_max_wait(self, max_wait: Duration, queue: usize) -> Self {
        self.change(|limits| limits.waiting_room = Some(WaitingRoom::new(max_wait, queue)))
    }

    /// Takes units of busy keys in blocks, so that most of their calls are answered in this process:
    /// with `share` 0.01, blocks of up to a hundredth of the quota, which are spent within a
    /// hundredth of the window.
    ///
    /// Never is more admitted than the quotas say, over any number of processes: for this a
    /// `share` of each quota is kept back, so that bursts are so much smaller. A block is taken with
    /// the second call of a key within that time and only while it leaves half of each quota;
    /// near the limit all calls ask the store. What a process has taken and does not spend comes
    /// back by time, within `share` of the window. Commands per call of a busy key fall below 0.1.
    ///
    /// For GCRA on Redis: embedded memory has no round trip to save, and takes none. What is
    /// [reserved](Self::reserve) is taken of no block: each reservation asks the store. A [reset](Self::reset) leaves the other processes what they have taken.
    ///
    /// # Errors
    ///
    /// When `share` is not above 0 and up to 0.1, a policy's algorithm is not GCRA, or the limiter
    /// has a [ban](Self::with_ban), which is for all processes at once.
    pub fn with_blocks(self, share: f64) -> Result<Self, QuotaPolicyError> {
        let Some(share) = BlockShare::new(share) else {
            return Err(QuotaPolicyError::BlockShare(share.to_string()));
        };
        self.change(|limits| limits.block_share = Some(share))
            .checked()
    }

    /// Refuses what blocks do not go with.
    fn checked(self) -> Result<Self, QuotaPolicyError> {
        let not_gcra = |policy: &&QuotaPolicy| policy.algorithm() != Algorithm::Gcra;
        let other = self.limits.set.policies.iter().find(not_gcra);
        match (self.limits.block_share, other) {
            (Some(_), Some(policy)) => Err(QuotaPolicyError::NoBlocks(policy.name().to_owned())),
            (Some(_), None) => match &self.limits.ban {
                Some(ban) => Err(QuotaPolicyError::BannedBlocks(ban.name().to_owned())),
                None => Ok(self),
            },
            _ => Ok(self),
        }
    }

    /// Hashes keys under `secret`: see
    /// [`RateLimitLayer::with_secret`](super::RateLimitLayer::with_secret).
    #[must_use]
    pub fn with_secret(self, secret: impl AsRef<[u8]>) -> Self {
        self.change(|limits| limits.subject_key = SubjectKey::of_secret(secret.as_ref()))
    }

    /// The same limiter with other quotas, as for a tenant with a plan of its own; `None` keeps a
    /// policy's. It shares counts and all else with this one, so that a call costs no more.
    ///
    /// What a key has used is a fraction of its quota and stays that: a raised quota is in force
    /// with the next call.
    ///
    /// ```
    /// # use tower_keep::{Store, rate_limit::{Quota, RateLimiter}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let limiter = RateLimiter::new(Store::memory(), r#""api";q=100;w=60"#.parse()?);
    /// let premium = Quota::per_minute(1000)?;
    /// let permit = limiter.with_quotas(|_| Some(premium)).acquire("tenant 7", 1).await?;
    /// assert_eq!(permit.tightest().unwrap().limit(), 1000);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with_quotas(&self, quota: impl Fn(&QuotaPolicy) -> Option<Quota>) -> Self {
        Self {
            limits: self.limits.clone(),
            set: self.limits.set.with_quotas(quota),
        }
    }

    /// The policies, in order.
    pub fn policies(&self) -> &[QuotaPolicy] {
        &self.set.policies
    }

    /// Takes `cost` units of all policies for `key`, if all of them have so much left. A cost of 0
    /// looks and takes nothing; one above a policy's whole quota is denied without a time to come
    /// again. One `EVALSHA`, none for a repeated denial.
    ///
    /// # Errors
    ///
    /// When the store fails and that [denies](RateLimitOnStoreError::Deny), or also embedded
    /// memory has no room for the state.
    pub async fn acquire(&self, key: impl AsRef<[u8]>, cost: u64) -> Result<Permit, StoreError> {
        self.ask(self.subject(key.as_ref()), cost, false).await
    }

    /// As [`acquire`](Self::acquire), of a cost that may turn out to be another:
    /// [`settle`](RateLimitDecision::settle) says so once it is known. A reservation that is never
    /// settled stays charged and comes back by time, as any other cost.
    ///
    /// ```
    /// # use tower_keep::{Store, rate_limit::RateLimiter};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tokens = RateLimiter::new(Store::memory(), r#""tokens";q=1000;w=60"#.parse()?);
    /// let permit = tokens.reserve("ada", 400).await?;
    /// // … the answer took 150.
    /// permit.settle(150).await?;
    /// assert_eq!(tokens.peek("ada").await?.tightest().unwrap().remaining(), 850);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire).
    pub async fn reserve(&self, key: impl AsRef<[u8]>, cost: u64) -> Result<Permit, StoreError> {
        self.ask(self.subject(key.as_ref()), cost, true).await
    }

    /// What is left for `key`; nothing is taken. One `EVALSHA`.
    ///
    /// # Errors
    ///
    /// As of [`acquire`](Self::acquire).
    pub async fn peek(&self, key: impl AsRef<[u8]>) -> Result<RateLimitDecision, StoreError> {
        let permit = self.ask(self.subject(key.as_ref()), 0, false).await?;
        Ok(permit.into_decision())
    }

    /// Gives `key` its whole quotas back and ends its ban. A key that is counted in other windows
    /// ([`with_quotas`](Self::with_quotas)) is reset by a limiter that has these. Places of
    /// concurrency limits stay taken. This process sees it at once, others within five seconds if they
    /// [deny](Self::with_denial_recheck) the key. One `UNLINK`.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn reset(&self, key: impl AsRef<[u8]>) -> Result<(), StoreError> {
        let subject = self.subject(key.as_ref());
        self.limits.reset(&self.set, subject).await
    }

    async fn ask(&self, subject: Subject, cost: u64, reserves: bool) -> Result<Permit, StoreError> {
        match self.part(subject).ask(cost, reserves, Instant::now()) {
            Asked::Known(permit) => Ok(permit),
            Asked::Question(question) => question.await.into_permit(),
        }
    }

    fn part(&self, subject: Subject) -> Part {
        Part {
            limits: self.limits.clone(),
            set: self.set.clone(),
            subject,
            waits: true,
        }
    }

    fn subject(&self, key: &[u8]) -> Subject {
        let mut hasher = SubjectHasher::new(&self.limits.subject_key);
        hasher.part("key", "", Some(key));
        hasher.finish().0
    }

    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// A limiter with other settings. It shares with this one what these say nothing about.
    pub(crate) fn change(self, change: impl FnOnce(&mut Limits)) -> Self {
        let before = self.limits;
        let mut limits = Limits::clone(&before);
        change(&mut limits);
        limits.derive(Some(&before));
        Self::of(limits)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("store", &self.limits.store)
            .field("policies", &self.set.policies)
            .field("ban", &self.limits.ban)
            .field("on_store_error", &self.limits.on_store_error)
            .field("denial_recheck", &self.limits.denial_recheck)
            .field("waiting_room", &self.limits.waiting_room)
            .finish()
    }
}
