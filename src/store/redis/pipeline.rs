//! Commands that are sent in one go, be they of one call or of several.

use std::ops::Range;

use deadpool_redis::redis::{self, Cmd};

use super::command::{About, Command};

/// They are given up to it: few have to be sent again, and those are copied.
#[derive(Debug)]
pub(super) struct Pipeline {
    packed: redis::Pipeline,
    about: Vec<About>,
}

impl Pipeline {
    pub(super) fn with_capacity(commands: usize) -> Self {
        Self {
            packed: redis::Pipeline::with_capacity(commands),
            about: Vec::with_capacity(commands),
        }
    }

    pub(super) fn extend(&mut self, commands: impl IntoIterator<Item = Command>) {
        for Command { cmd, about } in commands {
            self.packed.add_command(cmd);
            self.about.push(about);
        }
    }

    pub(super) fn packed(&self) -> &redis::Pipeline {
        &self.packed
    }

    pub(super) fn len(&self) -> usize {
        self.about.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Cmd, &About)> {
        self.packed.cmd_iter().zip(&self.about)
    }

    /// Copies of these commands.
    #[cold]
    pub(super) fn copy(&self, range: Range<usize>) -> impl Iterator<Item = Command> {
        let own = self.iter().take(range.end).skip(range.start);
        own.map(|(cmd, about)| Command {
            cmd: cmd.clone(),
            about: *about,
        })
    }
}
