//! What is compared with what: a table a subject, and what is to come out of it.

use crate::site::{CACHEABLE, PAGE};

/// A table.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The path that is asked for.
    pub(crate) path: &'static str,
    /// The servers; one that holds a name of [`PEERS`] is the peers' program's, the others are ours.
    pub(crate) servers: &'static [&'static str],
    /// The one that all others are set against.
    pub(crate) base: &'static str,
    pub(crate) goals: &'static [Goal],
}

/// What marks the name of a server that the package `peers` has.
const PEERS: [&str; 4] = [
    "/by-hand-",
    "/tower_governor",
    "/tower-sessions",
    "/tower-rate-limiter",
];

pub(crate) fn is_peer(server: &str) -> bool {
    PEERS.iter().any(|mark| server.contains(mark))
}

/// Whether the load has to log in first.
pub(crate) fn has_sessions(server: &str) -> bool {
    server.starts_with("session") || server.starts_with("stack")
}

/// Compares one server's measure with another's, round by round.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) server: &'static str,
    pub(crate) of: Of,
    pub(crate) to: To,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Of {
    Requests,
    ServerCpu,
    /// What Redis takes for an EVALSHA, by its own measure.
    Script,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum To {
    /// The measure itself.
    Itself,
    /// Divided by another server's.
    Ratio(&'static str),
    /// Less another server's, in so many equal parts.
    Excess(&'static str, u32),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

const fn goal(server: &'static str, of: Of, to: To, bound: Bound) -> Goal {
    Goal {
        server,
        of,
        to,
        bound,
    }
}

pub(crate) static SUBJECTS: [Subject; 7] = [
    Subject {
        name: "limit",
        about: "one limit a client on Redis, or three, or one whose units are taken in blocks",
        path: PAGE,
        servers: &[
            "bare",
            "limit/by-hand-shared",
            "limit/by-hand-pooled",
            "limit/tower-rate-limiter",
            "limit/redis",
            "limit/redis-three",
            "limit/redis-blocks",
        ],
        base: "limit/by-hand-shared",
        goals: &[
            goal(
                "limit/redis",
                Of::Requests,
                To::Ratio("limit/by-hand-shared"),
                Bound::AtLeast(1.0),
            ),
            goal(
                "limit/redis-three",
                Of::Script,
                To::Excess("limit/redis", 2),
                Bound::AtMost(5.0),
            ),
        ],
    },
    Subject {
        name: "limit-three",
        about: "three limits: of one client, or of three keys (joint), on Redis and in the process",
        path: PAGE,
        servers: &[
            "bare",
            "limit-three/by-hand-shared",
            "limit-three/by-hand-pooled",
            "limit-three/tower-rate-limiter",
            "limit/redis-three",
            "limit/redis-joint",
            "limit-three/tower_governor-fields",
            "limit/memory-three",
            "limit/memory-joint",
        ],
        base: "limit-three/by-hand-shared",
        goals: &[
            goal(
                "limit/redis-three",
                Of::Requests,
                To::Ratio("limit-three/by-hand-pooled"),
                Bound::AtLeast(2.0),
            ),
            goal(
                "limit/redis-joint",
                Of::Requests,
                To::Ratio("limit-three/by-hand-pooled"),
                Bound::AtLeast(2.0),
            ),
            goal(
                "limit/memory-three",
                Of::ServerCpu,
                To::Ratio("limit-three/tower_governor-fields"),
                Bound::AtMost(1.0),
            ),
        ],
    },
    Subject {
        name: "limit-memory",
        about: "one limit a client in the process, with fields that tell clients and without",
        path: PAGE,
        servers: &[
            "bare",
            "limit/tower_governor-fields",
            "limit/tower_governor",
            "limit/memory",
            "limit/memory-no-fields",
            "limit/memory-three",
        ],
        base: "limit/tower_governor-fields",
        goals: &[
            goal(
                "limit/memory",
                Of::ServerCpu,
                To::Ratio("limit/tower_governor-fields"),
                Bound::AtMost(1.25),
            ),
            goal(
                "limit/memory-no-fields",
                Of::ServerCpu,
                To::Ratio("limit/tower_governor-fields"),
                Bound::AtMost(1.0),
            ),
        ],
    },
    Subject {
        name: "session",
        about: "a value of the session is read",
        path: PAGE,
        servers: &[
            "bare",
            "session/tower-sessions",
            "session/by-hand-shared",
            "session/redis",
            "session/memory",
        ],
        base: "session/tower-sessions",
        goals: &[
            goal(
                "session/redis",
                Of::Requests,
                To::Ratio("session/tower-sessions"),
                Bound::AtLeast(1.35),
            ),
            goal(
                "session/redis",
                Of::ServerCpu,
                To::Ratio("session/tower-sessions"),
                Bound::AtMost(0.7),
            ),
            goal(
                "session/memory",
                Of::ServerCpu,
                To::Excess("bare", 1),
                Bound::AtMost(2.5),
            ),
        ],
    },
    Subject {
        name: "session-write",
        about: "a value of the session is read and changed",
        path: PAGE,
        servers: &[
            "bare",
            "session-write/tower-sessions",
            "session-write/by-hand-shared",
            "session-write/redis",
            "session-write/memory",
        ],
        base: "session-write/tower-sessions",
        goals: &[
            goal(
                "session-write/redis",
                Of::Requests,
                To::Ratio("session-write/tower-sessions"),
                Bound::AtLeast(1.5),
            ),
            goal(
                "session-write/redis",
                Of::Script,
                To::Itself,
                Bound::AtMost(8.0),
            ),
        ],
    },
    Subject {
        name: "hit",
        about: "a stored response of 1 KiB",
        path: CACHEABLE,
        servers: &["bare", "hit/redis", "hit/memory"],
        base: "bare",
        goals: &[goal(
            "hit/memory",
            Of::ServerCpu,
            To::Excess("bare", 1),
            Bound::AtMost(2.5),
        )],
    },
    Subject {
        name: "stack",
        about: "a limit, a session that is read, and a stored response of 1 KiB",
        path: CACHEABLE,
        servers: &[
            "bare",
            "stack/by-hand-shared",
            "stack/by-hand-pooled",
            "stack/redis",
            "stack/memory",
        ],
        base: "stack/by-hand-shared",
        goals: &[],
    },
];
