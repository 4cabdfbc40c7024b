//! What is exchanged with the store for a question to several limiters: the question, and where it
//! was denied by some what the others have taken goes back.

use tokio::time::Instant;

use super::{
    decision::RateLimitDecision,
    joint::{JointAsk, Part},
    local_denials::Denied,
    on_store_error::RateLimitOnStoreError,
    permit::Permit,
    places::new_place,
    policy_set::PolicySet,
    question::Answer,
    reservation::Reserved,
};
use crate::store::{
    Store, StoreError,
    operations::limit::{
        Acquire, AcquireEach, Acquired, NamedLimit, PerLimit, Place, PlaceId, ReleasePlace, Said,
        Settle,
    },
};

/// A question under way.
pub(super) struct Exchange {
    ask: JointAsk,
    rechecks: Vec<bool>,
    sent_at: Instant,
    /// Who takes places, a number of each part.
    places: Vec<PlaceId>,
}

/// What one part was answered, and by whom.
struct Told {
    store: Store,
    set: PolicySet,
    said: Said,
    /// Whether the store has failed and the limiter in this process has said it.
    degraded: bool,
}

impl Exchange {
    pub(super) fn new(ask: JointAsk, rechecks: Vec<bool>) -> Self {
        let place = |part: &Part| match part.set.has_places() {
            true => new_place(),
            false => PlaceId(0),
        };
        Self {
            places: ask.parts.iter().map(place).collect(),
            ask,
            rechecks,
            sent_at: Instant::now(),
        }
    }

    pub(super) async fn run(self) -> Answer {
        let parts = self.ask.parts.clone();
        let Some(store) = parts.first().map(|part| &part.limits.store) else {
            return Answer::Unlimited;
        };
        let groups = self.groups(store);
        // What one step takes it takes of all or of none. Of several each may have to go back.
        let reserves = self.ask.reserves || groups.len() > 1;
        let question = groups.iter().map(|group| {
            let each = group.iter().map(|part| {
                let Part { limits, set, .. } = &parts[*part];
                self.acquire(*part, &limits.store, set, reserves)
            });
            AcquireEach(each.collect())
        });
        let answers = store.execute(question.collect::<Vec<_>>()).await;
        let mut told: Vec<Option<Told>> = parts.iter().map(|_| None).collect();
        let mut refusal = None;
        for (group, answer) in groups.iter().zip(answers) {
            match answer {
                Ok(said) => {
                    for (part, said) in group.iter().zip(said) {
                        let Part { limits, set, .. } = &parts[*part];
                        told[*part] = Some(Told {
                            store: limits.store.clone(),
                            set: set.clone(),
                            said,
                            degraded: false,
                        });
                    }
                }
                Err(error) => {
                    for part in group {
                        match self.without_the_store(*part, &error).await {
                            Ok(instead) => told[*part] = instead,
                            Err(error) => refusal = Some(error),
                        }
                    }
                }
            }
        }
        self.remember(&told);
        self.answer(told, refusal).await
    }

    /// Parts that one command can ask.
    fn groups(&self, store: &Store) -> Vec<Vec<usize>> {
        let parts = &self.ask.parts;
        if !store.is_split_by_slot() {
            return vec![(0..parts.len()).collect()];
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let same = |group: &&mut Vec<usize>| parts[group[0]].subject == part.subject;
            match groups.iter_mut().find(same) {
                Some(group) => group.push(at),
                None => groups.push(vec![at]),
            }
        }
        groups
    }

    fn acquire(&self, part: usize, store: &Store, set: &PolicySet, reserves: bool) -> Acquire {
        let Part {
            limits, subject, ..
        } = &self.ask.parts[part];
        Acquire {
            names: store.names().clone(),
            subject: *subject,
            limits: set.limits.clone(),
            ban: limits.named_ban.clone(),
            cost: self.ask.cost,
            place: self.places[part],
            reserves,
        }
    }

    /// What takes the place of an answer that has failed; `None` where the part then limits nothing.
    async fn without_the_store(
        &self,
        part: usize,
        error: &StoreError,
    ) -> Result<Option<Told>, StoreError> {
        let Part { limits, set, .. } = &self.ask.parts[part];
        let policy = limits.on_store_error;
        tracing::debug!(target: "tower_keep::rate_limit", %error, ?policy, "the limits are not known");
        match (&limits.fallback, policy) {
            (_, RateLimitOnStoreError::Allow) => Ok(None),
            (Some(fallback), _) => {
                let set = fallback.set_for(set, &limits.set);
                // The other parts may deny.
                let acquire = self.acquire(part, &fallback.store, &set, true);
                let answer = fallback.store.execute(AcquireEach(vec![acquire])).await;
                // The fallback too may have no room: nothing passes uncounted by accident.
                let said = answer.ok().and_then(|mut said| said.pop());
                let said = said.ok_or_else(|| error.clone())?;
                Ok(Some(Told {
                    store: fallback.store.clone(),
                    set,
                    said,
                    degraded: true,
                }))
            }
            (None, _) => Err(error.clone()),
        }
    }

    /// Keeps the process's own denials in step with the store's answers.
    fn remember(&self, told: &[Option<Told>]) {
        let each = self.ask.parts.iter().zip(told).zip(&self.rechecks);
        for ((part, told), recheck) in each {
            let Some(told) = told.as_ref().filter(|told| !told.degraded) else {
                continue;
            };
            let denials = &part.limits.local_denials;
            if told.said.refused.is_admitted() {
                if *recheck {
                    denials.end(part.subject);
                }
                continue;
            }
            denials.put(Denied {
                subject: part.subject,
                cost: self.ask.cost,
                limits: &part.set.limits,
                acquired: &told.said.refused,
                brings_ban: part.limits.named_ban.is_some(),
                sent_at: self.sent_at,
                recheck: *recheck,
            });
        }
    }

    async fn answer(self, told: Vec<Option<Told>>, refusal: Option<StoreError>) -> Answer {
        let admits = |told: &Told| told.said.refused.is_admitted();
        if refusal.is_none() && told.iter().flatten().all(admits) {
            return self.admitted(told);
        }
        self.give_back(&told).await;
        if let Some(error) = refusal {
            return Answer::Unavailable(error);
        }
        let mut decision = RateLimitDecision::default();
        for (part, told) in self.ask.parts.iter().zip(&told) {
            if let Some(told) = told {
                decision.add(told.decision(part, &told.said.refused));
            }
        }
        Answer::Decided(Permit::new(decision, Vec::new()))
    }

    fn admitted(self, told: Vec<Option<Told>>) -> Answer {
        let mut decision = RateLimitDecision::default();
        let mut held = Vec::new();
        let mut limited = false;
        for ((part, told), place) in self.ask.parts.iter().zip(told).zip(&self.places) {
            let Some(told) = told else { continue };
            limited = true;
            let mut one = told.decision(part, &told.said.acquired);
            let places = self.places_of(&told, part, *place);
            if !places.is_empty() {
                held.push(part.limits.places.hold(&told.store, places));
            }
            if self.ask.reserves
                && let Some(marks) = told.said.acquired.marks
            {
                one.reserve(Reserved {
                    limits: part.limits.clone(),
                    store: told.store,
                    set: told.set,
                    subject: part.subject,
                    marks,
                    cost: self.ask.cost,
                    settled: false.into(),
                });
            }
            decision.add(one);
        }
        match limited {
            true => Answer::Decided(Permit::new(decision, held)),
            false => Answer::Unlimited,
        }
    }

    /// Gives back what those have charged that admitted a request which is denied after all. One
    /// trip. What cannot be given back, because the store fails here too, stays charged and comes
    /// back by time, places with their lease: no more than this request's cost, once.
    async fn give_back(&self, told: &[Option<Told>]) {
        let each = self.ask.parts.iter().zip(told).zip(&self.places);
        let charged = each.filter_map(|((part, told), place)| {
            let told = told.as_ref()?;
            let settle = Settle {
                names: told.store.names().clone(),
                subject: part.subject,
                limits: told.set.limits.clone(),
                marks: told.said.acquired.marks.clone()?,
                units: self.ask.cost,
            };
            let places = self.places_of(told, part, *place).into_iter();
            let releases: Vec<_> = places.map(ReleasePlace).collect();
            Some((part, told, (settle, releases)))
        });
        let (mut shared, mut batch) = (None, Vec::new());
        for (part, told, back) in charged {
            // Nobody else's denial was for this request's sake.
            part.limits.local_denials.end(part.subject);
            match told.degraded {
                true => drop(told.store.execute(back).await),
                false => {
                    shared = Some(&told.store);
                    batch.push(back);
                }
            }
        }
        let Some(store) = shared else { return };
        for (settled, released) in store.execute(batch).await {
            for error in released
                .into_iter()
                .chain([settled])
                .filter_map(Result::err)
            {
                tracing::debug!(target: "tower_keep::rate_limit", %error, "what a denied request was charged was not given back");
            }
        }
    }

    /// The places that a part has given.
    fn places_of(&self, told: &Told, part: &Part, id: PlaceId) -> PerLimit<Place> {
        if id == PlaceId(0) || self.ask.cost == 0 {
            return PerLimit::new();
        }
        let place = |limit: &NamedLimit| Place {
            names: told.store.names().clone(),
            subject: part.subject,
            limit: limit.clone(),
            id,
        };
        let limits = told.set.limits.iter();
        let concurrent = limits.filter(|named| named.limit.is_concurrency());
        concurrent.map(place).collect()
    }
}

impl Told {
    fn decision(&self, part: &Part, acquired: &Acquired) -> RateLimitDecision {
        RateLimitDecision::new(
            &part.limits,
            &self.set,
            part.subject,
            &acquired.outcomes,
            acquired.banned,
            self.degraded,
        )
    }
}
