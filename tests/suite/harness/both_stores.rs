//! The same test on embedded memory and on Redis.

/// Makes each function a test on embedded memory and one on a Redis of its own. They take a
/// `Stand`, which the module has in scope: one of `Stand::memory()`, one of `Stand::redis()`.
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
pub(crate) use on_both_stores;
