//! What is logged, and what must not be.

use std::{
    io,
    sync::{Arc, Mutex},
};

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
async fn a_reuse_is_one_warning_that_names_the_family_and_shows_no_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let stand = Stand::memory();
    let first = stand.login("ada").await;
    let second = stand.rotate(&first).await.unwrap();
    let third = stand.next(second.token.expose()).await;
    stand.assert_reused(&first).await;
    stand.assert_invalid(&first).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(
        log.matches("WARN tower_keep::refresh_token").count(),
        1,
        "{log}"
    );
    assert!(log.contains(&format!("family={}", second.family)), "{log}");
    for token in [&first, second.token.expose(), &third] {
        assert!(!log.contains(&token[30..50]), "{log}");
    }
    let shown = format!("{second:?} {:?}", stand.tokens);
    assert!(!shown.contains(&second.token.expose()[30..50]), "{shown}");
}
