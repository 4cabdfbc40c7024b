//! Rate limits: check N limits of one subject and consume from all of them, or from none.

use std::sync::Arc;

#[cfg(feature = "redis")]
use crate::{
    rate_limit::{Algorithm, algorithm::Wait},
    store::redis::{Command, NextReply, Reply, Script},
};
use crate::{
    rate_limit::{
        Policy,
        algorithm::{self, Bucket, State, Verdict},
        subject::Subject,
    },
    store::{
        clock::Timestamp,
        error::StoreError,
        memory::{Live, Memory, Weigh, heap},
        namespace::Namespace,
        operation::Operation,
    },
};

#[cfg(feature = "redis")]
pub(crate) static ACQUIRE: Script = Script::new(include_str!("acquire.lua"));

/// Consumes `cost` of every policy for one subject, if all of them have so much left.
/// Answers a verdict a policy, in their order.
///
/// One `EVALSHA`. Redis: a string a policy, `{ns}:rate_limit:{{subject}}:{policy}`. Memory: one
/// entry a subject, so that one lock makes it all or nothing.
#[derive(Debug)]
pub(crate) struct Acquire {
    pub(crate) names: Namespace,
    pub(crate) subject: Subject,
    pub(crate) policies: Arc<[Policy]>,
    pub(crate) cost: u64,
}

/// The states of one subject's limits on embedded memory.
#[derive(Debug, Default)]
pub(crate) struct LimitState(Vec<(Policy, State)>);

impl LimitState {
    fn get(&self, policy: &Policy) -> Option<State> {
        self.0
            .iter()
            .find(|(other, _)| other.name() == policy.name())
            .map(|(_, state)| *state)
    }

    fn set(&mut self, policy: &Policy, state: State) {
        match self.0.iter_mut().find(|(p, _)| p.name() == policy.name()) {
            Some((_, place)) => *place = state,
            None => self.0.push((policy.clone(), state)),
        }
    }
}

impl Weigh for LimitState {
    fn weight(&self) -> usize {
        heap(self.0.capacity() * size_of::<(Policy, State)>())
    }

    /// Whether a limit denies, or soon would: without its state the subject would start anew.
    fn is_worth_keeping(&self, now: Timestamp) -> bool {
        self.0.iter().any(|(policy, state)| {
            let limit = policy.limit();
            let bucket = Bucket::new(limit, Some(*state), now.as_micros());
            let verdicts = algorithm::acquire(&mut [bucket], 0);
            (verdicts.iter()).any(|verdict| verdict.remaining.saturating_mul(2) < limit.quota)
        })
    }
}

impl Operation for Acquire {
    type Output = Vec<Verdict>;

    fn run(&self, memory: &Memory, now: Timestamp) -> Result<Self::Output, StoreError> {
        let key = self.names.rate_limit(&self.subject, "");
        memory.rate_limits.update(&key, now, |live| {
            // Under the lock, so that a thread that was held up before it does not turn the
            // clock back for what others have consumed meanwhile.
            let now = Timestamp::now().as_micros();
            let mut states = live.take().map(|live| live.value).unwrap_or_default();
            let bucket = |policy: &Policy| Bucket::new(policy.limit(), states.get(policy), now);
            let mut buckets: Vec<_> = self.policies.iter().map(bucket).collect();
            let verdicts = algorithm::acquire(&mut buckets, self.cost);
            for (policy, bucket) in self.policies.iter().zip(&buckets) {
                if let Some(state) = bucket.changed() {
                    states.set(policy, state);
                }
            }
            states.0.retain(|(_, state)| state.ends > now);
            if let Some(ends) = states.0.iter().map(|(_, state)| state.ends).max() {
                *live = Some(Live {
                    value: states,
                    expires_at: Timestamp::from_micros(ends),
                });
            }
            verdicts
        })
    }

    #[cfg(feature = "redis")]
    fn command(&self) -> Command {
        let key = |policy: &Policy| self.names.rate_limit(&self.subject, policy.key_name());
        let keys: Vec<_> = self.policies.iter().map(key).collect();
        let command = Command::script(&ACQUIRE, &keys).once();
        self.policies
            .iter()
            .map(Policy::limit)
            .fold(command.arg(self.cost), |command, limit| {
                let algorithm = match limit.algorithm {
                    Algorithm::Gcra => "gcra",
                    Algorithm::FixedWindow => "fixed",
                };
                command.arg(algorithm).arg(limit.quota).arg(limit.interval)
            })
    }

    #[cfg(feature = "redis")]
    fn reply(&self, reply: Reply) -> Result<Self::Output, StoreError> {
        let mut numbers = reply.array()?;
        let verdict = |_| {
            Ok(Verdict {
                remaining: numbers.next_unsigned()?,
                reset_after: numbers.next_unsigned()?,
                wait: match numbers.next_integer()? {
                    0 => Wait::None,
                    micros => u64::try_from(micros).map_or(Wait::Forever, Wait::Micros),
                },
            })
        };
        self.policies.iter().map(verdict).collect()
    }
}
