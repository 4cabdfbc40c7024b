//! The quickstart: what the README shows first.

use http::StatusCode;

use crate::harness::{
    client::Client,
    eventually,
    example::{Example, PATIENT},
    redis::RedisServer,
};

#[tokio::test]
async fn it_answers_on_embedded_memory_and_stops_cleanly() {
    let mut example = Example::start("quickstart", &[]);
    let client = Client::http1(example.addr()).with_cookies();
    for _ in 0..2 {
        let reply = client.get("/").await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(reply.text(), "Hello!\n");
        assert!(reply.header("cache-status").is_some());
        assert!(
            reply
                .header("ratelimit")
                .unwrap()
                .starts_with("\"burst\";r=")
        );
        assert_eq!(reply.header("set-cookie"), None);
    }
    assert_eq!(client.get("/visits").await.text(), "1 visits\n");
    assert_eq!(client.get("/visits").await.text(), "2 visits\n");
    drop(client);
    assert_eq!(example.terminate(), Some(0));
    assert!(example.log().contains("embedded memory"));
}

#[tokio::test]
async fn it_keeps_its_data_in_the_redis_that_the_environment_names() {
    let redis = RedisServer::start();
    let url = redis.url();
    let environment = [("REDIS_URL", &*url), ("REDIS_NAMESPACE", "quick")];
    let example = Example::start_with("quickstart", &PATIENT, &environment);
    let client = Client::http1(example.addr()).with_cookies();
    client.get("/").await;
    client.get("/visits").await;
    for kind in ["cache", "session"] {
        eventually(kind, async || {
            !redis.keys(&format!("quick:{kind}:*")).is_empty()
        })
        .await;
    }
    let foreign = |key: &String| !key.starts_with("quick:");
    assert!(!redis.keys("*").iter().any(foreign));
    redis.assert_every_key_has_a_ttl();
}

#[test]
fn its_help_is_no_error() {
    let output = Example::run("quickstart", &["--help"]);
    assert_eq!(output.code, Some(0));
    assert!(output.stdout.contains("--listen"), "{}", output.stdout);
}
