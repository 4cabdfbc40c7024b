//! The two halves of the limits' arithmetic, Rust and Lua, driven by one clock and compared call by call.

use std::collections::HashMap;

use crate::harness::redis::RedisServer;

#[allow(dead_code, unreachable_pub, reason = "the crate uses all of it")]
#[path = "../../../src/store/operations/limit/algorithm/mod.rs"]
pub(super) mod algorithm;

use algorithm::{Algorithm, Level, Limit, Outcome, State, Wait};

const SCRIPT: &str = include_str!("../../../src/store/operations/limit/acquire.lua");
const SCRIPT_ONE: &str = include_str!("../../../src/store/operations/limit/acquire_one.lua");
/// A date in 2025, which has as many digits as today.
pub(super) const START: u64 = 1_764_000_000_123_456;

/// Milliseconds for which the tests keep states longer than the scripts would.
pub(super) const LONGER: i64 = 60_000;

/// The limits of any number of subjects, kept by each half and by the script for one limit.
pub(super) struct Halves {
    redis: RedisServer,
    script: String,
    script_one: String,
    memory: HashMap<String, State>,
}

impl Halves {
    pub(super) fn new() -> Self {
        let redis = RedisServer::start();
        let [script, script_one] = [SCRIPT, SCRIPT_ONE].map(|script| {
            let (clock, scripted) = ("call('TIME')", "{ARGV[#ARGV - 1], ARGV[#ARGV]}");
            assert_eq!(script.matches(clock).count(), 1, "the script's clock");
            // Redis' own expiry goes by the real clock, in which a test takes longer than in its own.
            let ttl = "local ttl = ";
            assert_eq!(script.matches(ttl).count(), 1, "the script's time to live");
            let source = script
                .replace(clock, scripted)
                .replace(ttl, &format!("{ttl}{LONGER} + "));
            redis.query(&["SCRIPT", "LOAD", &source])
        });
        Self {
            redis,
            script,
            script_one,
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
    ) -> Vec<Outcome> {
        let names: Vec<_> = (0..limits.len())
            .map(|i| format!("{{{subject}}}:{i}"))
            .collect();
        // The script for one limit begins with the same state.
        let one = match (&*names, limits) {
            ([name], [limit]) if limit.is_whole() => Some((name, format!("{name}:one"), limit)),
            _ => None,
        };
        if let Some((name, name_one, _)) = &one {
            self.redis.command(&["DEL", name_one]);
            self.redis.command(&["COPY", name, name_one]);
        }
        let (levels, outcomes) = self.rust(&names, limits, now, cost);
        let context = || format!("{limits:?} at {now} with cost {cost}");
        assert_eq!(self.lua(&names, limits, now, cost), levels, "{}", context());
        for (name, limit) in names.iter().zip(limits) {
            self.assert_stored(name, self.memory.get(name), limit, &context());
        }
        if let Some((name, name_one, limit)) = &one {
            let left = self.lua_one(name_one, limit, now, cost);
            assert_eq!(left, levels[0].left, "one: {}", context());
            self.assert_stored(name_one, self.memory.get(*name), limit, &context());
        }
        outcomes
    }

    #[track_caller]
    fn assert_stored(&self, name: &str, state: Option<&State>, limit: &Limit, context: &str) {
        let fields = ["HMGET", name, "ends", "rest", "of"];
        let [ends, rest, of]: [Option<u64>; 3] = self.redis.query(&fields);
        assert_eq!(ends, state.map(|state| state.ends), "{name}: {context}");
        if let Some(state) = state.filter(|_| !limit.is_whole()) {
            let stored = (rest.unwrap_or(0), of.unwrap_or(1));
            assert_eq!(stored, (state.rest, state.of), "{name}: {context}");
        }
    }

    fn rust(
        &mut self,
        names: &[String],
        limits: &[Limit],
        now: u64,
        cost: u64,
    ) -> (Vec<Level>, Vec<Outcome>) {
        let stored: Vec<_> = names
            .iter()
            .map(|name| self.memory.get(name).copied())
            .collect();
        let level = |(limit, stored): (&Limit, &Option<State>)| limit.level(*stored, now);
        let (levels, cut): (Vec<_>, Vec<_>) = limits.iter().zip(&stored).map(level).unzip();
        let held: Vec<_> = limits.iter().copied().zip(levels.iter().copied()).collect();
        let outcomes = algorithm::acquire(&held, cost).to_vec();
        for i in 0..limits.len() {
            if cost > 0 && (admitted(&outcomes) || cut[i]) {
                let state = limits[i].state(outcomes[i].level, stored[i], now);
                self.memory.insert(names[i].clone(), state);
            }
        }
        (levels, outcomes)
    }

    fn lua(&self, names: &[String], limits: &[Limit], now: u64, cost: u64) -> Vec<Level> {
        let mut words = vec![
            "EVALSHA".to_owned(),
            self.script.clone(),
            names.len().to_string(),
        ];
        words.extend(names.iter().cloned());
        for limit in limits {
            let (micros, parts) = limit.charge(cost);
            let (kind, numbers) = match limit.algorithm {
                Algorithm::FixedWindow => ("fixed", vec![limit.window, parts, limit.quota]),
                _ if limit.is_whole() => ("whole", vec![limit.window, micros]),
                _ => ("parts", vec![limit.window, micros, parts, limit.parts]),
            };
            words.push(kind.to_owned());
            words.extend(numbers.iter().map(u64::to_string));
        }
        let mut numbers = self.numbers(words, now).into_iter();
        let level = |limit: &Limit| Level {
            left: numbers.next().unwrap(),
            rest: match limit.is_whole() {
                true => 0,
                false => numbers.next().unwrap(),
            },
        };
        let levels = limits.iter().map(level).collect();
        assert_eq!(numbers.next(), None);
        levels
    }

    fn lua_one(&self, name: &str, limit: &Limit, now: u64, cost: u64) -> u64 {
        let (micros, _) = limit.charge(cost);
        let words = ["EVALSHA", &self.script_one, "1", name].map(str::to_owned);
        let numbers = [micros, limit.window].map(|number| number.to_string());
        self.query(words.into_iter().chain(numbers).collect(), now)
    }

    fn numbers(&self, words: Vec<String>, now: u64) -> Vec<u64> {
        self.query(words, now)
    }

    fn query<T: deadpool_redis::redis::FromRedisValue>(
        &self,
        mut words: Vec<String>,
        now: u64,
    ) -> T {
        words.extend([now / 1_000_000, now % 1_000_000].map(|number| number.to_string()));
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        self.redis.query(&words)
    }
}

pub(super) fn admitted(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| outcome.wait == Wait::None)
}

/// `quota` units in a window of so many microseconds.
pub(super) fn gcra(quota: u64, window: u64) -> Limit {
    Limit::new(Algorithm::Gcra, quota, window)
}

pub(super) fn fixed(quota: u64, window: u64) -> Limit {
    Limit::new(Algorithm::FixedWindow, quota, window)
}
