//! A command to send.

use std::{borrow::Borrow, time::Duration};

use deadpool_redis::redis::{Arg, Cmd, ToRedisArgs};
use smallvec::SmallVec;

use super::script::Script;
use crate::store::key::Key;

/// Room for the arguments of most commands, and of scripts beside their keys, so that they are built
/// without growing. No more than that: small allocations are the quick ones.
const ARGS: usize = 4;
const BYTES: usize = 112;
const SCRIPT_ARGS: usize = 10;
const SCRIPT_BYTES: usize = 144;

/// The commands of a call. Most calls have one.
pub(crate) type Commands = SmallVec<[Command; 1]>;

/// One Redis command.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(super) cmd: Cmd,
    pub(super) about: About,
}

/// What is known of a command besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    what: What,
    replayable: bool,
    passes_over_other_types: bool,
    /// Which of the arguments is the first key.
    first_key: Option<u16>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// A command by its name.
    Plain(&'static str),
    Script(&'static Script),
}

impl Command {
    pub(crate) fn new(name: &'static str) -> Self {
        let mut cmd = Cmd::with_capacity(ARGS, BYTES);
        cmd.arg(name);
        Self {
            cmd,
            about: About::new(What::Plain(name)),
        }
    }

    /// `EVALSHA` of `script` on `keys`, which must share a hash tag.
    pub(crate) fn script<K: Borrow<Key>>(script: &'static Script, keys: &[K]) -> Self {
        let names: usize = keys.iter().map(|key| key.borrow().as_str().len()).sum();
        let mut cmd = Cmd::with_capacity(SCRIPT_ARGS + keys.len(), SCRIPT_BYTES + names);
        cmd.arg("EVALSHA").arg(script.sha()).arg(keys.len());
        let command = Self {
            cmd,
            about: About::new(What::Script(script)),
        };
        keys.iter()
            .fold(command, |command, key| command.key(key.borrow()))
    }

    /// Never sent a second time when its connection is lost before the reply:
    /// for what would count twice.
    pub(crate) fn once(mut self) -> Self {
        self.about.replayable = false;
        self
    }

    /// A key that holds another type of data counts as missing, as it does for `MGET`, whose
    /// array is slower to read.
    pub(crate) fn pass_over_other_types(mut self) -> Self {
        self.about.passes_over_other_types = true;
        self
    }

    pub(crate) fn key(mut self, key: &Key) -> Self {
        self.note_key();
        self.arg(key.as_str())
    }

    /// A key by its whole name, which need not be text.
    #[cfg(feature = "inspect")]
    pub(crate) fn whole_key(mut self, name: &[u8]) -> Self {
        self.note_key();
        self.arg(name)
    }

    /// The next argument is a key.
    fn note_key(&mut self) {
        if self.about.first_key.is_none() {
            self.about.first_key = u16::try_from(self.cmd.args_iter().len()).ok();
        }
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

    /// The cluster's slot of its keys; `None` where it has none.
    pub(super) fn slot(&self) -> Option<u16> {
        self.about.slot(&self.cmd)
    }

    pub(super) fn is_replayable(&self) -> bool {
        self.about.replayable
    }

    /// The same, as a server takes it that a slot is moving to. By its source, as the server may
    /// not know the script, and would want to be asked anew for a second attempt.
    pub(super) fn asking(&self) -> Commands {
        let command = match self.about.with_source(&self.cmd) {
            Some(cmd) => Self {
                cmd,
                about: About {
                    what: What::Plain("EVAL"),
                    ..self.about
                },
            },
            None => self.clone(),
        };
        Commands::from_iter([Self::new("ASKING"), command])
    }
}

impl About {
    fn new(what: What) -> Self {
        Self {
            what,
            replayable: true,
            passes_over_other_types: false,
            first_key: None,
        }
    }

    /// The command's name, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self.what {
            What::Plain(name) => name,
            What::Script(_) => "EVALSHA",
        }
    }

    /// Text that is the same in memory for all commands of this name or script.
    pub(super) fn identity(&self) -> &'static str {
        match self.what {
            What::Plain(name) => name,
            What::Script(script) => script.source(),
        }
    }

    pub(super) fn passes_over_other_types(&self) -> bool {
        self.passes_over_other_types
    }

    /// The cluster's slot of the keys of `cmd`; `None` where it has none.
    pub(super) fn slot(&self, cmd: &Cmd) -> Option<u16> {
        let Arg::Simple(key) = cmd.args_iter().nth(usize::from(self.first_key?))? else {
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

    /// The same call as `cmd` with the script's source, which also makes the server remember it.
    pub(super) fn with_source(&self, cmd: &Cmd) -> Option<Cmd> {
        let What::Script(script) = self.what else {
            return None;
        };
        let mut eval = Cmd::new();
        eval.arg("EVAL").arg(script.source());
        for arg in cmd.args_iter().skip(2) {
            if let Arg::Simple(arg) = arg {
                eval.arg(arg);
            }
        }
        Some(eval)
    }
}
