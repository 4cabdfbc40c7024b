//! What sessions with a user cost the store: commands by its own count, and round trips.

use std::{collections::BTreeMap, time::Duration};

use tower_keep::{
    StoreConfig,
    session::{Session, SessionLayer, SessionLifetime, UserSessions},
};

use super::stand::{Client, Stand};
use crate::harness::{connected::PATIENT, proxy::Proxy};

/// A Redis behind a proxy that counts trips.
struct Counted {
    stand: Stand,
    proxy: Proxy,
    layer: SessionLayer,
    ada: UserSessions,
}

impl Counted {
    async fn start() -> Self {
        let stand = Stand::redis().await;
        let proxy = Proxy::start(stand.server().addr());
        let config = StoreConfig::from_url(&format!("redis://{}/", proxy.addr())).unwrap();
        let store = config.with_deadline(Duration::from_secs(60));
        let store = store.build().unwrap();
        store.ping().await.unwrap();
        Self {
            ada: UserSessions::new(store.clone(), "ada").unwrap(),
            layer: SessionLayer::new(store),
            stand,
            proxy,
        }
    }

    async fn logged_in(&self) -> Client {
        let client = Client::of(self.layer.clone());
        client.login("ada").await;
        client
    }

    /// The round trips and the commands of what is done, those of scripts included.
    async fn cost(&self, doing: impl Future<Output = ()>) -> (u64, BTreeMap<String, u64>) {
        let before = self.proxy.round_trips();
        self.stand.server().reset_stats();
        doing.await;
        let trips = self.proxy.round_trips() - before;
        (trips, self.stand.server().command_calls())
    }

    async fn visit(
        &self,
        client: &Client,
        handler: impl AsyncFnOnce(&Session),
    ) -> (u64, BTreeMap<String, u64>) {
        self.cost(client.visit(async |session| handler(&session).await))
            .await
    }
}

/// These calls and no others.
fn assert_calls(calls: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    let expected = expected
        .iter()
        .map(|&(name, calls)| (name.to_owned(), calls));
    assert_eq!(*calls, expected.collect());
}

#[tokio::test]
async fn a_read_is_one_trip_of_two_plain_commands() {
    let counted = Counted::start().await;
    let client = counted.logged_in().await;
    let (trips, calls) = counted
        .visit(&client, async |session| {
            session.require_user().await.unwrap();
            session.get::<String>("user").await.unwrap();
            session.handle().await.unwrap();
        })
        .await;
    assert_calls(&calls, &[("hgetall", 1), ("pttl", 1)]);
    assert_eq!(trips, 1);
}

/// The index of the user is not asked.
#[tokio::test]
async fn a_read_and_a_change_of_one_field_are_two_trips_and_one_script() {
    let counted = Counted::start().await;
    let client = counted.logged_in().await;
    // A new value, the same again, and a longer one.
    for (bytes, commits) in [(1, 1), (1, 0), (2, 1)] {
        let (trips, mut calls) = counted
            .visit(&client, async |session| {
                session.get::<String>("k").await.unwrap();
                session.insert("k", "x".repeat(bytes)).unwrap();
            })
            .await;
        assert_eq!(trips, 1 + commits);
        // Whether a new key is one too many.
        calls.remove("hlen");
        calls.retain(|_, calls| *calls > 0);
        let script = ["evalsha", "hget", "hset", "hstrlen"];
        let script = script.into_iter().filter(|_| commits > 0);
        let read = [("hgetall", 1), ("pttl", 1)].into_iter();
        assert_calls(
            &calls,
            &read.chain(script.map(|name| (name, 1))).collect::<Vec<_>>(),
        );
    }
}

#[tokio::test]
async fn a_login_is_two_trips_one_for_the_index() {
    let counted = Counted::start().await;
    let first = Client::of(counted.layer.clone());
    let login = async |session: &Session| session.login("ada").unwrap();
    let (trips, calls) = counted.visit(&first, login).await;
    assert_eq!((trips, calls["evalsha"]), (2, 2), "{calls:?}");
    // Over a session that was not read it is read first.
    let (trips, calls) = counted.visit(&first, login).await;
    assert_eq!((trips, calls["evalsha"]), (3, 2), "{calls:?}");
    // What is beside the two scripts: one more for the first use of the id that it came with.
    let (trips, calls) = counted.visit(&first, login).await;
    assert_eq!((trips, calls["evalsha"]), (4, 3), "{calls:?}");
    let (trips, calls) = counted
        .visit(&first, async |session| {
            let hour = Duration::from_secs(3600);
            let lifetime = SessionLifetime::new(hour, hour).unwrap();
            session.user().await.unwrap();
            session.set_lifetime(lifetime).unwrap();
        })
        .await;
    assert_eq!((trips, calls["evalsha"]), (4, 3), "{calls:?}");
}

#[tokio::test]
async fn a_renewal_does_not_ask_the_index() {
    let counted = Counted::start().await;
    let client = counted.logged_in().await;
    let (trips, calls) = counted
        .visit(&client, async |session| {
            session.user().await.unwrap();
            session.renew().unwrap();
        })
        .await;
    assert_eq!((trips, calls["evalsha"]), (2, 1), "{calls:?}");
}

/// It hands out no id, so that nothing is to be written.
#[tokio::test]
async fn a_renewal_through_an_old_id_is_not_asked_for() {
    let counted = Counted::start().await;
    let client = counted.logged_in().await;
    let old = client.copy();
    client.renew().await;
    let (trips, calls) = counted
        .visit(&old, async |session| {
            session.require_user().await.unwrap();
            session.renew().unwrap();
        })
        .await;
    assert_calls(&calls, &[("hgetall", 2), ("pttl", 2)]);
    assert_eq!(trips, 2);
}

#[tokio::test]
async fn a_logout_takes_the_session_out_of_the_index() {
    let counted = Counted::start().await;
    let client = counted.logged_in().await;
    let logout = async |session: &Session| session.destroy().await.unwrap();
    let (trips, calls) = counted.visit(&client, logout).await;
    assert_eq!(
        (trips, calls["evalsha"], calls["hdel"]),
        (2, 1, 1),
        "{calls:?}"
    );
}

#[tokio::test]
async fn a_list_is_three_trips_however_many_sessions_there_are() {
    let counted = Counted::start().await;
    for sessions in 1..=5 {
        counted.logged_in().await;
        let (trips, calls) = counted
            .cost(async {
                let list = counted.ada.list().await.unwrap();
                assert_eq!(list.len() as u64, sessions);
            })
            .await;
        assert_eq!(trips, 3);
        let expected = [
            ("evalsha", 1),
            ("get", sessions),
            ("hget", sessions),
            ("hgetall", 1),
            ("pttl", sessions),
            ("time", 1),
        ];
        assert_calls(&calls, &expected);
    }
}

#[tokio::test]
async fn to_revoke_all_is_four_trips_however_many_sessions_there_are() {
    for sessions in [1, 5] {
        let counted = Counted::start().await;
        for _ in 0..sessions {
            counted.logged_in().await;
        }
        let (trips, calls) = counted
            .cost(async {
                let revoked = counted.ada.revoke_all().await.unwrap();
                assert_eq!(revoked as u64, sessions);
            })
            .await;
        assert_eq!(trips, 4);
        // The marks, and one script a session.
        assert_eq!(calls["evalsha"], 1 + sessions, "{calls:?}");
    }
}

#[tokio::test]
async fn a_save_is_one_trip_for_what_has_changed() {
    let counted = Counted::start().await;
    let client = counted.logged_in().await;
    let (trips, calls) = counted
        .visit(&client, async |session| {
            session.user().await.unwrap();
            for n in 0..3 {
                session.insert("n", n).unwrap();
                session.save().await.unwrap();
                session.save().await.unwrap();
            }
        })
        .await;
    assert_eq!((trips, calls["evalsha"]), (4, 3), "{calls:?}");
}

/// Reads of this many processes, twenty at once, when a touch is due.
async fn parallel_reads(processes: usize) -> BTreeMap<String, u64> {
    let counted = Counted::start().await;
    let client = counted.logged_in().await;
    let mut layers = vec![counted.layer.clone()];
    for _ in 1..processes {
        layers.push(SessionLayer::new(
            counted.stand.server().connected(PATIENT).await,
        ));
    }
    counted.stand.advance(Duration::from_secs(3 * 3600)).await;
    // All have read the session before the first of them is told that it was touched.
    let read = std::sync::Arc::new(tokio::sync::Barrier::new(20));
    counted
        .proxy
        .delay(Duration::ZERO, Duration::from_millis(200));
    let (_, calls) = counted
        .cost(async {
            let mut reads = tokio::task::JoinSet::new();
            for n in 0..20 {
                let reader = Client::of(layers[n % processes].clone());
                reader.plant(&client.id().unwrap());
                let read = read.clone();
                reads.spawn(async move {
                    read.wait().await;
                    assert!(reader.user().await.is_some());
                });
            }
            reads.join_all().await;
        })
        .await;
    calls
}

#[tokio::test]
async fn of_parallel_reads_in_one_process_one_notes_the_activity() {
    let calls = parallel_reads(1).await;
    let read = [("hgetall", 20), ("pttl", 20)];
    let touch = [("evalsha", 1), ("time", 1), ("hget", 2), ("hset", 1)];
    let expected = [&read[..], &touch, &[("pexpireat", 1)]].concat();
    assert_calls(&calls, &expected);
}

#[tokio::test]
async fn of_parallel_reads_in_two_processes_one_writes_the_activity() {
    let calls = parallel_reads(2).await;
    assert_eq!((calls["hset"], calls["pexpireat"]), (1, 1), "{calls:?}");
}
