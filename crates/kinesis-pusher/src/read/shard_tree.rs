//! Which shards may be read: a child once its parents have been read to their end.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A shard as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedShard {
    /// Such as `shardId-000000000003`.
    pub(super) shard_id: String,
    /// None, the one it was split from, or the two it was merged from.
    pub(super) parents: Vec<String>,
    /// Its hash keys; `None` where the service does not tell them.
    pub(super) range: Option<RangeInclusive<u128>>,
    /// Whether it takes no more records.
    pub(super) is_closed: bool,
}

/// The shards of a stream and how far each has been read.
#[derive(Debug, Default)]
pub(super) struct ShardTree {
    // By id, so that older shards are started first.
    shards: BTreeMap<String, Node>,
}

#[derive(Debug)]
struct Node {
    parents: Vec<String>,
    range: Option<RangeInclusive<u128>>,
    is_closed: bool,
    /// Whether the first listing had it, so that it may hold records from before the start.
    is_first: bool,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Started,
    /// Everything from before the start has been read, and the shard was open at that time.
    CaughtUp,
    Ended,
}

impl ShardTree {
    /// Takes in a listing. Shards that are known already keep their progress, also where they are no longer listed.
    ///
    /// Some emulators name no parents. The parents of such a shard are the closed shards before it with hash keys of
    /// its own: open shards share none.
    pub(super) fn add(&mut self, listing: Vec<ListedShard>) {
        let (mut orphans, is_first) = (vec![], self.shards.is_empty());
        for ListedShard { shard_id, parents, range, is_closed } in listing {
            if let Some(known) = self.shards.get_mut(&shard_id) {
                known.is_closed |= is_closed;
                continue;
            }
            if parents.is_empty() {
                orphans.push(shard_id.clone());
            }
            let node = Node { parents, range, is_closed, is_first, progress: Progress::Waiting };
            self.shards.insert(shard_id, node);
        }
        for orphan in orphans {
            let Some(range) = self.shards.get(&orphan).and_then(|node| node.range.clone()) else { continue };
            let older = self.shards.range(..orphan.clone());
            let parents = older.filter(|(_, node)| {
                node.is_closed && node.range.as_ref().is_some_and(|other| is_shared(&range, other))
            });
            let parents = parents.map(|(id, _)| id.clone()).collect();
            if let Some(node) = self.shards.get_mut(&orphan) {
                node.parents = parents;
            }
        }
    }

    /// Counts shards that take no more records as read. One whose children are not listed yet stays: its end is what
    /// they are found by.
    pub(super) fn skip_closed(&mut self) {
        let closed = self.shards.iter().filter(|(id, node)| node.is_closed && self.has_children(id));
        let closed: Vec<String> = closed.map(|(id, _)| id.clone()).collect();
        closed.iter().for_each(|id| self.end(id));
    }

    /// Marks the shards that may be read from now on as started, and returns them, each with whether it is closed.
    ///
    /// A parent that is not listed has outlived its records, and no child waits for it. A child of a shard that is
    /// caught up was opened after the start, unless the first listing had it.
    pub(super) fn start_ready(&mut self) -> Vec<(String, bool)> {
        let has_ended = |parent: &String, is_first| {
            self.shards.get(parent).is_none_or(|node| match node.progress {
                Progress::Ended => true,
                Progress::CaughtUp => is_first,
                Progress::Waiting | Progress::Started => false,
            })
        };
        let ready = self.shards.iter().filter(|(_, node)| {
            node.progress == Progress::Waiting
                && node.parents.iter().all(|parent| has_ended(parent, node.is_first))
        });
        let ready: Vec<(String, bool)> = ready.map(|(id, node)| (id.clone(), node.is_closed)).collect();
        for (id, _) in &ready {
            self.set(id, Progress::Started);
        }
        ready
    }

    /// The shard has been read to its end.
    pub(super) fn end(&mut self, shard_id: &str) {
        self.set(shard_id, Progress::Ended);
    }

    /// Everything that the shard held at the start has been read.
    pub(super) fn catch_up(&mut self, shard_id: &str) {
        self.set(shard_id, Progress::CaughtUp);
    }

    /// Whether the children of a shard are known.
    pub(super) fn has_children(&self, shard_id: &str) -> bool {
        self.shards.values().any(|node| node.parents.iter().any(|parent| parent == shard_id))
    }

    fn set(&mut self, shard_id: &str, progress: Progress) {
        if let Some(node) = self.shards.get_mut(shard_id) {
            node.progress = progress;
        }
    }
}

/// Whether two ranges have more in common than the rounding of an emulator: a millionth of the smaller one.
fn is_shared(one: &RangeInclusive<u128>, other: &RangeInclusive<u128>) -> bool {
    let (start, end) = (*one.start().max(other.start()), *one.end().min(other.end()));
    let length = |range: &RangeInclusive<u128>| range.end().saturating_sub(*range.start());
    start <= end && end - start >= length(one).min(length(other)) >> 20
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(shard_id: &str, parents: &[&str], is_closed: bool) -> ListedShard {
        let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
        ListedShard { shard_id: shard_id.to_owned(), parents, range: None, is_closed }
    }

    /// A shard without parents that owns these hash keys.
    fn orphan(shard_id: &str, range: RangeInclusive<u128>, is_closed: bool) -> ListedShard {
        ListedShard { range: Some(range), ..shard(shard_id, &[], is_closed) }
    }

    fn started(tree: &mut ShardTree) -> Vec<String> {
        tree.start_ready().into_iter().map(|(id, _)| id).collect()
    }

    /// `a` was split into `b` and `c`; `c` and `x` were merged into `d`.
    fn resharded() -> ShardTree {
        let mut tree = ShardTree::default();
        tree.add(vec![
            shard("d", &["c", "x"], false),
            shard("c", &["a"], true),
            shard("b", &["a"], false),
            shard("a", &[], true),
            shard("x", &[], true),
        ]);
        tree
    }

    #[test]
    fn a_child_starts_when_the_last_of_its_parents_has_ended() {
        let mut tree = resharded();
        assert_eq!(tree.start_ready(), [("a".to_owned(), true), ("x".to_owned(), true)]);
        assert_eq!(started(&mut tree), [""; 0], "each starts once");
        tree.end("a");
        assert_eq!(started(&mut tree), ["b", "c"]);
        tree.end("c");
        assert_eq!(started(&mut tree), [""; 0], "d has a second parent");
        tree.end("x");
        assert_eq!(started(&mut tree), ["d"]);
    }

    #[test]
    fn a_parent_that_is_no_longer_listed_holds_nobody_up() {
        let mut tree = ShardTree::default();
        tree.add(vec![
            shard("b", &["gone"], false),
            shard("c", &["gone", "a"], false),
            shard("a", &[], true),
        ]);
        assert_eq!(started(&mut tree), ["a", "b"]);
        tree.end("a");
        assert_eq!(started(&mut tree), ["c"]);
    }

    #[test]
    fn a_second_listing_brings_children_and_forgets_no_progress() {
        let mut tree = ShardTree::default();
        tree.add(vec![shard("a", &[], false)]);
        assert_eq!(tree.start_ready(), [("a".to_owned(), false)]);
        tree.end("a");
        assert!(!tree.has_children("a"));
        tree.add(vec![shard("a", &[], true), shard("b", &["a"], false)]);
        assert!(tree.has_children("a"));
        assert_eq!(started(&mut tree), ["b"], "a is not read again");
    }

    #[test]
    fn to_begin_with_the_latest_is_to_leave_out_what_is_closed_and_has_children() {
        let mut tree = resharded();
        tree.add(vec![shard("z", &[], true)]);
        tree.skip_closed();
        assert_eq!(started(&mut tree), ["b", "d", "z"], "the children of z are yet to be found");
    }

    #[test]
    fn a_child_of_a_shard_that_is_caught_up_is_read_if_it_was_there_at_the_start() {
        let mut tree = ShardTree::default();
        tree.add(vec![shard("a", &[], false), shard("b", &["a"], false)]);
        assert_eq!(started(&mut tree), ["a"]);
        tree.add(vec![shard("c", &["a"], false)]);
        tree.catch_up("a");
        assert_eq!(started(&mut tree), ["b"], "c was opened after the start");
    }

    #[test]
    fn where_no_parents_are_named_the_closed_shards_with_the_same_keys_come_first() {
        let mut tree = ShardTree::default();
        tree.add(vec![
            orphan("0", 0..=49, true),
            orphan("1", 50..=99, true),
            orphan("2", 0..=29, false),
            orphan("3", 30..=59, false),
            orphan("4", 60..=99, false),
        ]);
        assert_eq!(started(&mut tree), ["0", "1"]);
        tree.end("1");
        assert_eq!(started(&mut tree), ["4"]);
        tree.end("0");
        assert_eq!(started(&mut tree), ["2", "3"]);
        assert!(!tree.has_children("2"));
        tree.add(vec![orphan("2", 0..=29, true), orphan("5", 0..=29, false)]);
        assert!(tree.has_children("2"), "a shard that is opened later is found");
        assert_eq!(started(&mut tree), [""; 0], "and waits");
    }

    #[test]
    fn ranges_that_an_emulator_rounds_and_shards_that_are_open_make_no_parents() {
        let mut tree = ShardTree::default();
        let half = 1 << 127;
        tree.add(vec![orphan("0", 0..=half, true), orphan("1", half..=u128::MAX, false)]);
        assert!(!tree.has_children("0"), "one key is rounding");
        let mut tree = ShardTree::default();
        tree.add(vec![orphan("0", 0..=half, false), orphan("1", 0..=u128::MAX, false)]);
        assert_eq!(started(&mut tree), ["0", "1"], "an open shard would hold up for ever");
    }
}
