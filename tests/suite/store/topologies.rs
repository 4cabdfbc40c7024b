//! The same store on a cluster, behind sentinels, over TLS and a Unix socket.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use http::{Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_keep::{
    PeerAddr, Store, StoreConfig,
    cache::CacheLayer,
    rate_limit::RateLimitLayer,
    refresh_token::{Grant, RefreshTokenError, RefreshTokens},
    session::{Session, SessionLayer},
    store::StoreState,
};

use super::{HOUR, PATIENT, answers_again, store, users};
use crate::harness::{
    eventually,
    redis::{Certificates, RedisCluster, RedisSentinel, RedisServer},
};

/// One request through every layer, and a value: each has to work with the store.
pub(super) async fn use_everything(store: &Store, user: u64) {
    let limit = RateLimitLayer::new(store.clone(), r#""hour";q=10000;w=3600"#.parse().unwrap());
    let sessions = SessionLayer::new(store.clone());
    let service = limit.layer(sessions.layer(service_fn(async |request: Request<String>| {
        let session = request.extensions().get::<Session>().unwrap();
        session.insert("seen", true).unwrap();
        assert_eq!(session.increment("visits", 1).await.unwrap(), 1);
        Ok::<_, Infallible>(Response::new(String::new()))
    })));
    let mut request = Request::new(String::new());
    request
        .extensions_mut()
        .insert(PeerAddr(([192, 0, 2, 1], 1).into()));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.headers().contains_key("set-cookie"));
    assert!(response.headers().contains_key("ratelimit"));

    let cache = CacheLayer::new(store.clone());
    let page = cache.layer(service_fn(async |_: Request<String>| {
        let response = Response::builder().header("cache-control", "max-age=600");
        Ok::<_, Infallible>(response.body(String::new()).unwrap())
    }));
    eventually("a hit", async || {
        let request = Request::get(format!("http://site.example/{user}"));
        let response = page.clone().oneshot(request.body(String::new()).unwrap());
        let response = response.await.unwrap();
        response.headers()["cache-status"]
            .to_str()
            .unwrap()
            .contains("hit")
    })
    .await;

    let values = users(store);
    values.set(user, "ada", HOUR).await.unwrap();
    assert_eq!(values.get::<String>(user).await.unwrap().unwrap(), "ada");
    assert!(values.del(user).await.unwrap());

    let tokens = RefreshTokens::new(store.clone());
    let grant = || Grant::new(format!("user{user}"), "web").with_device("laptop");
    let first = tokens.issue(grant()).await.unwrap().token;
    let second = tokens.rotate(first.expose(), "web").await.unwrap().token;
    let third = tokens.rotate(second.expose(), "web").await.unwrap().token;
    let stolen = tokens.rotate(first.expose(), "web").await.unwrap_err();
    assert!(matches!(stolen, RefreshTokenError::Reused), "{stolen}");
    tokens.issue(grant()).await.unwrap();
    assert_eq!(tokens.list(grant().user()).await.unwrap().len(), 1);
    tokens.revoke(third.expose()).await.unwrap();
    tokens
        .revoke_device(grant().user(), "laptop")
        .await
        .unwrap();
    tokens.revoke_user(grant().user()).await.unwrap();
}

#[tokio::test]
async fn everything_works_over_a_unix_socket() {
    let redis = RedisServer::config().unix_socket().start();
    let store = store(&redis.unix_url(), PATIENT);
    use_everything(&store, 1).await;
    redis.assert_every_key_has_a_ttl();
}

#[tokio::test]
async fn everything_works_over_tls_with_an_authority_of_ones_own() {
    let certificates = Certificates::generate();
    let authority = std::fs::read(certificates.authority()).unwrap();
    let redis = RedisServer::config()
        .password("p@ss/word")
        .tls(certificates)
        .start();
    let config = StoreConfig::from_url(&redis.url()).unwrap();
    let store = config
        .with_root_certificates(authority)
        .with_deadline(PATIENT)
        .build()
        .unwrap();
    use_everything(&store, 1).await;
}

#[tokio::test]
async fn a_server_that_no_trusted_authority_has_signed_is_not_talked_to() {
    let redis = RedisServer::config().tls(Certificates::generate()).start();
    let stranger = Certificates::generate();
    let config = StoreConfig::from_url(&redis.url()).unwrap();
    let store = config
        .with_root_certificates(std::fs::read(stranger.authority()).unwrap())
        .build()
        .unwrap();
    assert!(store.ping().await.is_err());
    eventually("the breaker is open", async || {
        store.state() == StoreState::Unavailable
    })
    .await;
}

#[tokio::test]
async fn everything_works_on_the_master_that_sentinels_name() {
    let group = RedisSentinel::start();
    let store = store(&group.url(), PATIENT);
    use_everything(&store, 1).await;
    group.servers()[0].assert_every_key_has_a_ttl();
    assert!(!group.servers()[0].keys("keep:session:*").is_empty());
}

#[tokio::test]
async fn a_master_that_was_demoted_is_left_for_the_one_that_took_its_place() {
    let group = RedisSentinel::start();
    let store = store(&group.url(), Duration::from_millis(400));
    answers_again(&store).await;
    let values = users(&store);
    values.set(1, "ada", HOUR).await.unwrap();
    group.fail_over();
    eventually("the old master is demoted", async || {
        // It breaks all connections then, this one too.
        let role = group.servers()[0].try_query::<String>(&["INFO", "replication"]);
        role.is_ok_and(|role| role.contains("role:slave"))
    })
    .await;
    let demoted = Instant::now();
    eventually("a write on the new master", async || {
        let _ = values.set(2, "eve", HOUR).await;
        group.servers()[1].keys("keep:user:2").len() == 1
    })
    .await;
    assert!(demoted.elapsed() < PATIENT, "{:?}", demoted.elapsed());
    assert_eq!(values.get::<String>(1).await.unwrap().unwrap(), "ada");
    use_everything(&store, 3).await;
}

#[tokio::test]
async fn a_master_that_is_alive_is_left_soon_after_its_sentinels_order_a_failover() {
    let group = RedisSentinel::start();
    let store = store(&group.url(), Duration::from_millis(400));
    answers_again(&store).await;
    let values = users(&store);
    values.set(1, "ada", HOUR).await.unwrap();
    group.fail_over();
    let ordered = Instant::now();
    eventually("a write on the new master", async || {
        let _ = values.set(2, "eve", HOUR).await;
        group.servers()[1].keys("keep:user:2").len() == 1
    })
    .await;
    // It is told that it is a replica after eight seconds.
    let role: String = group.servers()[0].query(&["INFO", "replication"]);
    assert!(role.contains("role:master"), "{role}");
    assert!(ordered.elapsed() < PATIENT, "{:?}", ordered.elapsed());
}

#[tokio::test]
async fn the_master_that_takes_over_from_a_dead_one_is_found() {
    let mut group = RedisSentinel::start();
    let store = store(&group.url(), Duration::from_millis(400));
    answers_again(&store).await;
    group.server_mut(0).kill();
    group.wait_for_master(1);
    let promoted = Instant::now();
    answers_again(&store).await;
    assert!(promoted.elapsed() < PATIENT, "{:?}", promoted.elapsed());
    use_everything(&store, 1).await;
}

/// A key of the key-value service in each of the shards, by the number of its first master.
fn one_user_in_each(cluster: &RedisCluster) -> [u64; 3] {
    let master = |id: u64| cluster.first_master_of(cluster.slot(&format!("keep:user:{id}")));
    [0, 1, 2].map(|number| (0..).find(|id| master(*id) == number).unwrap())
}

#[tokio::test]
async fn everything_works_on_a_cluster_with_keys_in_all_shards() {
    let cluster = RedisCluster::start();
    let store = store(&cluster.url(), PATIENT);
    for user in one_user_in_each(&cluster) {
        use_everything(&store, user).await;
    }
    for node in &cluster.nodes()[..3] {
        node.assert_every_key_has_a_ttl();
    }
    assert!(!cluster.keys("keep:session:*").is_empty());
    assert!(!cluster.keys("keep:rate_limit:*").is_empty());
    assert_eq!(store.state(), StoreState::Ready);
}

#[tokio::test]
async fn a_frozen_shard_costs_the_others_nothing() {
    let cluster = RedisCluster::start();
    let deadline = Duration::from_secs(1);
    let store = store(&cluster.url(), deadline);
    let values = users(&store);
    let [frozen, others @ ..] = one_user_in_each(&cluster);
    for user in [frozen, others[0], others[1]] {
        eventually("a value", async || {
            values.set(user, "ada", HOUR).await.is_ok()
        })
        .await;
    }
    // Every shard has a connection of its own by then.
    eventually("the shards are known", async || {
        let mut known = store.state() == StoreState::Ready;
        for user in [frozen, others[0], others[1]] {
            known &= values.get::<String>(user).await.is_ok();
        }
        known
    })
    .await;
    cluster.nodes()[0].pause();
    let mut slowest = Duration::ZERO;
    let mut was_degraded = false;
    for _ in 0..40 {
        let _ = values.get::<String>(frozen).await;
        if store.state() == StoreState::Degraded {
            was_degraded = true;
            // What needs no key is asked of a shard that answers.
            store.ping().await.unwrap();
        }
        for user in others {
            let start = Instant::now();
            assert_eq!(values.get::<String>(user).await.unwrap().unwrap(), "ada");
            slowest = slowest.max(start.elapsed());
        }
    }
    assert!(slowest < deadline, "{slowest:?}");
    assert!(was_degraded);
    // Its replica takes over while it stays frozen.
    eventually("the promotion", async || {
        let role = cluster.nodes()[3].try_query::<String>(&["INFO", "replication"]);
        role.is_ok_and(|role| role.contains("role:master"))
    })
    .await;
    let promoted = Instant::now();
    eventually("the shard is back", async || {
        values.get::<String>(frozen).await.is_ok()
    })
    .await;
    assert!(promoted.elapsed() < PATIENT, "{:?}", promoted.elapsed());
}

#[tokio::test]
async fn the_failover_of_a_shard_is_followed() {
    let mut cluster = RedisCluster::start();
    let store = store(&cluster.url(), Duration::from_millis(400));
    let values = users(&store);
    let [user, ..] = one_user_in_each(&cluster);
    eventually("a value", async || {
        values.set(user, "ada", HOUR).await.is_ok()
    })
    .await;
    let replicated: i64 = cluster.nodes()[0].query(&["WAIT", "1", "5000"]);
    assert_eq!(replicated, 1);
    cluster.fail_over(0);
    let promoted = Instant::now();
    eventually("a write", async || {
        values.set(user, "eve", HOUR).await.is_ok()
    })
    .await;
    assert!(promoted.elapsed() < PATIENT, "{:?}", promoted.elapsed());
    // A single call of a busy machine may miss its deadline.
    eventually("the new value", async || {
        let value = values.get::<String>(user).await;
        value.is_ok_and(|value| value.as_deref() == Some("eve"))
    })
    .await;
}

#[tokio::test]
async fn a_slot_that_moves_under_load_loses_no_request() {
    let cluster = RedisCluster::start();
    let store = store(&cluster.url(), PATIENT);
    let values = users(&store);
    let [user, ..] = one_user_in_each(&cluster);
    values.set(user, "ada", HOUR).await.unwrap();
    let reader = tokio::spawn({
        let values = values.clone();
        async move {
            for _ in 0..300 {
                assert_eq!(values.get::<String>(user).await.unwrap().unwrap(), "ada");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let slot = cluster.slot(&format!("keep:user:{user}"));
    let moved = tokio::task::spawn_blocking(move || {
        cluster.move_slot(slot, 0, 1);
        cluster
    });
    // It runs until the reader has ended.
    let cluster = moved.await.unwrap();
    reader.await.unwrap();
    assert_eq!(cluster.nodes()[1].keys("keep:user:*").len(), 1);
}
