//! The key-value service as an application sees it, the same tests on embedded memory and on Redis.

mod differential;
mod expiry;
mod failure;
mod foreign;
mod ids;
mod keys;
mod leases;
mod load;
mod loads_left;
mod loads_lost;
mod loads_overtaken;
mod many;
mod processes;
mod stand;
mod tags;
mod values;
mod windows;

use crate::harness::on_both_stores;

/// As [`on_both_stores`], and one test that runs all of them on a cluster, each in a namespace of
/// its own, and one behind sentinels.
macro_rules! on_every_store {
    ($($test:ident),* $(,)?) => {
        super::on_both_stores!($($test),*);

        #[tokio::test]
        async fn all_of_it_on_a_cluster() {
            let cluster = crate::harness::redis::RedisCluster::start();
            $($test(Stand::at(&cluster.url(), stringify!($test)).await).await;)*
        }

        #[tokio::test]
        async fn all_of_it_behind_sentinels() {
            let group = crate::harness::redis::RedisSentinel::start();
            $($test(Stand::at(&group.url(), stringify!($test)).await).await;)*
        }
    };
}
use on_every_store;
