//! The task of a load, from the lease to the stored value.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::{Instant, timeout};

use super::{Answer, Known, Outcome, lease::Lease};
use crate::{
    StoreError,
    collapse::{Backoff, CatchPanic, Lead, alongside},
    key_value::{
        Codec, KeyValue, LoadError, envelope::Head, policy::LoadPolicy,
        write::at_least_a_millisecond,
    },
    store::{
        Key,
        operations::{
            tag::{Stamp, TagName},
            value::{Taken, ValueKeys, identity},
        },
        random::fraction,
    },
};

/// A load as its task has it. Dropping it at any point releases its followers and its lease.
pub(super) struct Load<C> {
    pub(super) values: KeyValue<C>,
    pub(super) keys: ValueKeys,
    pub(super) tags: Vec<TagName>,
    pub(super) policy: LoadPolicy,
    pub(super) known: Known,
    pub(super) when_held: WhenHeld,
    /// `None`: nobody waits for it but its caller.
    pub(super) lead: Option<Lead<Key, Outcome>>,
}

/// What to do while another process has the lease.
pub(super) enum WhenHeld {
    /// Wait for what it stores.
    Wait,
    /// Load all the same, and store nothing.
    LoadUnstored,
    /// Nothing: the value is being refreshed.
    GiveUp,
}

/// What a load finds before it calls the loader.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a load, for a moment"
)]
enum Start<A> {
    /// Somebody else has stored a value.
    Present(A, Bytes),
    /// Nothing. With a right to it, what is loaded is stored.
    Load(Option<Right>),
    /// Another process refreshes the value.
    Elsewhere,
    /// Another process loads it for longer than the load timeout.
    TimedOut,
}

/// The right to store what is loaded.
struct Right {
    lease: Lease,
    /// The stamps of the tags before the load.
    tags: Vec<(TagName, Stamp)>,
}

/// How often a value that cannot be used is found in the place of another before it is given up.
const REPLACEMENTS: usize = 8;

impl<C: Codec> Load<C> {
    pub(super) async fn run<A, E, F, Fut>(mut self, loader: F) -> Result<A, LoadError<E>>
    where
        A: Answer<Value: Serialize + DeserializeOwned>,
        E: Send + Sync + 'static,
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<A, E>>,
    {
        let limit = self.policy.load_timeout;
        let start = match self.known.reachable {
            true => self.start().await,
            false => Start::Load(None),
        };
        let right = match start {
            Start::Present(answer, stored) => {
                self.finish(Outcome::Loaded(stored));
                return Ok(answer);
            }
            Start::Load(right) => right,
            Start::Elsewhere => return Err(LoadError::Cancelled),
            Start::TimedOut => {
                self.finish(Outcome::TimedOut(limit));
                return Err(LoadError::TimedOut(limit));
            }
        };
        let (values, policy) = (self.values.clone(), self.policy);
        let tags = right.as_ref().map(|right| right.tags.clone());
        let work = async move {
            let began = Instant::now();
            let answer = loader().await?;
            let head = Head {
                schema: values.schema,
                stale: match answer.value() {
                    Some(_) => policy.stale(),
                    None => Duration::ZERO,
                },
                cost: match policy.early_refresh > 0.0 {
                    true => began.elapsed(),
                    false => Duration::ZERO,
                },
                tags: tags.unwrap_or_default(),
            };
            let stored = values.encode_with(&head, answer.value());
            Ok((answer, stored))
        };
        let work = timeout(limit, CatchPanic::new(work));
        let loaded = match &right {
            Some(right) => alongside(work, right.lease.keep()).await,
            None => work.await,
        };
        match loaded {
            Ok(Ok(Ok((answer, Ok(stored))))) => {
                // Others get it when it is stored: a call that came before would load again.
                let outcome = match right {
                    Some(right) => self.fill(right, stored, self.ttl(&answer)).await,
                    None => Outcome::Unfenced(stored),
                };
                self.finish(outcome);
                Ok(answer)
            }
            Ok(Ok(Ok((answer, Err(error))))) => {
                tracing::error!(target: "tower_keep::key_value", %error, "a loaded value cannot be encoded");
                self.finish(Outcome::Unserializable);
                Ok(answer)
            }
            Ok(Ok(Err(error))) => {
                let error: Arc<E> = Arc::new(error);
                self.finish(Outcome::Failed(error.clone()));
                Err(LoadError::Loader(error))
            }
            Ok(Err(_)) => {
                self.finish(Outcome::Panicked);
                Err(LoadError::Panicked)
            }
            Err(_) => {
                self.finish(Outcome::TimedOut(limit));
                Err(LoadError::TimedOut(limit))
            }
        }
    }

    /// How long the key of a value lives, the time in which it is stale included.
    fn ttl<A: Answer>(&self, answer: &A) -> Duration {
        let policy = &self.policy;
        let (ttl, stale) = match answer.value() {
            Some(_) => (policy.ttl, policy.stale()),
            None => (policy.negative_ttl, Duration::ZERO),
        };
        at_least_a_millisecond(policy.jittered(ttl, fraction)).saturating_add(stale)
    }

    /// Takes the lease and asks for the tags' stamps, in one round trip, until there is a value or
    /// nobody else loads it.
    async fn start<A>(&mut self) -> Start<A>
    where
        A: Answer<Value: DeserializeOwned>,
    {
        let began = Instant::now();
        let mut backoff = Backoff::new();
        let mut replacements = 0;
        loop {
            let lease = Lease::new(&self.values.store, &self.keys, self.policy.load_timeout);
            let policy = &self.policy;
            let longest = (policy.ttl.max(policy.negative_ttl))
                .saturating_add(policy.stale())
                .saturating_add(policy.load_timeout);
            let stamps = self.values.keep_stamps(&self.tags, longest);
            let take = lease.take(self.known.replace.clone());
            let (taken, stamps) = self.values.store.execute((take, stamps)).await;
            let stamps = stamps.into_iter().collect::<Result<Vec<_>, _>>();
            let (taken, stamps) = match taken.and_then(|taken| Ok((taken, stamps?))) {
                Ok(answers) => answers,
                Err(error) => {
                    let consequence = "loading a value that will not be stored";
                    self.values.report(&error, consequence);
                    return Start::Load(None);
                }
            };
            let tags: Vec<_> = self.tags.iter().cloned().zip(stamps).collect();
            match taken {
                Taken::Lease => return Start::Load(Some(Right { lease, tags })),
                Taken::Present(stored) => {
                    lease.settle();
                    match self.usable(&stored, &tags) {
                        Some(answer) => return Start::Present(answer, stored),
                        None if replacements == REPLACEMENTS => return Start::Load(None),
                        None => replacements += 1,
                    }
                    self.known.replace = Some(Bytes::copy_from_slice(identity(&stored)));
                }
                Taken::Held => {
                    lease.settle();
                    match self.when_held {
                        WhenHeld::LoadUnstored => return Start::Load(None),
                        WhenHeld::GiveUp => return Start::Elsewhere,
                        WhenHeld::Wait if began.elapsed() >= self.policy.load_timeout => {
                            return Start::TimedOut;
                        }
                        WhenHeld::Wait => backoff.pause().await,
                    }
                }
            }
        }
    }

    /// What another process has stored meanwhile, if it is of use and its tags are these.
    fn usable<A>(&self, stored: &Bytes, tags: &[(TagName, Stamp)]) -> Option<A>
    where
        A: Answer<Value: DeserializeOwned>,
    {
        let opened = self.values.open(stored.clone()).ok()?;
        let mut own = opened.head.tags.iter();
        if !own.all(|tag| tags.contains(tag)) {
            return None;
        }
        self.values.decode(&opened).and_then(A::from_stored)
    }

    async fn fill(&self, right: Right, value: Bytes, ttl: Duration) -> Outcome {
        // Whoever joins from now on might come after a change that comes after this.
        if let Some(lead) = &self.lead {
            lead.close();
        }
        let Right { lease, tags } = right;
        let fill = lease.fill(value.clone(), ttl);
        let stamps = self.values.read_stamps(&self.tags);
        let (stored, stamps) = self.values.store.execute((fill, stamps)).await;
        let stored = match stored {
            Ok(stored) => {
                lease.settle();
                stored
            }
            Err(error) => {
                self.values.report(&error, "a loaded value is not stored");
                return Outcome::Unfenced(value);
            }
        };
        let stands = |(stamp, (_, before)): (Result<Option<Stamp>, StoreError>, &(_, Stamp))| {
            stamp.is_ok_and(|stamp| stamp.as_ref() == Some(before))
        };
        match stored && stamps.into_iter().zip(&tags).all(stands) {
            true => Outcome::Loaded(value),
            false => Outcome::Overtaken(value),
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        let (failures, key) = (&self.values.failures, &self.keys.value);
        match outcome {
            Outcome::Loaded(_) | Outcome::Overtaken(_) => failures.forget(key),
            // Only what there was a value for: there is nothing else to serve meanwhile.
            _ if self.known.replace.is_some() => failures.note(key),
            _ => {}
        }
        if let Some(lead) = self.lead.take() {
            lead.finish(outcome);
        }
    }
}
