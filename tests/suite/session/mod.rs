//! Sessions as a client and a handler see them, the same tests on embedded memory and on Redis.

mod axum;
mod commit;
mod contract;
mod cookies;
mod differential;
mod events;
mod failure;
mod keys;
mod laziness;
mod login;
mod lost_replies;
mod payload;
mod races;
mod stand;
mod timeouts;

/// Makes each function a test on embedded memory and one on a Redis of its own.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(super::Stand::memory()).await;
                }
            )*
        }
        mod redis {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(super::Stand::redis().await).await;
                }
            )*
        }
    };
}
use on_both_stores;
