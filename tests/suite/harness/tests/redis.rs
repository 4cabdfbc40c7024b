//! The Redis of a test: its life, its options and what can be seen of it.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use deadpool_redis::redis::{Client, Value, cmd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::super::redis::RedisServer;

#[test]
fn a_server_answers_as_soon_as_it_has_started() {
    let server = RedisServer::start();
    assert_eq!(
        server.command(&["PING"]),
        Value::SimpleString("PONG".into())
    );
    assert_eq!(server.addr().port(), server.port());
}

#[test]
fn servers_of_one_process_share_nothing() {
    let (one, other) = (RedisServer::start(), RedisServer::start());
    one.command(&["SET", "a", "1"]);
    assert_eq!(other.keys("*"), Vec::<String>::new());
}

#[test]
fn dropping_a_server_ends_its_process_and_removes_its_directory() {
    let server = RedisServer::start();
    let addr = server.addr();
    let (_, dir): (String, String) = server.query(&["CONFIG", "GET", "dir"]);
    assert!(Path::new(&dir).exists());
    server.pause();
    drop(server);
    assert!(TcpStream::connect(addr).is_err());
    assert!(!Path::new(&dir).exists());
}

#[test]
fn a_panicking_test_leaves_no_server_behind() {
    let mut addr = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let server = RedisServer::start();
        addr = Some(server.addr());
        server.command(&["NO-SUCH-COMMAND"]);
    }));
    assert!(outcome.is_err());
    assert!(TcpStream::connect(addr.unwrap()).is_err());
}

#[test]
fn a_persistent_server_keeps_its_data_over_a_crash() {
    let mut server = RedisServer::config().persistent().start();
    server.command(&["SET", "a", "1"]);
    let addr = server.addr();
    server.kill();
    assert!(server.try_query::<Value>(&["PING"]).is_err());
    server.restart();
    assert_eq!(server.addr(), addr);
    assert_eq!(server.query::<String>(&["GET", "a"]), "1");
}

#[test]
fn a_server_comes_back_empty_when_it_is_not_persistent() {
    let mut server = RedisServer::start();
    server.command(&["SET", "a", "1"]);
    server.stop_gracefully();
    assert!(TcpStream::connect(server.addr()).is_err());
    server.restart();
    assert_eq!(server.query::<Option<String>>(&["GET", "a"]), None);
}

#[tokio::test]
async fn a_paused_server_accepts_and_does_not_answer_until_it_is_resumed() {
    let server = RedisServer::start();
    server.pause();
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    let mut reply = [0; 7];
    let early =
        tokio::time::timeout(Duration::from_millis(200), stream.read_exact(&mut reply)).await;
    assert!(early.is_err(), "a paused server answered");
    server.resume();
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut reply))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
fn a_password_is_asked_for_and_is_in_the_url() {
    let server = RedisServer::config().password("p@ss \"w/rd%").start();
    let bare = Client::open(format!("redis://{}/", server.addr())).unwrap();
    let refused = cmd("PING")
        .exec(&mut bare.get_connection().unwrap())
        .unwrap_err();
    assert_eq!(refused.code(), Some("NOAUTH"));
    let client = Client::open(server.url()).unwrap();
    cmd("PING")
        .exec(&mut client.get_connection().unwrap())
        .unwrap();
}

#[test]
fn an_acl_user_is_limited_to_its_rules() {
    let server = RedisServer::config()
        .password("root")
        .acl_user("app", "s3cret", "~app:* +@all")
        .start();
    let client = Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    cmd("SET")
        .arg("app:a")
        .arg(1)
        .exec(&mut connection)
        .unwrap();
    let refused = cmd("SET")
        .arg("other")
        .arg(1)
        .exec(&mut connection)
        .unwrap_err();
    assert_eq!(refused.code(), Some("NOPERM"));
    assert_eq!(server.keys("*"), ["app:a"]);
}

#[test]
fn a_memory_limit_holds() {
    let server = RedisServer::config()
        .maxmemory(4_000_000, "noeviction")
        .start();
    let value = "x".repeat(100_000);
    let refused = (0..100).find_map(|number| {
        server
            .try_query::<Value>(&["SET", &number.to_string(), &value])
            .err()
    });
    assert_eq!(refused.unwrap().code(), Some("OOM"));
}

#[test]
fn calls_are_counted_by_command_without_those_of_the_harness() {
    let server = RedisServer::start();
    server.command(&["PING"]);
    server.reset_stats();
    server.command(&["SET", "a", "1"]);
    server.command(&["GET", "a"]);
    server.command(&["GET", "a"]);
    server.flush_scripts();
    let expected = BTreeMap::from([("get".to_owned(), 2), ("set".to_owned(), 1)]);
    assert_eq!(server.command_calls(), expected);
    assert_eq!(server.command_calls(), expected);
}

#[test]
fn keys_are_listed_by_pattern_over_several_pages() {
    let server = RedisServer::start();
    for number in 0..2_500 {
        server.command(&["SET", &format!("user:{number:04}"), "1"]);
    }
    server.command(&["SET", "other", "1"]);
    let keys = server.keys("user:*");
    assert_eq!(keys.len(), 2_500);
    assert_eq!(keys[0], "user:0000");
}

#[test]
fn a_key_without_a_ttl_is_named() {
    let server = RedisServer::start();
    server.command(&["SET", "fleeting", "1", "EX", "60"]);
    server.assert_every_key_has_a_ttl();
    server.command(&["SET", "eternal", "1"]);
    let panic = catch_unwind(AssertUnwindSafe(|| server.assert_every_key_has_a_ttl())).unwrap_err();
    let message = panic.downcast::<String>().unwrap();
    assert!(
        message.ends_with("keys without a TTL: eternal"),
        "{message}"
    );
}

#[test]
fn flushed_scripts_are_unknown_to_the_server() {
    let server = RedisServer::start();
    let hash: String = server.query(&["SCRIPT", "LOAD", "return 1"]);
    assert_eq!(server.query::<i64>(&["EVALSHA", &hash, "0"]), 1);
    server.flush_scripts();
    let refused = server
        .try_query::<i64>(&["EVALSHA", &hash, "0"])
        .unwrap_err();
    assert_eq!(refused.code(), Some("NOSCRIPT"));
}
