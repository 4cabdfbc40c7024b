//! What is taken from a request before the limits are asked: whom it counts for, what it costs, and
//! which quotas are in force.

use std::{pin::Pin, sync::Arc};

use http::request::Parts;

use super::{
    key::{Key, MissingKey},
    limiter::{Part, PolicySet, RateLimitOnStoreError},
    settings::{QuotaSource, Settings},
};
use crate::{rate_limit::policy::Quota, store::operations::limit::PerLimit};

/// Whom a request counts for.
pub(super) enum Prepared {
    Limited {
        /// Mostly there is one.
        parts: PerLimit<Part>,
        cost: u64,
    },
    /// It passes without a limit.
    Unlimited,
    /// It lacks the key.
    Refused,
    /// The store has not told whom it counts for, and what it does not count is refused.
    Unavailable,
}

/// A preparation that has to wait, for a session or for a quota. Boxed, since few layers need one.
pub(super) type Preparation = Pin<Box<dyn Future<Output = (Parts, Prepared)> + Send>>;

impl Settings {
    /// Whether [`prepare`](Self::prepare) is not enough.
    pub(super) fn has_to_wait(&self) -> bool {
        let provided = |(_, source): &(_, QuotaSource)| matches!(source, QuotaSource::Provider(_));
        self.keys().any(Key::needs_session) || self.quotas.iter().any(provided)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(self.others.iter().map(|(_, key)| key))
    }

    pub(super) fn prepare(&self, request: &Parts) -> Prepared {
        if self.quotas.is_empty() {
            return self.prepared(request, PolicySet::clone);
        }
        self.prepared(request, |set| {
            set.with_quotas(|policy| match self.quota_source(policy.name())? {
                QuotaSource::Request(quota) => quota(request),
                QuotaSource::Provider(_) => None,
            })
        })
    }

    pub(super) fn prepare_later(self: &Arc<Self>, mut request: Parts) -> Preparation {
        let settings = self.clone();
        Box::pin(async move {
            if let Some(key) = settings.keys().find(|key| key.needs_session()) {
                key.load_session(&mut request).await;
            }
            let mut quotas: Vec<(&str, Option<Quota>)> = Vec::new();
            for (name, source) in &settings.quotas {
                let quota = match source {
                    QuotaSource::Request(quota) => quota(&request),
                    QuotaSource::Provider(provider) => provider(&request).await,
                };
                quotas.push((name, quota));
            }
            let prepared = settings.prepared(&request, |set| {
                set.with_quotas(|policy| {
                    let mut quotas = quotas.iter();
                    quotas.find(|(name, _)| *name == policy.name())?.1
                })
            });
            (request, prepared)
        })
    }

    fn quota_source(&self, name: &str) -> Option<&QuotaSource> {
        let mut quotas = self.quotas.iter();
        Some(&quotas.find(|(policy, _)| **policy == *name)?.1)
    }

    /// `set` is what a limiter's policies are with the quotas that are in force.
    fn prepared(&self, request: &Parts, set: impl Fn(&PolicySet) -> PolicySet) -> Prepared {
        let mut parts = PerLimit::new();
        for (limiter, key) in self.limiters().zip(self.keys()) {
            let limits = limiter.limits();
            if key.is_unread(request) {
                match limits.on_store_error {
                    RateLimitOnStoreError::Local { .. } => {}
                    RateLimitOnStoreError::Allow => continue,
                    RateLimitOnStoreError::Deny => return Prepared::Unavailable,
                }
            }
            let (subject, complete) = key.subject(&limits.subject_key, request);
            if !complete {
                key.warn_of_missing(request, self.missing_key);
                match self.missing_key {
                    MissingKey::Shared => {}
                    MissingKey::Deny => return Prepared::Refused,
                    MissingKey::Skip => continue,
                }
            }
            parts.push(Part {
                limits: limits.clone(),
                set: set(&limits.set),
                subject,
                waits: !self.shadow,
            });
        }
        match parts.is_empty() {
            true => Prepared::Unlimited,
            false => Prepared::Limited {
                parts,
                cost: self.cost(request),
            },
        }
    }
}
