//! What a layer was told, shared by all its services.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, request::Parts};

use super::{
    denial::{Denial, DenialReason, forbid_storing},
    fields::HeaderDialect,
    key::subject::SubjectKey,
    key::{Key, MissingKey},
    limiter::decision::RateLimitDecision,
    limiter::local_denials::{LocalDenials, RECHECK},
    limiter::on_store_error::{Fallback, RateLimitOnStoreError},
    policy::QuotaPolicy,
};
use crate::store::{Store, operations::limit::NamedLimit};

type CostFn = Arc<dyn Fn(&Parts) -> u64 + Send + Sync>;
type SkipFn = Arc<dyn Fn(&Parts) -> bool + Send + Sync>;
type ResponseFn = Arc<dyn Fn(&Denial<'_>, Response<Bytes>) -> Response<Bytes> + Send + Sync>;

#[derive(Clone)]
pub(super) struct Config {
    pub(super) store: Store,
    pub(super) policies: Arc<[QuotaPolicy]>,
    /// The policies as the store counts them.
    pub(super) limits: Arc<[NamedLimit]>,
    pub(super) key: Key,
    pub(super) subject_key: SubjectKey,
    pub(super) missing_key: MissingKey,
    pub(super) cost: Option<CostFn>,
    pub(super) skip: Option<SkipFn>,
    pub(super) on_store_error: RateLimitOnStoreError,
    pub(super) dialect: HeaderDialect,
    pub(super) factory: Option<ResponseFn>,
    /// Only there with [`RateLimitOnStoreError::Local`].
    pub(super) fallback: Option<Fallback>,
    pub(super) denial_recheck: Duration,
    pub(super) local_denials: Arc<LocalDenials>,
    policy_field: Option<HeaderValue>,
    fallback_field: Option<HeaderValue>,
}

impl Config {
    pub(super) fn new(store: Store, policy: QuotaPolicy) -> Self {
        let mut config = Self {
            subject_key: SubjectKey::of_namespace(store.namespace()),
            store,
            limits: Arc::new([policy.limit()]),
            policies: Arc::new([policy]),
            key: Key::default(),
            missing_key: MissingKey::default(),
            cost: None,
            skip: None,
            on_store_error: RateLimitOnStoreError::default(),
            dialect: HeaderDialect::default(),
            factory: None,
            fallback: None,
            denial_recheck: RECHECK,
            local_denials: Arc::new(LocalDenials::new(RECHECK)),
            policy_field: None,
            fallback_field: None,
        };
        config.derive();
        config
    }

    /// Makes anew what follows from the settings. A changed clone of a layer shares neither
    /// denials nor the fallback's counts with the original, whose limits may be others.
    pub(super) fn derive(&mut self) {
        self.fallback = match self.on_store_error {
            RateLimitOnStoreError::Local { share } => Some(Fallback::new(&self.policies, share)),
            RateLimitOnStoreError::Allow | RateLimitOnStoreError::Deny => None,
        };
        self.limits = self.policies.iter().map(QuotaPolicy::limit).collect();
        self.local_denials = Arc::new(LocalDenials::new(self.denial_recheck));
        self.policy_field = self.dialect.policy_field(&self.policies);
        let fallback = self.fallback.as_ref();
        self.fallback_field =
            fallback.and_then(|fallback| self.dialect.policy_field(&fallback.policies));
    }

    pub(super) fn cost(&self, request: &Parts) -> u64 {
        self.cost.as_ref().map_or(1, |cost| cost(request))
    }

    pub(super) fn skips(&self, request: &Parts) -> bool {
        self.skip.as_ref().is_some_and(|skip| skip(request))
    }

    /// Adds the rate limit fields for `decision`.
    pub(super) fn write_fields(&self, headers: &mut HeaderMap, decision: &RateLimitDecision) {
        let field = match decision.is_degraded() {
            true => self.fallback_field.as_ref(),
            false => self.policy_field.as_ref(),
        };
        self.dialect.write(headers, field, decision);
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
            violated = ?decision.map(|d| d.iter().filter(|p| p.is_violated()).map(|p| p.policy().name()).collect::<Vec<_>>()),
            "request denied"
        );
        let denial = Denial::new(reason, decision, request);
        let mut response = denial.response();
        if let Some(decision) = decision {
            self.write_fields(response.headers_mut(), decision);
        }
        if let Some(factory) = &self.factory {
            response = factory(&denial, response);
        }
        forbid_storing(&mut response);
        if let Some(decision) = decision {
            decision.put_into(response.extensions_mut());
        }
        response
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer")
            .field("store", &self.store)
            .field("policies", &self.policies)
            .field("key", &self.key)
            .field("missing_key", &self.missing_key)
            .field("on_store_error", &self.on_store_error)
            .field("dialect", &self.dialect)
            .field("denial_recheck", &self.denial_recheck)
            .finish_non_exhaustive()
    }
}
