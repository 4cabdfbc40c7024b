//! What the servers say of themselves.

use super::{Stand, on_each_topology};

on_each_topology!(
    every_server_answers,
    memory_is_counted,
    slow_commands_are_listed_the_slowest_first,
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
