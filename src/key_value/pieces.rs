//! What is asked of the store in pieces, so that one call does not hold it up.

/// How many values a piece has at most.
pub(super) const VALUES: usize = 1024;
/// How many bytes of values, unless one alone has more.
const BYTES: usize = 1 << 20;

/// What is asked for in pieces.
pub(super) struct Pieces<T>(std::iter::Peekable<std::vec::IntoIter<T>>);

impl<T> Pieces<T> {
    pub(super) fn new(all: Vec<T>) -> Self {
        Self(all.into_iter().peekable())
    }

    /// The next [`VALUES`], or fewer when these have more than [`BYTES`]; `None` after the last.
    pub(super) fn next(&mut self, bytes_of: impl Fn(&T) -> usize) -> Option<Vec<T>> {
        let first = self.0.next()?;
        let mut bytes = bytes_of(&first);
        let mut piece = vec![first];
        while piece.len() < VALUES {
            let fits = |next: &T| {
                bytes += bytes_of(next);
                bytes <= BYTES
            };
            match self.0.next_if(fits) {
                Some(next) => piece.push(next),
                None => break,
            }
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(sizes: &[usize]) -> Vec<Vec<usize>> {
        let mut pieces = Pieces::new(sizes.to_vec());
        std::iter::from_fn(|| pieces.next(|size| *size)).collect()
    }

    #[test]
    fn a_piece_is_bounded_in_number_and_bytes_and_nothing_is_lost() {
        assert_eq!(pieces(&[]), Vec::<Vec<usize>>::new());
        let many: Vec<_> = (0..VALUES * 2 + 1).map(|n| n % 7).collect();
        let lengths: Vec<_> = pieces(&many).iter().map(Vec::len).collect();
        assert_eq!(lengths, [VALUES, VALUES, 1]);
        assert_eq!(pieces(&many).concat(), many);
        assert_eq!(
            pieces(&[BYTES / 2, BYTES / 2, 1]),
            [vec![BYTES / 2, BYTES / 2], vec![1]]
        );
    }

    #[test]
    fn what_is_over_the_bound_alone_is_a_piece_of_its_own() {
        let sizes = [1, BYTES + 1, BYTES * 3, 0, 1];
        let expected = [vec![1], vec![BYTES + 1], vec![BYTES * 3], vec![0, 1]];
        assert_eq!(pieces(&sizes), expected);
    }
}
