//! Reads the list of mutations.

use std::fmt;

/// One way to break the core.
#[derive(Debug)]
pub(crate) struct Mutation {
    /// What it is called on the command line.
    pub(crate) name: String,
    /// The invariants of which any may show it; `Paired`, `panic` and `hang` are among them.
    pub(crate) caught_by: Vec<String>,
    /// Below the core's `src`.
    pub(crate) file: String,
    find: String,
    replace: String,
}

impl Mutation {
    /// The source with the replacement made.
    ///
    /// # Errors
    /// [`Stale`] unless the text to be replaced is there exactly once.
    pub(crate) fn applied_to(&self, source: &str) -> Result<String, Stale> {
        match source.matches(&self.find).count() {
            1 => Ok(source.replacen(&self.find, &self.replace, 1)),
            times => Err(Stale { name: self.name.clone(), file: self.file.clone(), times }),
        }
    }
}

/// A mutation that no longer fits the sources: the list is to be brought up to date.
#[derive(Debug)]
pub(crate) struct Stale {
    name: String,
    file: String,
    times: usize,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, file, times } = self;
        write!(f, "mutation {name} is stale: its text is {times} times in {file}, and must be there once")
    }
}

impl std::error::Error for Stale {}

/// The list, in its order.
///
/// # Errors
/// What cannot be read as an entry, in words.
pub(crate) fn read() -> Result<Vec<Mutation>, String> {
    let text = include_str!("core.txt");
    // The introduction comes before the first entry.
    text.split("\n== ").skip(1).map(entry).collect()
}

fn entry(text: &str) -> Result<Mutation, String> {
    let wrong = || format!("not an entry of the list of mutations: {text}");
    let (head, body) = text.split_once("\n--- find\n").ok_or_else(wrong)?;
    let (find, replace) = body.split_once("\n--- replace\n").ok_or_else(wrong)?;
    let (name, place) = head.split_once('\n').ok_or_else(wrong)?;
    let (caught_by, file) = place.split_once(" in ").ok_or_else(wrong)?;
    Ok(Mutation {
        name: name.trim().to_owned(),
        caught_by: caught_by.split(' ').map(str::to_owned).collect(),
        file: file.trim().to_owned(),
        find: find.to_owned(),
        replace: replace.trim_end().to_owned(),
    })
}
