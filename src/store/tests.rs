//! Every kind of data on embedded memory: its flood is bounded, and reclaimed without a call.

use std::time::Duration;

use super::{
    Holds, Memory, MemoryLimits, Store,
    memory::Weigh,
    operations::{limit, response, session, tag, value},
};

/// Room for a few hundred small entries a kind, in bytes.
const BUDGET: usize = 64 << 10;
/// How long an entry lives.
const TTL: Duration = Duration::from_secs(60);

fn small() -> Store {
    let limits = MemoryLimits {
        refresh_tokens: BUDGET,
        rate_limits: BUDGET,
        sessions: BUDGET,
        session_index: BUDGET,
        responses: BUDGET,
        values: BUDGET,
        tags: BUDGET,
    };
    Store::memory_within(&limits)
}

/// The entries of a kind and their weight.
fn usage<E: Weigh>(store: &Store) -> (usize, usize)
where
    Memory: Holds<E>,
{
    store.table().unwrap().usage()
}

/// Fills the table with more than its budget takes, lets all expire and the sweeper run.
async fn bounded_and_swept<E: Weigh>(store: &Store, write: impl AsyncFn(u32))
where
    Memory: Holds<E>,
{
    for n in 0..5_000 {
        write(n).await;
    }
    let (entries, weight) = usage(store);
    assert!(entries > 50 && entries < 2_000, "{entries} entries");
    assert!(weight > BUDGET / 2 && weight <= BUDGET, "{weight} bytes");
    tokio::time::sleep(TTL + Duration::from_secs(2)).await;
    assert_eq!(usage(store), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_rate_limited_clients() {
    use limit::{Acquire, Algorithm, Limit, NamedLimit, PlaceId, Subject};

    let store = small();
    let limit = Limit::new(Algorithm::Gcra, 10, 60_000_000);
    let limits: std::sync::Arc<[_]> = [NamedLimit::new("minute", limit)].into();
    bounded_and_swept::<limit::Entry>(&store, async |n| {
        let acquire = Acquire {
            names: store.names().clone(),
            subject: Subject::new(u128::from(n).to_be_bytes()),
            limits: limits.clone(),
            ban: None,
            counts_denial: true,
            cost: 1,
            place: PlaceId(0),
            reserves: false,
        };
        store.execute(acquire).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_sessions() {
    let store = small();
    bounded_and_swept::<session::Entry>(&store, async |n| {
        let create = session::CreateSession {
            key: session::Names::new(store.names(), "").session("slot", &n.to_string()),
            rules: session::Rules {
                idle: TTL,
                absolute: TTL,
                touch_fraction: 0.0,
                max_bytes: 1 << 16,
                max_keys: 128,
            },
            lifetime: None,
            lineage: "lineage".into(),
            user: None,
            fields: std::sync::Arc::new([("user".into(), "42".into())].into()),
        };
        store.execute(create).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_responses() {
    use response::{Begin, Generation, Put, Replaces, Version};

    let store = small();
    bounded_and_swept::<response::Entry>(&store, async |n| {
        let key = response::key(store.names(), &n.to_string());
        let begin = Begin {
            key: key.clone(),
            generation: Generation::random(),
            lease: TTL,
        };
        let put = Put {
            key,
            generation: store.execute(begin).await.unwrap(),
            variant: "variant".into(),
            version: Version::random(),
            replaces: Replaces::NotNewer { seen: None },
            recency: (1, 1),
            vary: "".into(),
            head: "head".into(),
            body: Some("body".into()),
            ttl: TTL,
            most_variants: 32,
        };
        assert!(store.execute(put).await.unwrap());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_values() {
    let store = small();
    bounded_and_swept::<value::Entry>(&store, async |n| {
        let set = value::Set {
            keys: value_of(&store, n),
            value: "a value".into(),
            ttl: Some(TTL),
        };
        store.execute(set).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_tags() {
    let store = small();
    bounded_and_swept::<tag::Entry>(&store, async |n| {
        let key = tag::TagName::new(n).key(store.names());
        store.execute(tag::KeepStamp::new(key, TTL)).await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_loads_that_find_nothing_leaves_nothing_behind() {
    let store = small();
    for n in 0..5_000 {
        let (keys, token) = (value_of(&store, n), value::Token::random());
        let lease = keys.lease.clone();
        let take = value::TakeLease {
            keys,
            token: token.clone(),
            duration: TTL,
            replace: None,
        };
        store.execute(take).await.unwrap();
        store
            .execute(value::ReleaseLease { lease, token })
            .await
            .unwrap();
    }
    assert_eq!(usage::<value::Entry>(&store), (0, 0));
}

fn value_of(store: &Store, n: u32) -> value::ValueKeys {
    value::ValueKeys::new(store.names(), value::key(store.names(), "flood", n))
}
