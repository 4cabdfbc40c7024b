//! The policies that are asked together, and as the store counts them.

use std::sync::Arc;

use super::blocks::BlockShare;
use crate::{
    rate_limit::policy::{Quota, QuotaPolicy},
    store::operations::limit::NamedLimit,
};

#[derive(Debug, Clone)]
pub(crate) struct PolicySet {
    pub(crate) policies: Arc<[QuotaPolicy]>,
    pub(crate) limits: Arc<[NamedLimit]>,
    /// Whether units are taken in blocks, and of what share of the quotas.
    pub(crate) blocks: Option<BlockShare>,
}

impl PolicySet {
    pub(crate) fn new(policies: Arc<[QuotaPolicy]>) -> Self {
        let limits = policies.iter().map(QuotaPolicy::limit).collect();
        Self {
            policies,
            limits,
            blocks: None,
        }
    }

    /// The same policies, of which units are taken in blocks.
    pub(crate) fn with_blocks(self, share: Option<BlockShare>) -> Self {
        let Some(share) = share else {
            return Self::new(self.policies);
        };
        let limits = self.policies.iter().map(QuotaPolicy::limit);
        Self {
            limits: limits.map(|named| share.sparing(&named)).collect(),
            blocks: Some(share),
            ..self
        }
    }

    pub(crate) fn has_places(&self) -> bool {
        self.limits.iter().any(|named| named.limit.is_concurrency())
    }

    /// The limits that count units.
    pub(crate) fn without_places(&self) -> Self {
        match self.has_places() {
            true => {
                let policies = self.policies.iter().zip(&*self.limits);
                let units = policies.filter(|(_, named)| !named.limit.is_concurrency());
                Self::new(units.map(|(policy, _)| policy.clone()).collect())
            }
            false => self.clone(),
        }
    }

    /// The same policies with other quotas, where `quota` says some.
    pub(crate) fn with_quotas(&self, quota: impl Fn(&QuotaPolicy) -> Option<Quota>) -> Self {
        let mut changed = false;
        let policies: Vec<_> = (self.policies.iter())
            .map(|policy| match quota(policy) {
                Some(quota) if quota != policy.quota() => {
                    changed = true;
                    policy.with_quota(quota)
                }
                _ => policy.clone(),
            })
            .collect();
        match changed {
            true => Self::new(policies.into()).with_blocks(self.blocks),
            false => self.clone(),
        }
    }
}
