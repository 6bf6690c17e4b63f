//! What a snapshot that is being taken has so far, a line for each URL and for each body's smaller forms, so that
//! one that was broken off goes on where it was.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::marker::PhantomData;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::frontier::Wanted;
use super::left_out::Why;
use super::manifest::{LeftOut, Object, Page, Variant};

/// How old one may be that is gone on with, in milliseconds.
const AGE_MAX_MS: u64 = 86_400_000;

/// What is being taken; its first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// Of all that decides what is taken: another policy begins anew.
    pub plan: String,
    pub unix_ms: u64,
}

/// What came of one URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub wanted: Wanted,
    pub outcome: Outcome,
    /// What it led to, and is asked for next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Wanted>,
    /// What it led to, and is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<LeftOut>,
}

impl Step {
    /// Of a URL that nothing came of yet.
    pub fn begin(wanted: Wanted) -> Self {
        Self { wanted, outcome: Outcome::LeftOut(Why::Unreachable), found: Vec::new(), refused: Vec::new() }
    }

    /// The body that was kept.
    pub fn object(&self) -> Option<&Object> {
        if let Outcome::Kept(page) = &self.outcome { page.object.as_ref() } else { None }
    }
}

/// What was made of one body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Formed {
    /// Of the body.
    pub hash: String,
    /// The media type that it was taken for.
    #[serde(default)]
    pub kind: String,
    pub variants: Vec<Variant>,
    /// See [`Page`].
    pub recipe: u32,
}

/// See [`Step`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Kept(Page),
    LeftOut(Why),
}

/// The file; its lines are [`Step`]s or [`Formed`].
#[derive(Debug)]
pub struct Journal<T> {
    file: File,
    lines: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Goes on with the one at `path` if it has anything, is of the same plan and not too old, or begins anew; gives how it
    /// began and what it has so far.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(path: &Path, begun: Begun) -> io::Result<(Self, Begun, Vec<T>)> {
        let is_ours = |b: &Begun| b.plan == begun.plan && begun.unix_ms.saturating_sub(b.unix_ms) < AGE_MAX_MS;
        if let Some((before, lines, length)) = read(path, is_ours)?.filter(|(_, lines, _)| !lines.is_empty()) {
            let file = File::options().append(true).open(path)?;
            // The last line may be half of one.
            file.set_len(length)?;
            return Ok((Self { file, lines: PhantomData }, before, lines));
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        let mut this = Self { file: File::create(path)?, lines: PhantomData };
        this.line(&begun)?;
        Ok((this, begun, Vec::new()))
    }

    /// Writes one down. A killed process loses none; a machine that loses power asks for some again.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&mut self, line: &T) -> io::Result<()> {
        self.line(line)
    }

    fn line(&mut self, of: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(of)?;
        line.push(b'\n');
        self.file.write_all(&line)
    }
}

/// What the journal at `path` has, whose-ever it is; nothing where there is none.
///
/// # Errors
/// The disk's.
pub fn left<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    Ok(read(path, |_| true)?.map(|(_, lines, _)| lines).unwrap_or_default())
}

/// How it began, the whole lines, and where they end.
type Read<T> = (Begun, Vec<T>, u64);

/// What there is; none if it is another plan's.
fn read<T: DeserializeOwned>(path: &Path, is_ours: impl Fn(&Begun) -> bool) -> io::Result<Option<Read<T>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut reader, mut line, mut length, mut lines) = (BufReader::new(file), Vec::new(), 0, Vec::new());
    let mut begun = None;
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            break;
        }
        if length == 0 {
            begun = serde_json::from_slice::<Begun>(&line).ok().filter(|before| is_ours(before));
            if begun.is_none() {
                return Ok(None);
            }
        } else {
            let Ok(whole) = serde_json::from_slice(&line) else { break };
            lines.push(whole);
        }
        length += read as u64;
    }
    Ok(begun.map(|begun| (begun, lines, length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::address::Address;
    use crate::snapshot::frontier::Kind;

    #[test]
    fn a_journal_that_was_cut_anywhere_goes_on_with_its_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taking/journal");
        let begun = Begun { plan: "p".to_owned(), unix_ms: 1 };
        let step = |i: u32| Step {
            wanted: Wanted {
                address: Address { host: String::new(), target: format!("/{i}") },
                kind: Kind::Page,
                depth: 0,
            },
            outcome: Outcome::LeftOut(Why::NotFound),
            found: Vec::new(),
            refused: Vec::new(),
        };
        let (mut journal, _, steps) = Journal::<Step>::open(&path, begun.clone()).unwrap();
        assert!(steps.is_empty());
        (0..3).for_each(|i| journal.write(&step(i)).unwrap());
        let whole = std::fs::read(&path).unwrap();
        let head = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in head..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[head..cut].iter().filter(|b| **b == b'\n').count();
            let (mut journal, _, steps) = Journal::open(&path, begun.clone()).unwrap();
            assert_eq!(steps, (0..lines as u32).map(step).collect::<Vec<_>>());
            journal.write(&step(9)).unwrap();
            assert_eq!(Journal::open(&path, begun.clone()).unwrap().2.last(), Some(&step(9)));
        }
        let other = Begun { plan: "q".to_owned(), unix_ms: 1 };
        assert!(Journal::<Step>::open(&path, other).unwrap().2.is_empty(), "another plan begins anew");
        let later = Begun { plan: "q".to_owned(), unix_ms: 1 + AGE_MAX_MS };
        assert_eq!(Journal::<Step>::open(&path, later.clone()).unwrap().1, later, "and so does one too late");
        let now = Begun { unix_ms: 5 + AGE_MAX_MS, ..later };
        let (mut journal, begun, _) = Journal::<Step>::open(&path, now.clone()).unwrap();
        assert_eq!(begun, now, "there is nothing to go on with yet");
        journal.write(&step(1)).unwrap();
        let after = Begun { unix_ms: 9 + AGE_MAX_MS, ..now.clone() };
        assert_eq!(Journal::<Step>::open(&path, after).unwrap().1, now, "what goes on is as old as it is");
    }
}
