//! What sessions log, and what they must not.

use std::{
    io,
    sync::{Arc, Mutex},
};

use http::Response;

use super::stand::Stand;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_dropped_commit_and_an_unreadable_value_are_logged_without_an_id_or_a_value() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

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

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
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
