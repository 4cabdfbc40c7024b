//! What the limits said, for handlers and for outer layers.

use std::{fmt, sync::Arc, time::Duration};

use super::{limits::Limits, policy_set::PolicySet, reservation::Reserved};
use crate::{
    rate_limit::policy::QuotaPolicy,
    store::{
        StoreError,
        operations::limit::{Algorithm, Outcome, PerLimit, Subject, Wait},
    },
};

/// How often a request that waits asks for a place of a concurrency limit.
const PLACE_POLL: Duration = Duration::from_millis(50);

/// What every policy said to a request, and a hold on the limiter that said it.
///
/// A layer puts it into the request's extensions for handlers and into the response's for outer
/// layers. Of several stacked layers each adds its policies.
///
/// ```
/// use tower_keep::rate_limit::RateLimitDecision;
///
/// async fn handler(request: http::Request<()>) -> String {
///     let decision = request.extensions().get::<RateLimitDecision>();
///     match decision.and_then(RateLimitDecision::tightest) {
///         Some(policy) => format!("{} of {} left", policy.remaining(), policy.limit()),
///         None => "no limit".to_owned(),
///     }
/// }
/// ```
///
/// A handler gives its client the whole quota back, as after a login that succeeds, with
/// [`reset`](Self::reset), and corrects what a request costs with [`settle`](Self::settle).
#[derive(Clone, Default)]
pub struct RateLimitDecision {
    members: PerLimit<Member>,
}

/// What one limiter said.
#[derive(Clone)]
struct Member {
    limits: Arc<Limits>,
    set: PolicySet,
    subject: Subject,
    outcomes: PerLimit<Outcome>,
    /// Microseconds.
    banned: u64,
    degraded: bool,
    reserved: Option<Arc<Reserved>>,
}

/// What one policy said to a request.
#[derive(Clone, Copy)]
pub struct PolicyDecision<'a> {
    policy: &'a QuotaPolicy,
    outcome: &'a Outcome,
    subject: Subject,
}

impl RateLimitDecision {
    pub(super) fn new(
        limits: &Arc<Limits>,
        set: &PolicySet,
        subject: Subject,
        outcomes: &PerLimit<Outcome>,
        banned: u64,
        degraded: bool,
    ) -> Self {
        let member = Member {
            limits: limits.clone(),
            set: set.clone(),
            subject,
            outcomes: outcomes.clone(),
            banned,
            degraded,
            reserved: None,
        };
        Self {
            members: PerLimit::from_buf([member]),
        }
    }

    pub(super) fn reserve(&mut self, reserved: Reserved) {
        if let Some(member) = self.members.last_mut() {
            member.reserved = Some(Arc::new(reserved));
        }
    }

    /// Adds what another limiter has said.
    pub(super) fn add(&mut self, other: Self) {
        self.members.extend(other.members);
    }

    /// Adds what this decision says to the one of another layer that stands there already.
    pub(crate) fn put_into(self, extensions: &mut http::Extensions) {
        match extensions.get_mut::<Self>() {
            Some(other) => other.add(self),
            None => {
                extensions.insert(self);
            }
        }
    }

    /// What each policy said, in the order of the layers and of their policies.
    pub fn iter(&self) -> impl Iterator<Item = PolicyDecision<'_>> {
        self.members.iter().flat_map(Member::policies)
    }

    /// Whether the request passed all policies. A denied request has consumed nothing.
    pub fn is_admitted(&self) -> bool {
        !self.is_banned() && self.iter().all(|policy| !policy.is_violated())
    }

    /// Whether the client is banned for having been denied too often.
    pub fn is_banned(&self) -> bool {
        self.members.iter().any(|member| member.banned > 0)
    }

    /// The name of the ban that is in force.
    pub fn ban(&self) -> Option<&str> {
        let mut banned = self.members.iter().filter(|member| member.banned > 0);
        banned.find_map(|member| Some(member.limits.ban.as_ref()?.name()))
    }

    /// Counts it, unless the caller has only looked.
    #[cfg(feature = "metrics")]
    pub(super) fn count(&self, cost: u64) {
        if cost == 0 {
            return;
        }
        let degraded = self.is_degraded();
        let admitted = self.is_admitted();
        let banned = self.is_banned();
        for policy in self.iter() {
            let outcome = match policy.is_violated() {
                _ if banned => "banned",
                true => "denied",
                false if admitted => "admitted",
                false => continue,
            };
            crate::metrics::decision(policy.policy.shared_name(), outcome, degraded);
        }
    }

    /// The policy with the smallest part of its quota left.
    pub fn tightest(&self) -> Option<PolicyDecision<'_>> {
        self.iter()
            .min_by_key(|policy| part_left(policy.limit(), policy.remaining()))
    }

    /// When a denied request can be sent again: after the longest wait of its policies and the end
    /// of a ban. `None` for an admitted request, and for one that costs more than a policy's whole
    /// quota.
    pub fn retry_after(&self) -> Option<Duration> {
        if self.iter().any(|p| p.outcome.wait == Wait::Forever) {
            return None;
        }
        let bans = self.members.iter().map(|member| member.banned);
        let bans = bans.filter(|left| *left > 0).map(Duration::from_micros);
        let policies = self.iter().filter_map(|policy| policy.retry_after());
        policies.chain(bans).max()
    }

    /// How long the request has to wait where so many units go first; `None` where that is never or
    /// not known, and where its subject is banned.
    pub(super) fn wait_behind(&self, before: u64) -> Option<Duration> {
        if self.is_banned() {
            return None;
        }
        self.retry_after()?;
        let each = self.members.iter().flat_map(|member| {
            let limits = member.set.limits.iter().map(|named| &named.limit);
            member.policies().zip(limits)
        });
        let violated = each.filter(|(policy, _)| policy.is_violated());
        let waits: Option<Vec<_>> = violated
            .map(|(policy, limit)| match limit.is_concurrency() {
                true => Some(PLACE_POLL),
                false => {
                    let queue = Duration::from_micros(limit.time_of(before)?);
                    policy.retry_after()?.checked_add(queue)
                }
            })
            .collect();
        waits?.into_iter().max()
    }

    /// Whether the store did not answer and a local limiter took its place.
    pub fn is_degraded(&self) -> bool {
        self.members.iter().any(|member| member.degraded)
    }

    /// Gives the client the whole quota back, and ends its ban: of the limiter that has the policy
    /// `name`, with all policies of that limiter. Other layers' limits stay as they are. Answers
    /// whether there was such a limiter. One `UNLINK`.
    ///
    /// Requests that are denied in this process meanwhile are denied no longer; other processes
    /// see it within [five seconds](super::RateLimiter::with_denial_recheck).
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn reset(&self, name: &str) -> Result<bool, StoreError> {
        let names = |member: &&Member| member.policies().any(|p| p.policy().name() == name);
        match self.members.iter().find(names) {
            Some(member) => {
                member.limits.reset(&member.set, member.subject).await?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Makes the cost of a request that was [reserved](super::RateLimiter::reserve) `cost`: what
    /// is not needed goes back, as far as it has not come back by time, and what was needed beyond
    /// is taken as far as there is some. Answers whether there was something to settle: a
    /// reservation is settled once, and what was not reserved never. One `EVALSHA` a limiter, none if
    /// the cost is the same.
    ///
    /// # Errors
    ///
    /// When the store does not answer; the reservation then stays charged.
    pub async fn settle(&self, cost: u64) -> Result<bool, StoreError> {
        let mut settled = Ok(false);
        for member in &self.members {
            // One that fails keeps none of the others.
            if let Some(reserved) = &member.reserved {
                settled = match (settled, reserved.clone().settle(cost).await) {
                    (Ok(before), Ok(now)) => Ok(before | now),
                    (Err(error), _) | (_, Err(error)) => Err(error),
                };
            }
        }
        settled
    }

    /// Whether these are the quotas of some of `sets`.
    pub(crate) fn is_of(&self, sets: &[PolicySet]) -> bool {
        let same =
            |member: &Member, set: &PolicySet| Arc::ptr_eq(&member.set.policies, &set.policies);
        let known = |member: &Member| sets.iter().any(|set| same(member, set));
        self.members.iter().all(known)
    }

    /// Whether there is something to settle.
    pub(crate) fn is_reserved(&self) -> bool {
        self.members.iter().any(|member| member.reserved.is_some())
    }
}

impl Member {
    fn policies(&self) -> impl Iterator<Item = PolicyDecision<'_>> {
        let policies = self.set.policies.iter().zip(&self.outcomes);
        policies.map(|(policy, outcome)| PolicyDecision {
            policy,
            outcome,
            subject: self.subject,
        })
    }
}

impl<'a> PolicyDecision<'a> {
    /// The policy.
    pub fn policy(self) -> &'a QuotaPolicy {
        self.policy
    }

    /// The digest of whom it counts: a partition key for clients.
    pub(crate) fn subject(self) -> Subject {
        self.subject
    }

    /// The policy's whole quota, in units.
    pub fn limit(self) -> u64 {
        self.policy.quota().limit()
    }

    /// The units left after this request.
    pub fn remaining(self) -> u64 {
        self.outcome.remaining
    }

    /// The time until the whole quota is available again. Zero for a concurrency limit, of which
    /// nobody knows.
    pub fn reset_after(self) -> Duration {
        Duration::from_micros(self.outcome.reset_after)
    }

    /// The time until more of the quota is available than [`remaining`](Self::remaining): one
    /// unit, or for a denied request as much as it needs. Zero when all of it is.
    pub fn more_after(self) -> Duration {
        self.retry_after()
            .unwrap_or_else(|| Duration::from_micros(self.outcome.more_after))
    }

    /// Whether the times are known: of a concurrency limit nobody knows when a request will end.
    pub(crate) fn has_known_times(self) -> bool {
        self.policy.algorithm() != Algorithm::Concurrency
    }

    /// Whether the request costs more than this policy had left.
    pub fn is_violated(self) -> bool {
        self.outcome.wait != Wait::None
    }

    /// The time until this policy has enough for the request that it denied. `None` where it
    /// denied nothing, and where the request costs more than the whole quota.
    pub fn retry_after(self) -> Option<Duration> {
        match self.outcome.wait {
            Wait::Micros(micros) => Some(Duration::from_micros(micros)),
            Wait::None | Wait::Forever => None,
        }
    }
}

impl fmt::Debug for RateLimitDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitDecision")
            .field("policies", &self.iter().collect::<Vec<_>>())
            .field("banned", &self.is_banned())
            .field("degraded", &self.is_degraded())
            .finish()
    }
}

impl fmt::Debug for PolicyDecision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyDecision")
            .field("policy", self.policy)
            .field("remaining", &self.remaining())
            .field("reset_after", &self.reset_after())
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

/// The part of a quota that is left, in millionths, rounded up: only nothing left is 0.
pub(crate) fn part_left(limit: u64, remaining: u64) -> u128 {
    (u128::from(remaining) * 1_000_000).div_ceil(u128::from(limit.max(1)))
}

/// Whole seconds, rounded up: a client that waits so long is never early.
pub(crate) fn ceil_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
