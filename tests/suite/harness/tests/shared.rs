//! Servers that tests take turns with: empty for each, and gone with the process.

use std::net::TcpStream;

use deadpool_redis::redis::{Client, cmd};

use super::super::redis::{Backend, Leash, RedisServer};

#[test]
fn who_takes_turns_finds_servers_without_keys_scripts_and_counts() {
    for topology in [Backend::cluster, Backend::sentinel, Backend::restricted] {
        let first = topology();
        for key in ["keep:a", "keep:b", "keep:c"] {
            first.command(&["EVAL", "return redis.call('SET', KEYS[1], '1')", "1", key]);
            assert_eq!(first.query::<String>(&["GET", key]), "1");
        }
        assert_eq!(first.keys("keep:*"), ["keep:a", "keep:b", "keep:c"]);
        drop(first);
        let second = topology();
        assert_eq!(second.keys("*"), [""; 0]);
        assert!(!second.command_calls().contains_key("eval"));
    }
}

#[test]
fn a_client_from_before_is_cut_off() {
    let server = RedisServer::start();
    let client = Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    server.forget_everything();
    let answer = cmd("PING").query::<String>(&mut connection);
    assert!(answer.is_err(), "{answer:?}");
}

#[test]
fn servers_on_a_leash_end_when_it_is_let_go_and_leave_no_directory() {
    let server = RedisServer::start();
    Leash::on([&server]).let_go();
    // It was killed; its sockets close in their own time.
    while TcpStream::connect(server.addr()).is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(!server.dir().exists());
}

#[test]
fn a_leash_that_is_taken_off_leaves_the_servers_alone() {
    let server = RedisServer::start();
    drop(Leash::on([&server]));
    server.command(&["PING"]);
}
