//! The same test on every store.

/// Makes each function a test on embedded memory and on each topology of Redis. They take a
/// `Stand`, which the module has in scope: one of `Stand::memory()`, or of `Stand::on(…)` with
/// the [`Backend`](crate::harness::redis::Backend).
macro_rules! on_all_stores {
    ($($test:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test(super::Stand::memory()).await;
                }
            )*
        }
        crate::harness::on_every_redis!($($test),*);
    };
}
pub(crate) use on_all_stores;

/// Makes each function a test on each topology of Redis.
macro_rules! on_every_redis {
    ($($test:ident),* $(,)?) => {
        crate::harness::on_redis!(redis: $($test),*);
        crate::harness::on_redis!(cluster: $($test),*);
        crate::harness::on_redis!(sentinel: $($test),*);
        crate::harness::on_redis!(restricted: $($test),*);
    };
}
pub(crate) use on_every_redis;

/// Makes each function a test on one topology, in a module of its name.
macro_rules! on_redis {
    ($topology:ident: $($test:ident),* $(,)?) => {
        mod $topology {
            $(
                #[tokio::test]
                async fn $test() {
                    let backend = crate::harness::redis::Backend::$topology();
                    super::$test(super::Stand::on(backend).await).await;
                }
            )*
        }
    };
}
pub(crate) use on_redis;

/// Makes each function a test on each topology of Redis, on servers of its own, which it may kill.
macro_rules! on_own_servers {
    ($($test:ident),* $(,)?) => {
        crate::harness::on_redis!(redis: $($test),*);
        crate::harness::on_redis!(own_cluster: $($test),*);
        crate::harness::on_redis!(own_sentinel: $($test),*);
    };
}
pub(crate) use on_own_servers;
