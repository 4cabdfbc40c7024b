//! Embedded memory and Redis, driven by the same random requests and clock, answer the same.

use std::time::Duration;

use http::{Response, StatusCode};
use proptest::prelude::*;
use tower_keep::{
    Store,
    session::{Session, SessionError, SessionLayer, SessionLifetime},
};

use super::stand::{Client, advance};
use crate::harness::{differential::memory_and_redis_agree, redis::Backend};

#[derive(Debug, Clone)]
enum Step {
    Get(u8),
    Insert(u8, i64),
    InsertText(u8, u8),
    Remove(u8),
    Clear,
    Increment(u8, i64),
    Update(u8),
    Renew,
    Login(u8),
    Lifetime(Option<u64>),
    User,
    Destroy,
    Exists,
    /// A whole request of another client, or of the same, while this one is under way.
    Meanwhile(u8, Vec<Step>),
}

/// A request of one of three clients, which may have cookies of each other.
#[derive(Debug, Clone)]
struct Visit {
    /// Seconds that pass before it.
    wait: u64,
    client: u8,
    fails: bool,
    /// This client takes the cookie of that one after it.
    copies: Option<(u8, u8)>,
    steps: Vec<Step>,
}

/// All that passes is a multiple of four seconds, and all that ends does so two seconds off: what
/// a test itself takes does not matter.
const WAITS: [u64; 8] = [0, 0, 0, 4, 8, 16, 64, 112];

fn layer(layer: SessionLayer, grace: u64) -> SessionLayer {
    let seconds = Duration::from_secs;
    let layer = layer.with_idle_timeout(seconds(102)).unwrap();
    let layer = layer.with_absolute_timeout(seconds(250)).unwrap();
    let layer = layer.with_touch_fraction(10.0 / 102.0).unwrap();
    let layer = layer.with_renewal_interval(seconds(38)).unwrap();
    let layer = layer.with_renewal_grace(seconds(grace)).unwrap();
    layer.with_max_bytes(80).unwrap().with_max_keys(3).unwrap()
}

fn plain_step() -> impl Strategy<Value = Step> {
    let key = 0..4_u8;
    let number = prop_oneof![-3..3_i64, Just(i64::MAX), Just(i64::MIN)];
    prop_oneof![
        4 => key.clone().prop_map(Step::Get),
        4 => (key.clone(), number.clone()).prop_map(|(key, n)| Step::Insert(key, n)),
        2 => (key.clone(), 0..70_u8).prop_map(|(key, n)| Step::InsertText(key, n)),
        2 => key.clone().prop_map(Step::Remove),
        1 => Just(Step::Clear),
        3 => (key.clone(), number).prop_map(|(key, n)| Step::Increment(key, n)),
        3 => key.prop_map(Step::Update),
        2 => Just(Step::Renew),
        4 => (0..2_u8).prop_map(Step::Login),
        1 => prop::option::of(prop::sample::select(&[22, 62, 142][..])).prop_map(Step::Lifetime),
        2 => Just(Step::User),
        1 => Just(Step::Destroy),
        1 => Just(Step::Exists),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let meanwhile = (0..3_u8, prop::collection::vec(plain_step(), 0..4));
    prop_oneof![
        5 => plain_step(),
        1 => meanwhile.prop_map(|(client, steps)| Step::Meanwhile(client, steps)),
    ]
}

fn visit() -> impl Strategy<Value = Visit> {
    let wait = prop::sample::select(&WAITS[..]);
    let fails = prop::bool::weighted(0.1);
    let copies = prop::option::weighted(0.4, (0..3_u8, 0..3_u8));
    let steps = prop::collection::vec(step(), 0..6);
    (wait, 0..3_u8, fails, copies, steps).prop_map(|(wait, client, fails, copies, steps)| Visit {
        wait,
        client,
        fails,
        copies,
        steps,
    })
}

async fn run(session: &Session, step: &Step, others: &Clients) -> Result<String, SessionError> {
    let name = |key: &u8| format!("k{key}");
    Ok(match step {
        Step::Get(key) => {
            let value = session.get::<serde_json::Value>(&name(key)).await?;
            format!("{value:?}")
        }
        Step::Insert(key, n) => format!("{:?}", session.insert(&name(key), n)?),
        Step::InsertText(key, n) => {
            let text = "x".repeat(usize::from(*n));
            format!("{:?}", session.insert(&name(key), &text)?)
        }
        Step::Remove(key) => format!("{:?}", session.remove(&name(key))?),
        Step::Clear => format!("{:?}", session.clear()?),
        Step::Increment(key, by) => session.increment(&name(key), *by).await?.to_string(),
        Step::Update(key) => {
            let key = name(key);
            let updated = session.update(&key, |n: Option<i64>| n.map_or(1, |n| n / 2));
            updated.await?.to_string()
        }
        Step::Renew => format!("{:?}", session.renew()?),
        Step::Login(user) => format!("{:?}", session.login(&format!("user{user}"))?),
        Step::Lifetime(idle) => {
            let seconds = Duration::from_secs;
            let own = idle.map(|idle| SessionLifetime::new(seconds(idle), seconds(3 * idle)));
            format!("{:?}", session.set_lifetime(own.transpose()?)?)
        }
        Step::User => format!("{:?}", session.user().await?),
        Step::Destroy => format!("{:?}", session.destroy().await?),
        Step::Exists => session.exists().await?.to_string(),
        Step::Meanwhile(client, steps) => {
            let lines = Box::pin(others.request(usize::from(*client), false, steps)).await;
            lines.join("; ")
        }
    })
}

struct Clients([Client; 3]);

impl Clients {
    /// All that the clients see, with ids replaced by whether there was a new one.
    async fn request(&self, client: usize, fails: bool, steps: &[Step]) -> Vec<String> {
        let client = &self.0[client];
        let before = client.id();
        let mut lines = Vec::new();
        let response = client
            .send(async |session| {
                for step in steps {
                    let answer = run(&session, step, self).await;
                    lines.push(format!("{step:?}: {answer:?}"));
                }
                let mut response = Response::default();
                if fails {
                    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                }
                Ok(response)
            })
            .await;
        let cookies = response.headers().get_all("set-cookie").iter().count();
        let changed = (client.id().is_some(), client.id() != before);
        lines.push(format!("{} {cookies} {changed:?}", response.status()));
        lines
    }
}

async fn transcript(
    store: Store,
    redis: Option<&Backend>,
    grace: u64,
    visits: &[Visit],
) -> Vec<String> {
    if redis.is_none() {
        tokio::time::pause();
    }
    let layer = layer(SessionLayer::new(store), grace);
    let clients = Clients([(); 3].map(|()| Client::of(layer.clone())));
    let mut lines = Vec::new();
    for visit in visits {
        advance(redis, Duration::from_secs(visit.wait)).await;
        let client = usize::from(visit.client);
        lines.extend(clients.request(client, visit.fails, &visit.steps).await);
        if let Some((to, from)) = visit.copies
            && let Some(id) = clients.0[usize::from(from)].id()
        {
            clients.0[usize::from(to)].plant(&id);
        }
    }
    lines
}

#[test]
fn memory_and_redis_answer_the_same_to_random_requests() {
    let visits = prop::collection::vec(visit(), 1..12);
    let grace = prop::sample::select(&[0, 10][..]);
    memory_and_redis_agree(
        300,
        (grace, visits),
        async |store, redis, (grace, visits)| transcript(store, redis, *grace, visits).await,
    );
}
