//! The two halves of the limits' arithmetic, Rust and Lua, driven by one clock and compared call by call.

use std::collections::HashMap;

use crate::harness::redis::RedisServer;

#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the crate uses all of it"
)]
#[path = "../../../src/store/operations/limit/algorithm/mod.rs"]
pub(super) mod algorithm;

use algorithm::{Algorithm, Kept, Level, Limit, Log, Outcome, PlaceId, Wait};

const SCRIPT: &str = include_str!("../../../src/store/operations/limit/acquire/acquire.lua");
const SCRIPT_BLOCK: &str = include_str!("../../../src/store/operations/limit/acquire_block.lua");
const SCRIPT_ONE: &str =
    include_str!("../../../src/store/operations/limit/acquire/acquire_one.lua");
/// A date in 2025, which has as many digits as today.
pub(super) const START: u64 = 1_764_000_000_123_456;

/// Milliseconds for which the tests keep states longer than the scripts would.
pub(super) const LONGER: i64 = 60_000;

/// The limits of any number of subjects, kept by each half and by the script for one limit.
pub(super) struct Halves {
    redis: RedisServer,
    script: String,
    script_one: String,
    script_block: String,
    memory: HashMap<String, Kept>,
}

impl Halves {
    pub(super) fn new() -> Self {
        let redis = RedisServer::start();
        let [script, script_one, script_block] = [SCRIPT, SCRIPT_ONE, SCRIPT_BLOCK].map(|script| {
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
            script_block,
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
            self.assert_stored(name, self.memory.get(name), limit, now, &context());
        }
        if let Some((name, name_one, limit)) = &one {
            let left = self.lua_one(name_one, limit, now, cost);
            assert_eq!(left, levels[0].left, "one: {}", context());
            self.assert_stored(name_one, self.memory.get(*name), limit, now, &context());
        }
        outcomes
    }

    /// What both halves say to a cost with a block, after making sure that they answer and store the
    /// same: the outcomes after it, and whether the block was given.
    #[track_caller]
    pub(super) fn acquire_block(
        &mut self,
        subject: &str,
        limits: &[Limit],
        now: u64,
        cost: u64,
        block: u64,
    ) -> (Vec<Outcome>, bool) {
        let names: Vec<_> = (0..limits.len())
            .map(|i| format!("{{{subject}}}:{i}"))
            .collect();
        let level = |(name, limit): (&String, &Limit)| {
            Kept::level(self.memory.get_mut(name), limit, now, cost)
        };
        let (levels, cut): (Vec<_>, Vec<_>) = names.iter().zip(limits).map(level).unzip();
        let plenty = |(limit, level): (&Limit, &Level)| limit.spares_block(*level, cost, block);
        let has_block = block > 0 && limits.iter().zip(&levels).all(plenty);
        let held: Vec<_> = limits.iter().copied().zip(levels.iter().copied()).collect();
        let taken = if has_block { cost + block } else { cost };
        let outcomes = algorithm::acquire(false, &held, taken).to_vec();
        for i in 0..limits.len() {
            if cost > 0 && (admitted(&outcomes) || cut[i]) {
                let stored = self.memory.remove(&names[i]);
                let (limit, level) = (&limits[i], outcomes[i].level);
                let kept = Kept::charged(stored, limit, now, cost, level, PlaceId(1));
                self.memory.insert(names[i].clone(), kept);
            }
        }

        let mut words = ["EVALSHA", &self.script_block, &names.len().to_string()]
            .map(str::to_owned)
            .to_vec();
        words.extend(names.iter().cloned());
        words.push(u64::from(block > 0).to_string());
        for limit in limits {
            let numbers = limit.block_numbers(cost, block);
            let numbers = numbers
                .into_iter()
                .flat_map(|(micros, parts)| [micros, parts]);
            let numbers = [limit.window, limit.parts].into_iter().chain(numbers);
            words.extend(numbers.map(|number| number.to_string()));
        }
        let answer = self.numbers(words, now);
        let context = format!("{limits:?} at {now} with cost {cost} and block {block}");
        assert_eq!(answer[0], u64::from(has_block), "{context}");
        let told: Vec<_> = answer[1..]
            .chunks(2)
            .map(|level| (level[0], level[1]))
            .collect();
        let expected: Vec<_> = levels
            .iter()
            .map(|level| (level.left, level.rest))
            .collect();
        assert_eq!(told, expected, "{context}");
        for (name, limit) in names.iter().zip(limits) {
            self.assert_stored(name, self.memory.get(name), limit, now, &context);
        }
        (outcomes, has_block)
    }

    /// What the script says of a ban to a request that is denied by a limit of nothing.
    pub(super) fn deny(&self, subject: &str, ban: &algorithm::Ban, now: u64) -> [u64; 3] {
        let words = ["EVALSHA", &self.script, "2"].map(str::to_owned);
        let names = [format!("{{{subject}}}:none"), format!("{{{subject}}}:ban")];
        let limit = ["whole", "1", "2", "ban"].map(str::to_owned);
        let numbers = [ban.window, 1, ban.denials, ban.first, ban.longest, 1];
        let numbers = numbers.map(|number| number.to_string());
        let words = words.into_iter().chain(names).chain(limit).chain(numbers);
        let answer = self.numbers(words.collect(), now);
        answer[1..].try_into().unwrap()
    }

    pub(super) fn ban_fields(&self, subject: &str, fields: [&str; 4]) -> [u64; 4] {
        let name = format!("{{{subject}}}:ban");
        let words: Vec<_> = ["HMGET", &name].into_iter().chain(fields).collect();
        self.redis.query(&words)
    }

    #[track_caller]
    fn assert_stored(
        &self,
        name: &str,
        kept: Option<&Kept>,
        limit: &Limit,
        now: u64,
        context: &str,
    ) {
        match kept {
            Some(Kept::Log(log)) => {
                // What has left the window may still be stored in either.
                let (mut stored, mut log) = (self.stored_log(name), log.clone());
                stored.advance(limit, now);
                log.advance(limit, now);
                assert_eq!(stored, log, "{name}: {context}");
            }
            Some(Kept::Places(_)) => {}
            None | Some(Kept::Moment(_)) => {
                let state = match kept {
                    Some(Kept::Moment(state)) => Some(state),
                    _ => None,
                };
                if limit.algorithm == Algorithm::SlidingWindow || limit.is_concurrency() {
                    return;
                }
                let fields = ["HMGET", name, "ends", "rest", "of"];
                let [ends, rest, of]: [Option<u64>; 3] = self.redis.query(&fields);
                assert_eq!(ends, state.map(|state| state.ends), "{name}: {context}");
                if let Some(state) = state.filter(|_| !limit.is_whole()) {
                    let stored = (rest.unwrap_or(0), of.unwrap_or(1));
                    assert_eq!(stored, (state.rest, state.of), "{name}: {context}");
                }
            }
        }
    }

    fn stored_log(&self, name: &str) -> Log {
        let (log, of): (Vec<u8>, u64) = self.redis.query(&["HMGET", name, "log", "of"]);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
        };
        let groups = log
            .chunks(12)
            .map(|group| (number(&group[..7]), number(&group[7..])));
        let mut log = Log::of(of);
        log.groups = groups.collect();
        log.used = self.redis.query(&["HGET", name, "used"]);
        assert_eq!(
            log.used,
            log.groups.iter().map(|(_, units)| units).sum::<u64>(),
            "{name}"
        );
        log
    }

    fn rust(
        &mut self,
        names: &[String],
        limits: &[Limit],
        now: u64,
        cost: u64,
    ) -> (Vec<Level>, Vec<Outcome>) {
        let level = |(name, limit): (&String, &Limit)| {
            Kept::level(self.memory.get_mut(name), limit, now, cost)
        };
        let levels: Vec<_> = names.iter().zip(limits).map(level).collect();
        let held: Vec<_> = (limits.iter().copied())
            .zip(levels.iter().map(|(level, _)| *level))
            .collect();
        let outcomes = algorithm::acquire(false, &held, cost).to_vec();
        let charge = if admitted(&outcomes) { cost } else { 0 };
        for i in 0..limits.len() {
            if cost > 0 && (admitted(&outcomes) || levels[i].1) {
                let stored = self.memory.remove(&names[i]);
                let (limit, level) = (&limits[i], outcomes[i].level);
                let kept = Kept::charged(stored, limit, now, charge, level, PlaceId(1));
                self.memory.insert(names[i].clone(), kept);
            }
        }
        (
            levels.into_iter().map(|(level, _)| level).collect(),
            outcomes,
        )
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
                Algorithm::SlidingWindow => {
                    let width = limit.group_width();
                    ("sliding", vec![limit.window, parts, limit.quota, width])
                }
                _ if limit.is_whole() => ("whole", vec![limit.window, micros]),
                _ => ("parts", vec![limit.window, micros, parts, limit.parts]),
            };
            words.push(kind.to_owned());
            words.extend(numbers.iter().map(u64::to_string));
        }
        let mut numbers = self.numbers(words, now).into_iter();
        let mut next = || numbers.next().unwrap();
        let level = |limit: &Limit| {
            let mut level = Level {
                left: next(),
                ..Level::default()
            };
            if !limit.is_whole() {
                level.rest = next();
            }
            if limit.algorithm == Algorithm::SlidingWindow {
                (level.next, level.wait) = (next(), next());
            }
            level
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

pub(super) fn sliding(quota: u64, window: u64) -> Limit {
    Limit::new(Algorithm::SlidingWindow, quota, window)
}
