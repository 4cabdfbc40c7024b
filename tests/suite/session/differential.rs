//! Embedded memory and Redis, driven by the same random requests, answer the same.

use http::{Response, StatusCode};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use tower_keep::session::{Session, SessionError, SessionLayer};

use super::stand::{Client, Stand};

#[derive(Debug, Clone)]
enum Step {
    Get(u8),
    Insert(u8, i64),
    InsertText(u8),
    Remove(u8),
    Clear,
    Increment(u8, i64),
    Update(u8),
    Renew,
    Destroy,
    Exists,
}

/// A request of one of two clients that share a session to start with, or not.
#[derive(Debug, Clone)]
struct Visit {
    second: bool,
    fails: bool,
    /// The first takes the cookie of the second after it.
    copies: bool,
    steps: Vec<Step>,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..3_u8;
    let number = prop_oneof![-3..3_i64, Just(i64::MAX), Just(i64::MIN)];
    prop_oneof![
        4 => key.clone().prop_map(Step::Get),
        4 => (key.clone(), number.clone()).prop_map(|(key, n)| Step::Insert(key, n)),
        1 => key.clone().prop_map(Step::InsertText),
        2 => key.clone().prop_map(Step::Remove),
        1 => Just(Step::Clear),
        3 => (key.clone(), number).prop_map(|(key, n)| Step::Increment(key, n)),
        3 => key.prop_map(Step::Update),
        2 => Just(Step::Renew),
        1 => Just(Step::Destroy),
        1 => Just(Step::Exists),
    ]
}

fn visit() -> impl Strategy<Value = Visit> {
    let fails = prop::bool::weighted(0.1);
    let copies = prop::bool::weighted(0.3);
    (
        any::<bool>(),
        fails,
        copies,
        prop::collection::vec(step(), 0..6),
    )
        .prop_map(|(second, fails, copies, steps)| Visit {
            second,
            fails,
            copies,
            steps,
        })
}

async fn run(session: &Session, step: &Step) -> Result<String, SessionError> {
    let name = |key: &u8| format!("k{key}");
    Ok(match step {
        Step::Get(key) => {
            let value = session.get::<serde_json::Value>(&name(key)).await?;
            format!("{value:?}")
        }
        Step::Insert(key, n) => format!("{:?}", session.insert(&name(key), n)?),
        Step::InsertText(key) => format!("{:?}", session.insert(&name(key), "text")?),
        Step::Remove(key) => format!("{:?}", session.remove(&name(key))?),
        Step::Clear => format!("{:?}", session.clear()?),
        Step::Increment(key, by) => session.increment(&name(key), *by).await?.to_string(),
        Step::Update(key) => {
            let key = name(key);
            let updated = session.update(&key, |n: Option<i64>| n.map_or(1, |n| n / 2));
            updated.await?.to_string()
        }
        Step::Renew => format!("{:?}", session.renew()?),
        Step::Destroy => format!("{:?}", session.destroy().await?),
        Step::Exists => session.exists().await?.to_string(),
    })
}

/// All that the clients see, with ids replaced by whether there was a new one.
async fn transcript(layer: SessionLayer, visits: &[Visit]) -> Vec<String> {
    let clients = [Client::of(layer.clone()), Client::of(layer)];
    let mut lines = Vec::new();
    for visit in visits {
        let client = &clients[usize::from(visit.second)];
        let before = client.id();
        let response = client
            .send(async |session| {
                for step in &visit.steps {
                    let answer = run(&session, step).await;
                    lines.push(format!("{step:?}: {answer:?}"));
                }
                let mut response = Response::default();
                if visit.fails {
                    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                }
                Ok(response)
            })
            .await;
        let cookies = response.headers().get_all("set-cookie").iter().count();
        let changed = (client.id().is_some(), client.id() != before);
        lines.push(format!("{} {cookies} {changed:?}", response.status()));
        if let (true, Some(id)) = (visit.copies, clients[1].id()) {
            clients[0].plant(&id);
        }
    }
    lines
}

#[test]
fn memory_and_redis_answer_the_same_to_random_requests() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let stand = runtime.block_on(Stand::redis());
    let case = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let visits = prop::collection::vec(visit(), 1..12);
    runner
        .run(&visits, |visits| {
            case.set(case.get() + 1);
            let namespace = format!("case{}", case.get());
            let redis = stand.store.clone().with_namespace(&namespace).unwrap();
            let (memory, redis) = runtime.block_on(async {
                let memory = SessionLayer::new(tower_keep::Store::memory());
                (
                    transcript(memory, &visits).await,
                    transcript(SessionLayer::new(redis), &visits).await,
                )
            });
            prop_assert_eq!(memory, redis);
            Ok(())
        })
        .unwrap();
    stand.server().assert_every_key_has_a_ttl();
}
