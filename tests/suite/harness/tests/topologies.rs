//! Servers that belong together: a cluster, a watched pair, and one that speaks TLS.

use std::path::Path;

use super::super::redis::{Certificates, RedisCluster, RedisSentinel, RedisServer};

#[test]
fn a_cluster_covers_all_slots_with_three_masters_and_their_replicas() {
    let cluster = RedisCluster::start();
    assert_eq!(cluster.masters(), [0, 1, 2]);
    let info: String = cluster.nodes()[5].query(&["CLUSTER", "INFO"]);
    assert!(info.contains("cluster_slots_ok:16384"), "{info}");
    assert!(cluster.url().starts_with("redis+cluster://127.0.0.1:"));
}

#[test]
fn the_replica_of_a_killed_master_takes_over_with_its_data() {
    let mut cluster = RedisCluster::start();
    let master = cluster.first_master_of(cluster.slot("a"));
    cluster.nodes()[master].command(&["SET", "a", "1"]);
    let waited: i64 = cluster.nodes()[master].query(&["WAIT", "1", "5000"]);
    assert_eq!(waited, 1);
    cluster.fail_over(master);
    assert_eq!(
        cluster.nodes()[master + 3].query::<String>(&["GET", "a"]),
        "1"
    );
}

#[test]
fn a_slot_moves_with_its_keys() {
    let cluster = RedisCluster::start();
    let slot = cluster.slot("a");
    let from = cluster.first_master_of(slot);
    let to = (from + 1) % 3;
    cluster.nodes()[from].command(&["SET", "a", "1"]);
    cluster.move_slot(slot, from, to);
    assert_eq!(cluster.nodes()[to].query::<String>(&["GET", "a"]), "1");
    let moved = cluster.nodes()[from].try_query::<String>(&["GET", "a"]);
    assert_eq!(moved.unwrap_err().code(), Some("MOVED"));
}

#[test]
fn sentinels_make_the_replica_the_master_when_told_and_when_the_master_dies() {
    let mut group = RedisSentinel::start();
    assert_eq!(group.master(), 0);
    group.fail_over();
    assert_eq!(group.master(), 1);
    group.server_mut(1).kill();
    group.wait_for_master(0);
}

#[test]
fn a_server_speaks_tls_with_a_certificate_of_the_tests_own_authority() {
    let certificates = Certificates::generate();
    assert!(Path::new(&certificates.authority()).exists());
    let server = RedisServer::config().tls(certificates).start();
    assert!(server.url().starts_with("rediss://127.0.0.1:"));
    let port: (String, u16) = server.query(&["CONFIG", "GET", "tls-port"]);
    assert!(server.url().ends_with(&format!(":{}/", port.1)));
}

#[test]
fn a_server_listens_on_a_unix_socket_in_its_directory() {
    let server = RedisServer::config().unix_socket().start();
    let path = server.unix_url().replace("unix://", "");
    assert!(Path::new(&path).exists());
}
