//! What a layer was told, shared by all its services.

use std::{fmt, pin::Pin, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, request::Parts, response};

use super::{
    denial::{Denial, DenialReason, forbid_storing},
    fields::HeaderDialect,
    key::{Key, MissingKey},
    limiter::{PolicyDecision, PolicySet, RateLimitDecision, RateLimiter},
    policy::Quota,
};

pub(super) type CostFn = Arc<dyn Fn(&Parts) -> u64 + Send + Sync>;
pub(super) type SkipFn = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
pub(super) type ResponseFn =
    Arc<dyn Fn(&Denial<'_>, Response<Bytes>) -> Response<Bytes> + Send + Sync>;
pub(super) type SettleFn = Arc<dyn Fn(&response::Parts, u64) -> u64 + Send + Sync>;
pub(super) type AbandonedFn = Arc<dyn Fn(u64) -> u64 + Send + Sync>;
pub(super) type QuotaFn = Arc<dyn Fn(&Parts) -> Option<Quota> + Send + Sync>;
pub(super) type QuotaFuture = Pin<Box<dyn Future<Output = Option<Quota>> + Send>>;
pub(super) type QuotaFutureFn = Arc<dyn Fn(&Parts) -> QuotaFuture + Send + Sync>;

/// Where the quota of a policy comes from.
#[derive(Clone)]
pub(super) enum QuotaSource {
    Request(QuotaFn),
    Provider(QuotaFutureFn),
}

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limiter: RateLimiter,
    pub(super) key: Key,
    /// The limiters that are asked with it, each by a key of its own.
    pub(super) others: Vec<(RateLimiter, Key)>,
    pub(super) missing_key: MissingKey,
    pub(super) cost: Option<CostFn>,
    pub(super) settle: Option<SettleFn>,
    pub(super) abandoned: Option<AbandonedFn>,
    pub(super) reserves: bool,
    pub(super) skip: Option<SkipFn>,
    /// By the names of policies.
    pub(super) quotas: Vec<(Box<str>, QuotaSource)>,
    pub(super) dialect: HeaderDialect,
    pub(super) partition_key: bool,
    pub(super) shadow: bool,
    pub(super) response: Option<ResponseFn>,
    /// The policies that the field below is of.
    sets: Vec<PolicySet>,
    policy_field: Option<HeaderValue>,
}

impl Settings {
    pub(super) fn new(limiter: RateLimiter) -> Self {
        let mut settings = Self {
            sets: Vec::new(),
            limiter,
            key: Key::default(),
            others: Vec::new(),
            missing_key: MissingKey::default(),
            cost: None,
            settle: None,
            abandoned: None,
            reserves: false,
            skip: None,
            quotas: Vec::new(),
            dialect: HeaderDialect::default(),
            partition_key: false,
            shadow: false,
            response: None,
            policy_field: None,
        };
        settings.derive();
        settings
    }

    /// Makes anew what follows from the settings.
    pub(super) fn derive(&mut self) {
        self.sets = self
            .limiters()
            .map(|limiter| limiter.limits().set.clone())
            .collect();
        let field = || {
            let policies = self.limiters().flat_map(RateLimiter::policies);
            self.dialect
                .policy_field(policies.map(|policy| (policy, None)))
        };
        // A partition key is another one for each client.
        self.policy_field = (!self.partition_key).then(field).flatten();
    }

    /// All that are asked.
    pub(super) fn limiters(&self) -> impl Iterator<Item = &RateLimiter> {
        let others = self.others.iter().map(|(limiter, _)| limiter);
        std::iter::once(&self.limiter).chain(others)
    }

    pub(super) fn cost(&self, request: &Parts) -> u64 {
        self.cost.as_ref().map_or(1, |cost| cost(request))
    }

    pub(super) fn skips(&self, request: &Parts) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(request))
    }

    /// Adds the rate limit fields for what this layer has decided.
    pub(super) fn write_fields(&self, headers: &mut HeaderMap, decision: &RateLimitDecision) {
        if self.shadow {
            return;
        }
        let made;
        let policy_field = match decision.is_of(&self.sets) && !self.partition_key {
            true => self.policy_field.as_ref(),
            false => {
                let partition = |p: PolicyDecision<'_>| self.partition_key.then_some(p.subject());
                let policies = decision.iter().map(|p| (p.policy(), partition(p)));
                made = self.dialect.policy_field(policies);
                made.as_ref()
            }
        };
        self.dialect
            .write(headers, policy_field, decision, self.partition_key);
    }

    /// The response to a request that is not let through.
    pub(super) fn deny(
        &self,
        reason: DenialReason,
        decision: Option<&RateLimitDecision>,
        request: &Parts,
    ) -> Response<Bytes> {
        tracing::debug!(
            target: "tower_keep::rate_limit",
            ?reason,
            violated = ?violated(decision),
            "request denied"
        );
        let denial = Denial::new(reason, decision, request);
        let mut response = denial.response();
        if let Some(decision) = decision {
            self.write_fields(response.headers_mut(), decision);
        }
        if let Some(change) = &self.response {
            response = change(&denial, response);
        }
        forbid_storing(&mut response);
        if let Some(decision) = decision {
            decision.clone().put_into(response.extensions_mut());
        }
        response
    }

    /// Says what a layer that only watches would have denied.
    pub(super) fn log_shadow_denial(
        &self,
        reason: DenialReason,
        decision: Option<&RateLimitDecision>,
    ) {
        tracing::info!(
            target: "tower_keep::rate_limit",
            ?reason,
            violated = ?violated(decision),
            "request admitted by a limit in shadow mode, which would have denied it"
        );
    }
}

fn violated(decision: Option<&RateLimitDecision>) -> Vec<&str> {
    let policies = decision.into_iter().flat_map(RateLimitDecision::iter);
    let violated = policies.filter(|policy| policy.is_violated());
    violated.map(|policy| policy.policy().name()).collect()
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("limiter", &self.limiter)
            .field("key", &self.key)
            .field("others", &self.others)
            .field("missing_key", &self.missing_key)
            .field("dialect", &self.dialect)
            .field("partition_key", &self.partition_key)
            .field("shadow", &self.shadow)
            .finish_non_exhaustive()
    }
}
