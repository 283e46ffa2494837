//! What to do where two machines have changed one workspace: decided here, in plain code, path
//! by path, from what both began with (`base`), what stands here (`ours`) and what was released
//! (`theirs`).
//!
//! The rule: what was released wins the path; a content of ours that it would cost is kept
//! beside it. What only we have changed stays as it is, and is released next. Whoever goes back to
//! a version leaves out of `base` what that version has unchanged, so that it is undone here too.

use std::collections::BTreeSet;

use super::entry::{Entries, EntryPath};

/// What has to happen to the files here, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Kept beside, since something else takes their name.
    pub aside: Vec<EntryPath>,
    /// Gone in what was released.
    pub remove: Vec<EntryPath>,
    /// New or different in what was released.
    pub take: Vec<EntryPath>,
    /// Of these, where nothing of ours is known to stand: what does is kept beside.
    pub unseen: BTreeSet<EntryPath>,
}

pub(crate) fn plan(base: &Entries, ours: &Entries, theirs: &Entries) -> Plan {
    let mut plan = Plan::default();
    for (path, theirs) in theirs {
        let (base, ours) = (base.get(path), ours.get(path));
        // As it is here, or unchanged since we last agreed.
        if ours == Some(theirs) || base == Some(theirs) {
            continue;
        }
        if ours.is_none() {
            plan.unseen.insert(path.clone());
        } else if ours != base {
            plan.aside.push(path.clone());
        }
        plan.take.push(path.clone());
    }
    for (path, base) in base {
        if !theirs.contains_key(path) && ours.get(path) == Some(base) {
            plan.remove.push(path.clone());
        }
    }
    plan
}

/// The same where some of ours may not be looked into. Where something comes into that, it is kept
/// beside whole, so all that was released of it comes.
pub(crate) fn plan_around(
    shut: &BTreeSet<EntryPath>,
    (base, ours, theirs): (&Entries, &Entries, &Entries),
) -> Plan {
    let unaware = plan(base, ours, theirs);
    let outer = unaware.take.iter().filter_map(|path| path.outer_in(shut));
    let moved: BTreeSet<EntryPath> = outer.cloned().collect();
    if moved.is_empty() {
        return unaware;
    }
    let mut base = base.clone();
    base.retain(|path, _| !path.is_within(&moved));
    plan(&base, ours, theirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::entry::Entry;

    /// `a=1 b=2`: files with contents.
    fn entries(text: &str) -> Entries {
        let entry = |word: &str| {
            let (name, content) = word.split_once('=').unwrap();
            let path = format!("group/{name}").parse().unwrap();
            let target = content.to_owned();
            (path, Entry::Link { target })
        };
        text.split_whitespace().map(entry).collect()
    }

    #[track_caller]
    fn check(base: &str, ours: &str, theirs: &str, expected: &str) {
        // `!a`: what may not be looked into.
        let is_shut = |word: &&str| word.starts_with('!');
        let (shut, ours): (Vec<&str>, Vec<&str>) = ours.split(' ').partition(is_shut);
        let ours = ours.join(" ");
        let shut = shut.iter().map(|word| format!("group/{}", &word[1..]));
        let shut = shut.map(|path| path.parse().unwrap()).collect();
        let all = (&entries(base), &entries(&ours), &entries(theirs));
        let plan = plan_around(&shut, all);
        let words = |sign: &str, paths: &[EntryPath]| -> Vec<String> {
            let name = |path: &EntryPath| format!("{sign}{}", &path.as_str()[6..]);
            paths.iter().map(name).collect()
        };
        let all = [
            words("~", &plan.aside),
            words("-", &plan.remove),
            words("+", &plan.take),
        ];
        assert_eq!(
            all.concat().join(" "),
            expected,
            "{base} | {ours} | {theirs}"
        );
    }

    #[test]
    fn an_empty_machine_takes_all() {
        check("", "", "a=1 b=2", "+a +b");
    }

    #[test]
    fn what_is_the_same_is_left_alone() {
        check("a=1", "a=1", "a=1", "");
        check("", "a=1", "a=1", "");
        check("a=1", "a=2", "a=2", "");
        check("a=1", "", "", "");
    }

    #[test]
    fn what_only_they_changed_is_taken() {
        check("a=1 b=1 c=1", "a=1 b=1 c=1", "a=2 c=1 d=1", "-b +a +d");
    }

    #[test]
    fn what_only_we_changed_stays() {
        check("a=1 b=1", "a=2 c=1", "a=1 b=1", "");
    }

    #[test]
    fn what_both_changed_is_theirs_with_ours_beside() {
        check("a=1", "a=2", "a=3", "~a +a");
        check("", "a=2", "a=3", "~a +a");
    }

    #[test]
    fn what_is_shut_stays_unless_something_comes_into_it() {
        check("d/a=1 d/b=1 e=1", "!d e=1", "d/a=1 e=2", "+e");
        check(
            "d/a=1 d/b=1 d/c=1 e=1",
            "!d e=1",
            "d/a=2 d/b=1 e=1",
            "+d/a +d/b",
        );
    }

    #[test]
    fn a_change_outlives_a_removal() {
        check("a=1", "a=2", "", "");
        check("a=1", "", "a=2", "+a");
    }
}
