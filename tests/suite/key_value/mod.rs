//! The key-value service as an application sees it, the same tests on embedded memory and on Redis.

mod expiry;
mod failure;
mod keys;
mod load;
mod loads_overtaken;
mod stand;
mod values;

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
