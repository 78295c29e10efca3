//! Which shards may be read: a child once its parents have been read to their end.

use std::collections::BTreeMap;

/// A shard as the service lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListedShard {
    /// Such as `shardId-000000000003`.
    pub(super) shard_id: String,
    /// None, the one it was split from, or the two it was merged from.
    pub(super) parents: Vec<String>,
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
    is_closed: bool,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Waiting,
    Started,
    Ended,
}

impl ShardTree {
    /// Takes in a listing. Shards that are known already keep their progress, also where they are no longer listed.
    pub(super) fn add(&mut self, listing: Vec<ListedShard>) {
        for ListedShard { shard_id, parents, is_closed } in listing {
            let node = Node { parents, is_closed, progress: Progress::Waiting };
            self.shards.entry(shard_id).and_modify(|known| known.is_closed = is_closed).or_insert(node);
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
    /// A parent that is not listed has outlived its records and holds nobody up.
    pub(super) fn start_ready(&mut self) -> Vec<(String, bool)> {
        let has_ended = |parent| self.shards.get(parent).is_none_or(|node| node.progress == Progress::Ended);
        let ready = self
            .shards
            .iter()
            .filter(|(_, node)| node.progress == Progress::Waiting && node.parents.iter().all(has_ended));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(shard_id: &str, parents: &[&str], is_closed: bool) -> ListedShard {
        let parents = parents.iter().map(|&parent| parent.to_owned()).collect();
        ListedShard { shard_id: shard_id.to_owned(), parents, is_closed }
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
}
