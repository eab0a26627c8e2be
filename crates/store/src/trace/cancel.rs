//! What two contents have in common, taken out before it is counted.

/// How far ahead the same feature is looked for: an edit of 20 KB is passed over.
const REACH: usize = 128;

/// Takes features out of both in pairs that are equal. Each has them in the order of its content, so that of a content and
/// an edit of it hardly any are left; of others some may be that are in both.
pub(super) fn cancel(new: &mut Vec<u64>, old: &mut Vec<u64>) {
    let (mut at, mut kept) = ((0, 0), (0, 0));
    while let (Some(&of_new), Some(&of_old)) = (new.get(at.0), old.get(at.1)) {
        if of_new == of_old {
            at = (at.0 + 1, at.1 + 1);
            continue;
        }
        let ahead =
            |features: &[u64], wanted: u64| features.iter().take(REACH).position(|&one| one == wanted);
        let skip = match (ahead(&new[at.0..], of_old), ahead(&old[at.1..], of_new)) {
            (None, None) => (1, 1),
            (Some(more), None) => (more, 0),
            (None, Some(less)) => (0, less),
            (Some(more), Some(less)) if more <= less => (more, 0),
            (_, Some(less)) => (0, less),
        };
        new.copy_within(at.0..at.0 + skip.0, kept.0);
        old.copy_within(at.1..at.1 + skip.1, kept.1);
        (at, kept) = ((at.0 + skip.0, at.1 + skip.1), (kept.0 + skip.0, kept.1 + skip.1));
    }
    new.drain(kept.0..at.0);
    old.drain(kept.1..at.1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cancelled(new: &[u64], old: &[u64]) -> (Vec<u64>, Vec<u64>) {
        let (mut new, mut old) = (new.to_vec(), old.to_vec());
        cancel(&mut new, &mut old);
        (new, old)
    }

    #[test]
    fn of_an_edit_only_the_edit_is_left() {
        let old: Vec<u64> = (0..1000).collect();
        let mut new = old.clone();
        new.splice(400..410, 5000..5003);
        new.splice(700..700, 6000..6100);
        new.drain(900..950);
        let (more, less) = cancelled(&new, &old);
        assert_eq!(more, (5000..5003).chain(6000..6100).collect::<Vec<_>>());
        assert_eq!(less, (400..410).chain(907 - 100..857).collect::<Vec<_>>());
        assert_eq!(cancelled(&old, &old), (vec![], vec![]));
        assert_eq!(cancelled(&old, &[]), (old, vec![]));
    }

    proptest! {
        #[test]
        fn what_is_left_differs_by_as_much(
            new in proptest::collection::vec(0_u64..20, 0..60), old in proptest::collection::vec(0_u64..20, 0..60),
        ) {
            let (more, less) = cancelled(&new, &old);
            let count = |features: &[u64], wanted| features.iter().filter(|&&one| one == wanted).count() as i64;
            for one in 0..20 {
                prop_assert_eq!(count(&more, one) - count(&less, one), count(&new, one) - count(&old, one));
            }
        }
    }
}
