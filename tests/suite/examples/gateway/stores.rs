//! What the gateway does, from end to end on every store that its flag can name.

use http::{Request, StatusCode};
use serde_json::Value;

use super::stand::{answer, get_with};
use crate::harness::{
    body::{self, Body},
    client::{Client, Reply},
    eventually,
    example::{Example, PATIENT},
    on_all_stores,
    origin::Origin,
    redis::{Backend, RedisServer},
};

on_all_stores!(
    a_page_is_fetched_once_and_again_after_each_kind_of_purge,
    the_limit_counts_and_says_so,
    it_is_live_and_ready_and_says_of_what,
    what_is_stored_expires_and_belongs_to_the_namespace,
);

const FLAGS: [&str; 4] = [
    "--purge-token",
    "s3cret",
    "--limit",
    r#""daily";q=200;w=86400"#,
];

struct Stand {
    // Stopped before its Redis is.
    gateway: Example,
    origin: Origin,
    backend: Option<Backend>,
}

impl Stand {
    fn memory() -> Self {
        let origin = Origin::start(tagged);
        Self {
            gateway: gateway(None, &origin),
            origin,
            backend: None,
        }
    }

    /// A gateway that has found its store.
    async fn on(backend: Backend) -> Self {
        let origin = Origin::start(tagged);
        let gateway = gateway(Some(&backend), &origin);
        let client = Client::http1(gateway.addr());
        eventually("it is ready", async || {
            client.get("/_health/ready").await.status == StatusCode::OK
        })
        .await;
        Self {
            gateway,
            origin,
            backend: Some(backend),
        }
    }

    fn client(&self) -> Client {
        Client::http1(self.gateway.addr())
    }

    /// Another one over the same store; on embedded memory it is this one.
    fn another(&self) -> Option<Example> {
        let backend = self.backend.as_ref()?;
        Some(gateway(Some(backend), &self.origin))
    }
}

fn gateway(backend: Option<&Backend>, origin: &Origin) -> Example {
    let url = backend.map_or_else(|| "memory".to_owned(), Backend::url);
    let authority = backend.and_then(Backend::authority);
    // What the server's certificate is checked against.
    let trust = (authority.as_ref()).map(|file| ("SSL_CERT_FILE", file.to_str().unwrap()));
    let upstream = format!("http://{}", origin.addr());
    let own = ["--upstream", &upstream, "--store", &url];
    let flags = [&own[..], &PATIENT, &FLAGS].concat();
    Example::start_with("gateway", &flags, trust.as_slice())
}

/// A page with two tags and its path as a third.
async fn tagged(request: Request<hyper::body::Incoming>) -> http::Response<Body> {
    let tags = format!("all {}", request.uri().path());
    let control = "max-age=60, stale-while-revalidate=60";
    answer(
        &[("cache-control", control), ("surrogate-key", &tags)],
        "page",
    )
}

async fn get(client: &Client, path: &str) -> Reply {
    let reply = get_with(client, path, "host", "shop.example").await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
    reply
}

fn is_hit(reply: &Reply) -> bool {
    reply.header("cache-status").unwrap().contains("hit")
}

async fn purge(client: &Client, json: &str) {
    let request = Request::post("/_cache/purge").header("host", "shop.example");
    let request = request.header("authorization", "Bearer s3cret");
    let reply = client
        .send(request.body(body::full(json.to_owned())).unwrap())
        .await;
    assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
}

async fn a_page_is_fetched_once_and_again_after_each_kind_of_purge(stand: Stand) {
    let other = stand.another();
    let client = stand.client();
    let elsewhere = match &other {
        Some(other) => Client::http1(other.addr()),
        None => stand.client(),
    };
    // Its client has a page before the store does.
    let stored = async |path: &str| {
        get(&client, path).await;
        eventually("it is stored", async || {
            is_hit(&get(&elsewhere, path).await)
        })
        .await;
    };
    for purged in [
        r#"{"uri":"http://shop.example/a"}"#,
        r#"{"uri":"/a"}"#,
        r#"{"tag":"/a"}"#,
    ] {
        stored("/a").await;
        stored("/b").await;
        let hits = stand.origin.hits();
        assert!(is_hit(&get(&client, "/a").await));
        assert_eq!(stand.origin.hits(), hits);
        purge(&client, purged).await;
        assert!(!is_hit(&get(&elsewhere, "/a").await), "{purged}");
        assert_eq!(stand.origin.hits(), hits + 1);
        assert!(is_hit(&get(&elsewhere, "/b").await), "{purged}");
    }
    stored("/a").await;
    purge(&client, r#"{"tag":"all","soft":true}"#).await;
    for path in ["/a", "/b"] {
        let hits = stand.origin.hits();
        let reply = get(&elsewhere, path).await;
        let status = reply.header("cache-status").unwrap();
        let ttl: i64 = status.split("ttl=").nth(1).unwrap().parse().unwrap();
        assert!(is_hit(&reply) && ttl <= 0, "{status}");
        eventually("it is refreshed", async || stand.origin.hits() > hits).await;
    }
}

async fn the_limit_counts_and_says_so(stand: Stand) {
    let client = stand.client();
    let left = |reply: &Reply| {
        let field = reply.header("ratelimit").unwrap().to_owned();
        let left = field.split("r=").nth(1).unwrap();
        left.split(';').next().unwrap().parse::<u32>().unwrap()
    };
    let first = left(&get(&client, "/a").await);
    let other = stand.another();
    let elsewhere = match &other {
        Some(other) => Client::http1(other.addr()),
        None => stand.client(),
    };
    assert_eq!(left(&get(&elsewhere, "/a").await), first - 1);
    for _ in 0..first - 1 {
        get(&client, "/a").await;
    }
    let denied = client.get("/a").await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(denied.header("retry-after").is_some());
    let problem: Value = denied.json();
    assert_eq!(problem["violated-policies"][0], "daily", "{problem}");
    let denied = elsewhere.get("/b").await;
    assert_eq!(denied.status, StatusCode::TOO_MANY_REQUESTS);
}

async fn it_is_live_and_ready_and_says_of_what(stand: Stand) {
    let client = stand.client();
    let live = client.get("/_health/live").await;
    assert_eq!(live.status, StatusCode::OK);
    let ready = client.get("/_health/ready").await;
    assert_eq!(ready.status, StatusCode::OK);
    let report: Value = ready.json();
    assert_eq!(report["status"], "ready", "{report}");
    let text = report.to_string();
    assert!(
        !text.contains("s3cret") && !text.contains("secret"),
        "{text}"
    );
    assert_eq!(ready.header("ratelimit"), None);
    assert_eq!(ready.header("cache-control"), Some("no-store"));
}

async fn what_is_stored_expires_and_belongs_to_the_namespace(stand: Stand) {
    let client = stand.client();
    get(&client, "/a?secret=1").await;
    let Some(backend) = &stand.backend else {
        return;
    };
    eventually("it is stored", async || {
        is_hit(&get(&client, "/a?secret=1").await)
    })
    .await;
    backend.assert_every_key_has_a_ttl();
    let keys = backend.keys("*");
    assert!(!keys.is_empty());
    for key in keys {
        assert!(key.starts_with("keep:"), "{key}");
        assert!(
            !key.contains("secret") && !key.contains("127.0.0.1"),
            "{key}"
        );
    }
}

#[tokio::test]
async fn a_unix_socket_is_a_store_too() {
    let redis = RedisServer::config().unix_socket().start();
    let origin = Origin::start(tagged);
    let upstream = format!("http://{}", origin.addr());
    let url = redis.unix_url();
    let flags = ["--upstream", &upstream, "--store", &url];
    let gateway = Example::start("gateway", &[&flags[..], &PATIENT].concat());
    let client = Client::http1(gateway.addr());
    eventually("it is ready", async || {
        client.get("/_health/ready").await.status == StatusCode::OK
    })
    .await;
    get(&client, "/a").await;
    super::stand::stored(&redis).await;
    assert!(is_hit(&get(&client, "/a").await));
}
