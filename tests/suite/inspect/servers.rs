//! What the servers say of themselves.

use tower_keep::{
    StoreConfig,
    inspect::{Inspector, SlowCommand},
};

use super::{Stand, on_each_topology};

on_each_topology!(
    every_server_answers,
    memory_is_counted,
    slow_commands_are_listed_the_slowest_first,
    the_slowest_command_is_found_among_many_that_came_later,
);

fn servers(stand: &Stand) -> usize {
    match stand.backend {
        Some(crate::harness::redis::Backend::Cluster(_)) => 3,
        _ => 1,
    }
}

async fn every_server_answers(stand: Stand) {
    let answers = stand.inspector.ping().await;
    assert_eq!(answers.len(), servers(&stand));
    for answer in answers {
        assert!(answer.latency.is_ok(), "{answer:?}");
        assert_eq!(answer.address.is_some(), servers(&stand) > 1);
    }
}

async fn memory_is_counted(stand: Stand) {
    stand.users("keep", 30).await;
    let memory = stand.inspector.memory().await.unwrap();
    assert_eq!(memory.len(), servers(&stand));
    assert_eq!(memory.iter().map(|server| server.keys).sum::<u64>(), 30);
    for server in memory {
        assert!(server.used > 0 && server.peak >= server.used, "{server:?}");
        assert!(!server.policy.is_empty());
    }
}

async fn slow_commands_are_listed_the_slowest_first(stand: Stand) {
    if let Some(backend) = &stand.backend {
        backend.command(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
        backend.command(&["CONFIG", "SET", "slowlog-max-len", "128"]);
        backend.command(&["SLOWLOG", "RESET"]);
    }
    stand.users("keep", 40).await;
    let slow = stand.inspector.slow_commands(10).await.unwrap();
    if let Some(backend) = &stand.backend {
        backend.command(&["CONFIG", "SET", "slowlog-log-slower-than", "10000"]);
        assert!(!slow.is_empty());
    }
    assert!(slow.len() <= 10 * servers(&stand));
    assert!(slow.is_sorted_by_key(|command| std::cmp::Reverse(command.took)));
    for command in slow {
        assert!(command.command.chars().count() <= 600, "{command:?}");
    }
}

async fn the_slowest_command_is_found_among_many_that_came_later(stand: Stand) {
    let Some(backend) = &stand.backend else {
        assert!(stand.inspector.slow_commands(1).await.unwrap().is_empty());
        return;
    };
    backend.command(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    backend.command(&["CONFIG", "SET", "slowlog-max-len", "512"]);
    backend.command(&["SLOWLOG", "RESET"]);
    backend.command(&["EVAL", "for _ = 1, 5000000 do end", "0"]);
    stand.users("keep", 60).await;
    // On a busy machine a few others may have taken longer still.
    let slow = stand.inspector.slow_commands(5).await.unwrap();
    backend.command(&["CONFIG", "SET", "slowlog-log-slower-than", "10000"]);
    backend.command(&["CONFIG", "SET", "slowlog-max-len", "128"]);
    assert!(slow.len() <= 5 * servers(&stand));
    let is_it = |slow: &SlowCommand| slow.command.contains("5000000");
    assert!(slow.iter().any(is_it), "{slow:?}");
}

#[tokio::test]
async fn of_a_cluster_that_was_never_reached_every_answer_is_an_error() {
    let nobody = StoreConfig::from_url("redis+cluster://127.0.0.1:1").unwrap();
    let inspector = Inspector::new(nobody.build().unwrap());
    for _ in 0..2 {
        let answers = inspector.ping().await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert!(answers[0].latency.is_err(), "{answers:?}");
        assert!(inspector.memory().await.is_err());
        assert!(inspector.slow_commands(10).await.is_err());
        assert!(inspector.delete_namespace(|_| ()).await.is_err());
        let mut keys = inspector.keys("*");
        assert!(matches!(keys.next().await, Some(Err(_))));
        assert!(keys.next().await.is_none());
    }
}
