//! What sessions cost the store, by its own count of commands.

use std::{collections::BTreeMap, time::Duration};

use http::Response;

use super::stand::Stand;

fn calls(stand: &Stand) -> BTreeMap<String, u64> {
    let calls = stand.server().command_calls();
    stand.server().reset_stats();
    calls
}

#[tokio::test]
async fn a_request_that_does_not_use_its_session_costs_nothing_and_gets_no_cookie() {
    let stand = Stand::redis().await;
    let known = stand.logged_in("ada").await;
    calls(&stand);
    for client in [stand.client(), known] {
        let response = client.send(async |_| Ok(Response::default())).await;
        assert!(response.headers().is_empty(), "{:?}", response.headers());
    }
    assert_eq!(calls(&stand), BTreeMap::new());
}

#[tokio::test]
async fn a_client_without_a_cookie_costs_nothing_until_something_is_written() {
    let stand = Stand::redis().await;
    let client = stand.client();
    calls(&stand);
    let response = client
        .send(async |session| {
            assert_eq!(session.get::<String>("user").await?, None);
            assert!(!session.exists().await?);
            session.remove("user")?;
            session.clear()?;
            session.renew()?;
            Ok(Response::default())
        })
        .await;
    assert!(!response.headers().contains_key("set-cookie"));
    assert_eq!(calls(&stand), BTreeMap::new());
    client
        .visit(async |session| session.insert("k", 1).unwrap())
        .await;
    assert_eq!(calls(&stand)["evalsha"], 1);
}

#[tokio::test]
async fn a_hundred_reads_are_a_hundred_calls_and_touch_at_most_once() {
    let stand = Stand::redis().await;
    let stand = stand.with(|layer| layer.with_idle_timeout(Duration::from_secs(200)).unwrap());
    let client = stand.logged_in("ada").await;
    for touches in [0, 1] {
        calls(&stand);
        for _ in 0..100 {
            client.get("user").await;
        }
        let calls = calls(&stand);
        let touch = [
            ("evalsha", 1),
            ("time", 1),
            ("hget", 2),
            ("hset", 1),
            ("pexpireat", 1),
        ];
        let touch = touch.into_iter().filter(|_| touches > 0);
        let expected = [("hgetall", 100), ("pttl", 100)].into_iter();
        let expected = expected.chain(touch);
        let expected = expected.map(|(name, calls)| (name.to_owned(), calls));
        assert_eq!(calls, expected.collect());
        // More than a tenth of the idle timeout.
        stand.advance(Duration::from_secs(25)).await;
    }
}

#[tokio::test]
async fn reads_and_changes_of_one_request_are_one_load_and_one_commit() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    calls(&stand);
    client
        .visit(async |session| {
            for key in ["user", "a", "b"] {
                session.get::<String>(key).await.unwrap();
            }
            session.insert("a", 1).unwrap();
            session.insert("b", 2).unwrap();
            session.renew().unwrap();
        })
        .await;
    let calls = calls(&stand);
    assert_eq!((calls["hgetall"], calls["evalsha"]), (1, 1), "{calls:?}");
}

#[tokio::test]
async fn a_change_of_a_session_that_was_not_read_is_one_call() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    calls(&stand);
    client
        .visit(async |session| session.insert("a", 1).unwrap())
        .await;
    assert_eq!(calls(&stand)["evalsha"], 1);
    client
        .visit(async |session| session.increment("n", 1).await.unwrap())
        .await;
    assert_eq!(calls(&stand)["evalsha"], 1);
}

#[tokio::test]
async fn only_what_has_changed_is_written() {
    let stand = Stand::redis().await;
    let client = stand.logged_in("ada").await;
    calls(&stand);
    client
        .visit(async |session| {
            session.get::<String>("user").await.unwrap();
            session.insert("user", "ada").unwrap();
            session.remove("absent").unwrap();
        })
        .await;
    let same = calls(&stand);
    assert_eq!(same["hgetall"], 1, "the load alone");
    assert!(!same.contains_key("hset"), "{same:?}");
    client
        .visit(async |session| session.insert("a", 1).unwrap())
        .await;
    assert_eq!(calls(&stand)["hset"], 1);
}
