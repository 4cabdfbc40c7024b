//! The same random calls on embedded memory and on Redis: every answer is the same.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use tower_keep::{
    Store,
    key_value::{Expiry, KeyValue},
};

use crate::harness::differential::memory_and_redis_agree;

const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone)]
enum Call {
    Get(u8),
    GetMany(Vec<u8>),
    Set(u8, String),
    SetWithoutTtl(u8, String),
    SetMany(Vec<(u8, String)>),
    SetTagged(u8, String, Vec<u8>),
    Del(u8),
    DelMany(Vec<u8>),
    Exists(u8),
    Ttl(u8),
    Expire(u8),
    /// So that it is stale for a moment.
    MakeStale(u8),
    Invalidate(Vec<u8>),
    Load(u8, Vec<u8>, Result<String, u8>),
    LoadOptional(u8, Result<Option<String>, u8>),
    /// With windows, so that it is served stale; a loader that fails changes nothing.
    LoadStale(u8, Result<String, u8>),
}

fn call() -> impl Strategy<Value = Call> {
    // Few ids and tags, so that calls meet.
    let id = 0..4_u8;
    let ids = || vec(0..4_u8, 0..4);
    let tags = || vec(0..3_u8, 0..3);
    let loaded = || proptest::result::maybe_ok(".{0,8}", 0..3_u8);
    let optional = proptest::result::maybe_ok(proptest::option::of(".{0,8}"), 0..3_u8);
    prop_oneof![
        id.clone().prop_map(Call::Get),
        ids().prop_map(Call::GetMany),
        (id.clone(), ".{0,8}").prop_map(|(id, value)| Call::Set(id, value)),
        (id.clone(), ".{0,8}").prop_map(|(id, value)| Call::SetWithoutTtl(id, value)),
        vec((id.clone(), ".{0,8}"), 0..4).prop_map(Call::SetMany),
        (id.clone(), ".{0,8}", tags())
            .prop_map(|(id, value, tags)| Call::SetTagged(id, value, tags)),
        id.clone().prop_map(Call::Del),
        ids().prop_map(Call::DelMany),
        id.clone().prop_map(Call::Exists),
        id.clone().prop_map(Call::Ttl),
        id.clone().prop_map(Call::Expire),
        id.clone().prop_map(Call::MakeStale),
        tags().prop_map(Call::Invalidate),
        (id.clone(), tags(), loaded()).prop_map(|(id, tags, loaded)| Call::Load(id, tags, loaded)),
        (id.clone(), optional).prop_map(|(id, loaded)| Call::LoadOptional(id, loaded)),
        (id, loaded()).prop_map(|(id, loaded)| Call::LoadStale(id, loaded)),
    ]
}

/// What a call answers, in a form to compare.
async fn answer(values: &KeyValue, call: &Call) -> String {
    match call {
        Call::Get(id) => format!("{:?}", values.get::<String>(name(*id)).await.unwrap()),
        Call::GetMany(ids) => {
            let found = values.get_many::<String>(ids.iter().map(|id| name(*id)));
            format!("{:?}", found.await.unwrap())
        }
        Call::Set(id, value) => format!("{:?}", values.set(name(*id), value, HOUR).await.unwrap()),
        Call::SetWithoutTtl(id, value) => {
            let set = values.set_without_ttl(name(*id), value);
            format!("{:?}", set.await.unwrap())
        }
        Call::SetMany(all) => {
            let all = all.iter().map(|(id, value)| (name(*id), value));
            format!("{:?}", values.set_many(all, HOUR).await.unwrap())
        }
        Call::SetTagged(id, value, tags) => {
            let set = values.entry(name(*id)).ttl(HOUR).tags(tags).set(value);
            format!("{:?}", set.await.unwrap())
        }
        Call::Del(id) => format!("{:?}", values.del(name(*id)).await.unwrap()),
        Call::DelMany(ids) => {
            let deleted = values.del_many(ids.iter().map(|id| name(*id)));
            format!("{:?}", deleted.await.unwrap())
        }
        Call::Exists(id) => format!("{:?}", values.exists(name(*id)).await.unwrap()),
        Call::Ttl(id) => match values.ttl(name(*id)).await.unwrap() {
            // To the nearest half hour: the calls take their time.
            Some(Expiry::In(left)) => format!("{}", (left.as_secs() + 900) / 1800),
            other => format!("{other:?}"),
        },
        Call::Expire(id) => format!("{:?}", values.expire(name(*id), HOUR * 2).await.unwrap()),
        Call::MakeStale(id) => {
            let expired = values.expire(name(*id), HOUR / 2);
            format!("{:?}", expired.await.unwrap())
        }
        Call::Invalidate(tags) => format!("{:?}", values.invalidate_tags(tags).await.unwrap()),
        Call::Load(id, tags, loaded) => {
            let loaded = loaded.clone();
            let entry = values.entry(name(*id)).ttl(HOUR).tags(tags);
            format!("{:?}", entry.or_load(|| async { loaded }).await)
        }
        Call::LoadOptional(id, loaded) => {
            let loaded = loaded.clone();
            let entry = values.entry(name(*id)).ttl(HOUR);
            let entry = entry.negative_ttl(HOUR);
            format!("{:?}", entry.or_load_optional(|| async { loaded }).await)
        }
        Call::LoadStale(id, loaded) => {
            let loaded = loaded.clone();
            let entry = values.entry(name(*id)).ttl(HOUR).stale_on_error(HOUR);
            format!("{:?}", entry.or_load(|| async { loaded }).await)
        }
    }
}

/// Ids that need care in a key.
fn name(id: u8) -> &'static str {
    ["plain", "with:colon", "{tag}%", "ü \n*"][usize::from(id)]
}

/// The calls before some values expire, which values, and the calls after.
type Case = (Vec<Call>, Vec<u8>, Vec<Call>);

async fn transcript(store: Store, (before, expiring, after): &Case) -> Vec<String> {
    let values = KeyValue::new(store, "model").unwrap();
    let mut lines = Vec::new();
    for call in before {
        lines.push(format!("{call:?}: {}", answer(&values, call).await));
    }
    for id in expiring {
        let soon = Duration::from_millis(1);
        values.set(name(*id), "soon gone", soon).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(10)).await;
    for call in after {
        lines.push(format!("{call:?}: {}", answer(&values, call).await));
    }
    lines
}

#[test]
fn memory_and_redis_give_the_same_answers() {
    let cases = (vec(call(), 1..40), vec(0..4_u8, 0..3), vec(call(), 1..40));
    memory_and_redis_agree(64, cases, async |store, _, case| {
        transcript(store, case).await
    });
}
