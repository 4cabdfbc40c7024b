//! When a session ends, and how much it may hold.

use std::time::Duration;

use super::reply::hex;

/// The rules of a session's layer, by the store's own clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rules {
    /// After the last activity that was noted.
    pub(crate) idle: Duration,
    /// After its creation or the login of its user, whatever happens.
    pub(crate) absolute: Duration,
    /// Activity is noted at most once in this part of the idle timeout.
    pub(crate) touch_fraction: f64,
    /// Bytes of all names and values.
    pub(crate) max_bytes: usize,
    pub(crate) max_keys: usize,
}

/// What is stored of when one session ends, in its field `l`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// By its layer's rules. The absolute timeout is the one with which it was noted in the index of
    /// its user: that has forgotten it after this time, so it lives no longer when the layer's
    /// becomes longer.
    Noted { absolute: Duration },
    /// By timeouts of its own.
    Own {
        idle: Duration,
        absolute: Duration,
        /// Whether the client keeps its cookie when it is closed.
        persistent: bool,
    },
}

/// How old a session is, by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    /// Since it was created, or its user has logged in.
    pub(crate) session: Duration,
    /// Since it got its current id.
    pub(crate) id: Duration,
    /// Since the last activity that was noted.
    pub(crate) untouched: Duration,
    /// From its creation to its end, unless it is touched before.
    pub(crate) ends: Duration,
}

impl Rules {
    /// The rules of a session with this lifetime. The counterpart of `timeouts` in `session.lua`.
    pub(crate) fn of(self, lifetime: Option<Lifetime>) -> Self {
        match lifetime {
            None => self,
            Some(Lifetime::Noted { absolute }) => Self {
                absolute: absolute.min(self.absolute),
                ..self
            },
            Some(Lifetime::Own { idle, absolute, .. }) => Self {
                idle,
                absolute,
                ..self
            },
        }
    }

    pub(crate) fn touch_every(&self) -> Duration {
        self.idle.mul_f64(self.touch_fraction)
    }

    /// How long a session lives that was touched just now and has this much left.
    pub(crate) fn life(&self, remaining: Duration) -> Duration {
        self.idle.min(remaining)
    }
}

impl Lifetime {
    /// The own choice about the cookie.
    pub(crate) fn persistent(self) -> Option<bool> {
        match self {
            Self::Noted { .. } => None,
            Self::Own { persistent, .. } => Some(persistent),
        }
    }

    /// As text: a mark (`-` by the layer's rules; `p` or `s` by its own, with a persistent cookie
    /// or without), the absolute timeout and, if it has its own, the idle one, each as 10
    /// hexadecimal digits of milliseconds.
    pub(super) fn text(self) -> String {
        match self {
            Self::Noted { absolute } => format!("-{:010x}", absolute.as_millis()),
            Self::Own {
                idle,
                absolute,
                persistent,
            } => {
                let mark = if persistent { 'p' } else { 's' };
                format!(
                    "{mark}{:010x}{:010x}",
                    absolute.as_millis(),
                    idle.as_millis()
                )
            }
        }
    }

    /// `None` for what this crate never writes.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let millis = |from, to| hex(text.get(from..to)?).map(Duration::from_millis);
        let absolute = millis(1, 11)?;
        Some(match text.first()? {
            b'-' => Self::Noted { absolute },
            mark @ (b'p' | b's') => Self::Own {
                idle: millis(11, 21)?,
                absolute,
                persistent: *mark == b'p',
            },
            _ => return None,
        })
    }
}

impl Age {
    pub(super) fn is_over(&self, rules: &Rules) -> bool {
        self.session >= rules.absolute || self.untouched >= rules.idle
    }

    /// Whether activity after `later` more is to be noted. It need not once the session lives
    /// until its absolute timeout, by its key's expiry and by the rules of now.
    pub(crate) fn touch_due(&self, rules: &Rules, later: Duration) -> bool {
        let touched = self.session.saturating_sub(self.untouched);
        let ends = self.ends.min(touched.saturating_add(rules.idle));
        self.untouched.saturating_add(later) >= rules.touch_every() && ends < rules.absolute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_lifetime_reads_back_and_nothing_else_does() {
        let own = |persistent| Lifetime::Own {
            idle: DAY,
            absolute: 400 * DAY,
            persistent,
        };
        for lifetime in [Lifetime::Noted { absolute: 7 * DAY }, own(true), own(false)] {
            let text = lifetime.text();
            assert_eq!(Lifetime::read(text.as_bytes()), Some(lifetime), "{text}");
            for broken in [&text[1..], &text[..text.len() - 1], ""] {
                assert_eq!(Lifetime::read(broken.as_bytes()), None, "{broken}");
            }
        }
    }

    #[test]
    fn own_timeouts_hold_and_noted_ones_only_shorten() {
        let layer = Rules {
            idle: DAY,
            absolute: 7 * DAY,
            touch_fraction: 0.1,
            max_bytes: 1,
            max_keys: 1,
        };
        let timeouts = |lifetime| {
            let rules = layer.of(Some(lifetime));
            (rules.idle, rules.absolute, rules.touch_every())
        };
        let noted = |days| Lifetime::Noted {
            absolute: days * DAY,
        };
        assert_eq!(timeouts(noted(3)), (DAY, 3 * DAY, DAY / 10));
        assert_eq!(timeouts(noted(30)), (DAY, 7 * DAY, DAY / 10));
        let own = Lifetime::Own {
            idle: 20 * DAY,
            absolute: 30 * DAY,
            persistent: true,
        };
        assert_eq!(timeouts(own), (20 * DAY, 30 * DAY, 2 * DAY));
    }
}
