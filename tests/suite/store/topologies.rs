//! The same store on a cluster, behind sentinels, over TLS and a Unix socket.

use std::{convert::Infallible, path::Path, time::Duration};

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

use super::{HOUR, PATIENT, one_user_in_each, store, users};
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

/// A store that trusts the authority of the servers and no other.
fn trusting(url: &str, authority: &Path) -> Store {
    let config = StoreConfig::from_url(url).unwrap();
    let config = config.with_root_certificates(std::fs::read(authority).unwrap());
    config.with_deadline(PATIENT).build().unwrap()
}

#[tokio::test]
async fn everything_works_on_a_cluster_over_tls() {
    let certificates = Certificates::generate();
    let authority = certificates.authority();
    let config = RedisServer::config()
        .password("p@ss/word")
        .tls(certificates);
    let cluster = RedisCluster::start_with(config);
    let url = cluster.url();
    assert!(url.starts_with("rediss+cluster://"), "{url}");
    let store = trusting(&url, &authority);
    for user in one_user_in_each(&cluster) {
        use_everything(&store, user).await;
    }
    assert_eq!(store.state(), StoreState::Ready);
    // No connection of it goes without TLS, to the replicas neither.
    for node in &cluster.nodes()[..3] {
        let clients: String = node.query(&["CLIENT", "LIST", "TYPE", "NORMAL"]);
        let ours = (clients.lines()).filter(|line| line.contains("cmd=evalsha"));
        let plain = format!("laddr=127.0.0.1:{} ", node.port());
        assert!(!ours.clone().any(|line| line.contains(&plain)), "{clients}");
    }
    let stranger = Certificates::generate();
    let store = trusting(&url, &stranger.authority());
    assert!(store.ping().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_works_behind_sentinels_over_tls_and_with_a_password_of_their_own() {
    let certificates = Certificates::generate();
    let authority = certificates.authority();
    let config = RedisServer::config()
        .password("p@ss/word")
        .tls(certificates);
    let group = RedisSentinel::start_with(config);
    let url = group.url();
    assert!(url.starts_with("rediss+sentinel://"), "{url}");
    let store = trusting(&url, &authority);
    use_everything(&store, 1).await;
    group.fail_over();
    let values = users(&store);
    eventually("a write on the new master", async || {
        let _ = values.set(2, "eve", HOUR).await;
        group.servers()[1].keys("keep:user:2").len() == 1
    })
    .await;
    let (without, _) = url.split_once('?').unwrap();
    let store = trusting(without, &authority).with_deadline(Duration::from_millis(300));
    assert!(store.ping().await.is_err(), "the sentinels want a password");
}
