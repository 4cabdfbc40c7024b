//! Patterns of keys, as Redis' `MATCH` reads them.

/// Whether `text` matches `pattern`: `*`, `?`, `[a-z]`, `[^a-z]`, and `\` before what stands for
/// itself.
pub(super) fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // Where to go on when what follows the last star does not match here.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        let matched = match (pattern.first(), text.first()) {
            (None, None) => return true,
            (Some(b'*'), _) => {
                pattern = &pattern[1..];
                retry = Some((pattern, text));
                continue;
            }
            (Some(_), Some(byte)) => one(pattern, *byte),
            _ => None,
        };
        match (matched, retry) {
            (Some(rest), _) => {
                pattern = rest;
                text = &text[1..];
            }
            (None, Some((after_star, [_, from @ ..]))) => {
                pattern = after_star;
                text = from;
                retry = Some((after_star, from));
            }
            (None, _) => return false,
        }
    }
}

/// What is left of the pattern behind its first part, if that matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'[', rest @ ..] => class(rest, byte),
        [b'\\', literal, rest @ ..] => (*literal == byte).then_some(rest),
        [literal, rest @ ..] => (*literal == byte).then_some(rest),
        [] => None,
    }
}

/// As [`one`], behind the bracket. A class that does not end ends with the pattern.
fn class(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut found = false;
    loop {
        rest = match rest {
            [] => break,
            [b']', after @ ..] => {
                rest = after;
                break;
            }
            [b'\\', literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
            [low, b'-', high, after @ ..] => {
                found |= (*low.min(high)..=*low.max(high)).contains(&byte);
                after
            }
            [literal, after @ ..] => {
                found |= *literal == byte;
                after
            }
        };
    }
    (found != negated).then_some(rest)
}

/// `text` as a pattern of itself.
pub(crate) fn escape(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_redis_says() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**a*", "xxa", true),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXbY", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[abc", "c", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\", "a\\", true),
            ("[\\]]", "]", true),
        ] {
            let matched = matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(matched, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_their_number_times_the_text() {
        let pattern = "a*".repeat(300) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(3_000).as_bytes()));
    }

    #[test]
    fn what_is_escaped_matches_itself_alone() {
        let text = "a*b?c[d]e\\f^g-h";
        let pattern = escape(text);
        assert!(matches(pattern.as_bytes(), text.as_bytes()));
        assert!(!matches(pattern.as_bytes(), b"aXb?c[d]e\\f^g-h"));
    }
}
