//! What is logged, and what must not be.

use super::stand::Stand;
use crate::harness::log::Log;

#[tokio::test]
async fn a_reuse_is_one_warning_that_names_the_family_and_shows_no_token() {
    let (log, _guard) = Log::start();

    let stand = Stand::memory();
    let first = stand.login("ada").await;
    let second = stand.rotate(&first).await.unwrap();
    let third = stand.next(second.token.expose()).await;
    stand.assert_reused(&first).await;
    stand.assert_invalid(&first).await;

    let log = log.text();
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
