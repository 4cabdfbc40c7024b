//! The same random calls on embedded memory and on Redis: every answer is the same.

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use tower_keep::{Store, key_value::KeyValue};

use super::HOUR;
use crate::harness::differential::memory_and_redis_agree;

#[derive(Debug, Clone)]
enum Call {
    Get(u8),
    Set(u8, String),
    Del(u8),
    Exists(u8),
    Load(u8, Result<String, u8>),
}

fn call() -> impl Strategy<Value = Call> {
    // Few ids, so that calls meet.
    let id = 0..4_u8;
    prop_oneof![
        id.clone().prop_map(Call::Get),
        (id.clone(), ".{0,8}").prop_map(|(id, value)| Call::Set(id, value)),
        id.clone().prop_map(Call::Del),
        id.clone().prop_map(Call::Exists),
        (id, proptest::result::maybe_ok(".{0,8}", 0..3_u8))
            .prop_map(|(id, loaded)| Call::Load(id, loaded)),
    ]
}

/// What a call answers, in a form to compare.
async fn answer(values: &KeyValue, call: &Call) -> String {
    match call {
        Call::Get(id) => format!("{:?}", values.get::<String>(name(*id)).await.unwrap()),
        Call::Set(id, value) => format!("{:?}", values.set(name(*id), value, HOUR).await.unwrap()),
        Call::Del(id) => format!("{:?}", values.del(name(*id)).await.unwrap()),
        Call::Exists(id) => format!("{:?}", values.exists(name(*id)).await.unwrap()),
        Call::Load(id, loaded) => {
            let loaded = loaded.clone();
            let load = || async { loaded };
            format!("{:?}", values.get_or_load(name(*id), HOUR, load).await)
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
    let cases = (vec(call(), 1..30), vec(0..4_u8, 0..3), vec(call(), 1..30));
    memory_and_redis_agree(64, cases, async |store, _, case| {
        transcript(store, case).await
    });
}
