//! The two halves of the limits' arithmetic, Rust and Lua, driven by one clock and compared call by call.

use std::collections::HashMap;

use crate::harness::redis::RedisServer;

#[allow(dead_code, unreachable_pub, reason = "the crate uses all of it")]
#[path = "../../../src/rate_limit/algorithm.rs"]
pub(super) mod algorithm;

use algorithm::{Algorithm, Bucket, Limit, State, Verdict, Wait};

const SCRIPT: &str = include_str!("../../../src/store/operations/limit/acquire.lua");
/// A date in 2025, which has as many digits as today.
pub(super) const START: u64 = 1_764_000_000_123_456;

/// Milliseconds for which the tests keep states longer than the script would.
pub(super) const LONGER: i64 = 60_000;

/// The limits of any number of subjects, kept twice.
pub(super) struct Halves {
    redis: RedisServer,
    script: String,
    memory: HashMap<String, State>,
}

impl Halves {
    pub(super) fn new() -> Self {
        let redis = RedisServer::start();
        let (clock, scripted) = ("redis.call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}");
        assert_eq!(SCRIPT.matches(clock).count(), 1, "the script's clock");
        // Redis' own expiry goes by the real clock, in which a test takes longer than in its own.
        let ttl = "local ttl = ";
        assert_eq!(SCRIPT.matches(ttl).count(), 1, "the script's time to live");
        let source = SCRIPT
            .replace(clock, scripted)
            .replace(ttl, &format!("{ttl}{LONGER} + "));
        let script = redis.query(&["SCRIPT", "LOAD", &source]);
        Self {
            redis,
            script,
            memory: HashMap::new(),
        }
    }

    pub(super) fn redis(&self) -> &RedisServer {
        &self.redis
    }

    /// What both halves answer, after making sure that they answer and store the same.
    #[track_caller]
    pub(super) fn acquire(
        &mut self,
        subject: &str,
        limits: &[Limit],
        now: u64,
        cost: u64,
    ) -> Vec<Verdict> {
        let names: Vec<_> = (0..limits.len())
            .map(|i| format!("{{{subject}}}:{i}"))
            .collect();
        let rust = self.rust(&names, limits, now, cost);
        let lua = self.lua(&names, limits, now, cost);
        assert_eq!(rust, lua, "{limits:?} at {now} with cost {cost}");
        for (name, limit) in names.iter().zip(limits) {
            let stored: Option<String> = self.redis.query(&["GET", name]);
            let expected = self.memory.get(name).map(|state| match limit.algorithm {
                Algorithm::FixedWindow => format!("{}:{}", state.ends, state.count),
                _ => state.ends.to_string(),
            });
            assert_eq!(stored, expected, "{limits:?} at {now} with cost {cost}");
        }
        rust
    }

    fn rust(&mut self, names: &[String], limits: &[Limit], now: u64, cost: u64) -> Vec<Verdict> {
        let bucket = |(name, limit): (&String, &Limit)| {
            Bucket::new(*limit, self.memory.get(name).copied(), now)
        };
        let mut buckets: Vec<_> = names.iter().zip(limits).map(bucket).collect();
        let verdicts = algorithm::acquire(&mut buckets, cost);
        for (name, bucket) in names.iter().zip(&buckets) {
            if let Some(state) = bucket.changed() {
                self.memory.insert(name.clone(), state);
            }
        }
        verdicts
    }

    fn lua(&self, names: &[String], limits: &[Limit], now: u64, cost: u64) -> Vec<Verdict> {
        let mut words = vec![
            "EVALSHA".to_owned(),
            self.script.clone(),
            names.len().to_string(),
        ];
        words.extend(names.iter().cloned());
        words.push(cost.to_string());
        for limit in limits {
            let algorithm = match limit.algorithm {
                Algorithm::FixedWindow => "fixed",
                _ => "gcra",
            };
            words.push(algorithm.to_owned());
            words.extend([limit.quota, limit.interval].map(|number| number.to_string()));
        }
        words.extend([now / 1_000_000, now % 1_000_000].map(|number| number.to_string()));
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let numbers: Vec<i64> = self.redis.query(&words);
        assert_eq!(numbers.len(), 3 * limits.len());
        let verdict = |numbers: &[i64]| Verdict {
            remaining: numbers[0].try_into().unwrap(),
            reset_after: numbers[1].try_into().unwrap(),
            wait: match numbers[2] {
                0 => Wait::None,
                -1 => Wait::Forever,
                micros => Wait::Micros(micros.try_into().unwrap()),
            },
        };
        numbers.chunks(3).map(verdict).collect()
    }
}

pub(super) fn gcra(quota: u64, interval: u64) -> Limit {
    Limit {
        algorithm: Algorithm::Gcra,
        quota,
        interval,
    }
}

pub(super) fn fixed(quota: u64, window: u64) -> Limit {
    Limit {
        algorithm: Algorithm::FixedWindow,
        quota,
        interval: window,
    }
}
