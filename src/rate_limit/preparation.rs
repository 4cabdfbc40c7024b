//! What is taken from a request before the limits are asked: whom it counts for, what it costs, and
//! which quotas are in force.

use std::{pin::Pin, sync::Arc};

use http::request::Parts;

use super::{
    key::MissingKey,
    limiter::PolicySet,
    settings::{QuotaSource, Settings},
};
use crate::{rate_limit::policy::Quota, store::operations::limit::Subject};

/// Whom a request counts for.
pub(super) enum Prepared {
    Limited {
        subject: Subject,
        set: PolicySet,
        cost: u64,
    },
    /// It passes without a limit.
    Unlimited,
    /// It lacks the key.
    Refused,
}

/// A preparation that has to wait, for a session or for a quota. Boxed, since few layers need one.
pub(super) type Preparation = Pin<Box<dyn Future<Output = (Parts, Prepared)> + Send>>;

impl Settings {
    /// Whether [`prepare`](Self::prepare) is not enough.
    pub(super) fn has_to_wait(&self) -> bool {
        let provided = |(_, source): &(_, QuotaSource)| matches!(source, QuotaSource::Provider(_));
        self.key.needs_session() || self.quotas.iter().any(provided)
    }

    pub(super) fn prepare(&self, request: &Parts) -> Prepared {
        if self.quotas.is_empty() {
            return self.prepared(request, self.limiter.limits().set.clone());
        }
        let set = self.limiter.limits().set.with_quotas(|policy| {
            match self.quota_source(policy.name())? {
                QuotaSource::Request(quota) => quota(request),
                QuotaSource::Provider(_) => None,
            }
        });
        self.prepared(request, set)
    }

    pub(super) fn prepare_later(self: &Arc<Self>, mut request: Parts) -> Preparation {
        let settings = self.clone();
        Box::pin(async move {
            settings.key.load_session(&mut request).await;
            let mut quotas: Vec<(&str, Option<Quota>)> = Vec::new();
            for (name, source) in &settings.quotas {
                let quota = match source {
                    QuotaSource::Request(quota) => quota(&request),
                    QuotaSource::Provider(provider) => provider(&request).await,
                };
                quotas.push((name, quota));
            }
            let set = settings.limiter.limits().set.with_quotas(|policy| {
                let mut quotas = quotas.iter();
                quotas.find(|(name, _)| *name == policy.name())?.1
            });
            let prepared = settings.prepared(&request, set);
            (request, prepared)
        })
    }

    fn quota_source(&self, name: &str) -> Option<&QuotaSource> {
        let mut quotas = self.quotas.iter();
        Some(&quotas.find(|(policy, _)| **policy == *name)?.1)
    }

    fn prepared(&self, request: &Parts, set: PolicySet) -> Prepared {
        let limits = self.limiter.limits();
        let (subject, complete) = self.key.subject(&limits.subject_key, request);
        if !complete {
            self.key.warn_of_missing(request, self.missing_key);
            match self.missing_key {
                MissingKey::Shared => {}
                MissingKey::Deny => return Prepared::Refused,
                MissingKey::Skip => return Prepared::Unlimited,
            }
        }
        Prepared::Limited {
            subject,
            set,
            cost: self.cost(request),
        }
    }
}
