//! What sessions log, and what they must not.

use http::Response;

use super::stand::Stand;
use crate::harness::log::Log;

#[tokio::test]
async fn a_dropped_commit_and_an_unreadable_value_are_logged_without_an_id_or_a_value() {
    let (log, _guard) = Log::start();

    let stand = Stand::memory();
    let client = stand.logged_in("secret-value").await;
    let slow = client.copy();
    let handle = client.visit(async |session| session.handle().await.unwrap());
    let handle = handle.await.unwrap();
    client
        .visit(async |session| assert_eq!(session.get::<u32>("user").await.unwrap(), None))
        .await;
    slow.visit(async |session| {
        session.exists().await.unwrap();
        let logout = client.send(async |session| {
            session.destroy().await?;
            Ok(Response::default())
        });
        logout.await;
        session.insert("user", "eve").unwrap();
    })
    .await;

    let log = log.text();
    for expected in [
        "WARN tower_keep::session: a session value does not read as its type",
        "INFO tower_keep::session: a session ended before its changes were committed",
    ] {
        assert!(log.contains(expected), "{log}");
    }
    for secret in [&slow.id().unwrap()[4..], &handle, "secret-value", "eve"] {
        assert!(!log.contains(secret), "{log}");
    }
}
