//! Rules of retention, on days that matter.

use super::*;
use crate::tree::Timestamp;

/// Versions at these days and seconds of the day, oldest first, numbered from 1; as the plan takes them.
fn versions(times: &[(i64, i64)]) -> Vec<Version> {
    let version = |(at, &(day, second)): (usize, &(i64, i64))| Version {
        number: at as u64 + 1,
        parent: None,
        time: Timestamp { seconds: day * 86_400 + second, nanoseconds: 0 },
        message: String::new(),
        entries: 0,
        files: 0,
        bytes: 0,
        tree: 0,
        engram: 0,
        sums: 0,
        chunks_end: 1,
    };
    times.iter().enumerate().map(version).rev().collect()
}

fn kept(versions: &[Version], keep: Retention) -> Vec<u64> {
    Forget { keep, versions: Vec::new() }.plan(versions, &BTreeSet::new()).unwrap().keep
}

#[test]
fn each_rule_keeps_the_newest_of_its_periods_and_rules_add_up() {
    // Thursday 1970-01-01 twice, Sunday 4th, Monday 5th at its first second, Saturday 31st, Sunday February 1st.
    let versions = versions(&[(0, 0), (0, 86_399), (3, 10), (4, 0), (30, 5), (31, 0)]);
    let none = Retention::default();
    assert_eq!(kept(&versions, Retention { last: Some(2), ..none }), [5, 6]);
    assert_eq!(kept(&versions, Retention { daily: Some(4), ..none }), [3, 4, 5, 6]);
    assert_eq!(kept(&versions, Retention { daily: Some(99), ..none }), [2, 3, 4, 5, 6]);
    assert_eq!(kept(&versions, Retention { weekly: Some(99), ..none }), [3, 4, 6]);
    assert_eq!(kept(&versions, Retention { monthly: Some(99), ..none }), [5, 6]);
    assert_eq!(kept(&versions, Retention { weekly: Some(2), last: Some(2), ..none }), [4, 5, 6]);
}

#[test]
fn what_is_protected_is_not_forgotten() {
    let versions = versions(&[(0, 0), (1, 0), (2, 0), (3, 0)]);
    let tagged = BTreeSet::from([1, 3]);
    let last = Retention { last: Some(1), ..Retention::default() };
    let plan = Forget { keep: last, versions: Vec::new() }.plan(&versions, &tagged).unwrap();
    assert_eq!((plan.forget, plan.keep, plan.kept_by_tag), (vec![2], vec![1, 3, 4], vec![1, 3]));
    let named = |versions_named: Vec<u64>, keep| {
        Forget { keep, versions: versions_named }.plan(&versions, &tagged).map(|plan| plan.forget)
    };
    assert_eq!(named(vec![2], Retention::default()).unwrap(), [2]);
    let newest = named(vec![4], Retention::default()).unwrap_err();
    assert!(newest.to_string().contains("version 4 is the newest"), "{newest}");
    let tagged = named(vec![3], Retention::default()).unwrap_err();
    assert!(tagged.to_string().contains("version 3 is tagged"), "{tagged}");
    assert!(named(Vec::new(), Retention::default()).is_err());
    assert!(named(Vec::new(), Retention { daily: Some(0), ..Retention::default() }).is_err());
}

#[test]
fn months_are_those_of_the_calendar() {
    // (day since 1970, year * 12 + month): around leap days, centuries and the epoch.
    let month_of = |year: i64, month: i64| year * 12 + month - 1;
    for (day, year, month_number) in [
        (0, 1970, 1),
        (-1, 1969, 12),
        (30, 1970, 1),
        (31, 1970, 2),
        (58, 1970, 2),
        (59, 1970, 3),
        (11_016, 2000, 2),
        (11_017, 2000, 3),
        (19_782, 2024, 2),
        (19_783, 2024, 3),
        (47_540, 2100, 2),
        (47_541, 2100, 3),
        (-719_468, 0, 3),
    ] {
        assert_eq!(month(day), month_of(year, month_number), "{day}");
    }
}
