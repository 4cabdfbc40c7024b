//! A command to send.

use std::{borrow::Borrow, time::Duration};

use deadpool_redis::redis::{Arg, Cmd, ToRedisArgs};

use super::script::Script;
use crate::store::key::Key;

/// Room for most commands, so that they are built without growing.
const ARGS: usize = 16;
const BYTES: usize = 384;

/// One Redis command, built once and kept for the case that it has to be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    cmd: Cmd,
    name: &'static str,
    script: Option<&'static Script>,
    replayable: bool,
    /// Which of the arguments is the first key.
    first_key: Option<usize>,
}

impl Command {
    pub(crate) fn new(name: &'static str) -> Self {
        let mut cmd = Cmd::with_capacity(ARGS, BYTES);
        cmd.arg(name);
        Self {
            cmd,
            name,
            script: None,
            replayable: true,
            first_key: None,
        }
    }

    /// `EVALSHA` of `script` on `keys`, which must share a hash tag.
    pub(crate) fn script<K: Borrow<Key>>(script: &'static Script, keys: &[K]) -> Self {
        let mut cmd = Cmd::with_capacity(ARGS, BYTES);
        cmd.arg("EVALSHA").arg(script.sha()).arg(keys.len());
        let command = Self {
            cmd,
            name: "EVALSHA",
            script: Some(script),
            replayable: true,
            first_key: None,
        };
        keys.iter()
            .fold(command, |command, key| command.key(key.borrow()))
    }

    /// Never sent a second time when its connection is lost before the reply:
    /// for what would count twice.
    pub(crate) fn once(mut self) -> Self {
        self.replayable = false;
        self
    }

    pub(crate) fn key(mut self, key: &Key) -> Self {
        let place = self.cmd.args_iter().len();
        self.first_key.get_or_insert(place);
        self.arg(key.as_str())
    }

    /// A key by its whole name, which need not be text.
    #[cfg(feature = "inspect")]
    pub(crate) fn whole_key(mut self, name: &[u8]) -> Self {
        let place = self.cmd.args_iter().len();
        self.first_key.get_or_insert(place);
        self.arg(name)
    }

    pub(crate) fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.cmd.arg(arg);
        self
    }

    /// A duration in whole milliseconds, at least one.
    pub(crate) fn millis(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        // Redis refuses an expiry whose end overflows an i64.
        self.arg(millis.clamp(1, i64::MAX as u64 / 4))
    }

    /// The command's name, for the log.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Text that is the same in memory for all commands of this name or script.
    pub(super) fn identity(&self) -> &'static str {
        self.script.map_or(self.name, Script::source)
    }

    pub(super) fn cmd(&self) -> &Cmd {
        &self.cmd
    }

    /// The cluster's slot of its keys; `None` where it has none.
    pub(super) fn slot(&self) -> Option<u16> {
        let Arg::Simple(key) = self.cmd.args_iter().nth(self.first_key?)? else {
            return None;
        };
        let open = key.iter().position(|&byte| byte == b'{');
        let tag = open.and_then(|open| {
            let rest = &key[open + 1..];
            let close = rest.iter().position(|&byte| byte == b'}')?;
            Some(&rest[..close]).filter(|tag| !tag.is_empty())
        });
        Some(crc16::State::<crc16::XMODEM>::calculate(tag.unwrap_or(key)) % 16_384)
    }

    pub(super) fn is_replayable(&self) -> bool {
        self.replayable
    }

    /// The same, as a server takes it that a slot is moving to. By its source, as the server may
    /// not know the script, and would want to be asked anew for a second attempt.
    pub(super) fn asking(&self) -> [Self; 2] {
        let command = match self.with_source() {
            Some(cmd) => Self {
                cmd,
                script: None,
                ..self.clone()
            },
            None => self.clone(),
        };
        [Self::new("ASKING"), command]
    }

    /// The same call with the script's source, which also makes the server remember it.
    pub(super) fn with_source(&self) -> Option<Cmd> {
        let mut eval = Cmd::new();
        eval.arg("EVAL").arg(self.script?.source());
        for arg in self.cmd.args_iter().skip(2) {
            if let Arg::Simple(arg) = arg {
                eval.arg(arg);
            }
        }
        Some(eval)
    }
}
