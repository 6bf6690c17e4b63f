//! The last steps of a snapshot: its pages in smaller forms, then in force.

use std::collections::{HashMap, HashSet};

use super::{Tell, Told};
use crate::clock::Clock;
use crate::snapshot::disk::{Disk, DiskError, Lock};
use crate::snapshot::forms::{self, Budget, Made, RECIPE};
use crate::snapshot::gate::Gate;
use crate::snapshot::journal::{Begun, Formed, Journal};
use crate::snapshot::manifest::{Manifest, Object, Page, Variant};

/// Where it is written down what forms were made.
const JOURNAL: &str = "forms";

/// Makes the smaller forms, one body at a time while the gate lets it, and shows the snapshot from then on.
///
/// # Errors
/// [`DiskError`]
pub async fn published(
    disk: &Disk,
    mut manifest: Manifest,
    lock: &Lock,
    gate: &mut Gate,
    clock: Clock,
    tell: Tell<'_>,
) -> Result<Manifest, DiskError> {
    // What is to stay as it is has no other forms.
    let plain = manifest.pages.iter_mut().filter(|page| page.is_as_it_is());
    plain.for_each(|page| (page.variants, page.recipe) = (Vec::new(), RECIPE));
    let is_formed = |page: &&Page| !page.is_as_it_is();
    let of = manifest.pages.iter().filter(is_formed);
    let of = of.filter_map(|page| Some((&page.object.as_ref()?.hash, page.kind()))).collect::<HashSet<_>>().len();
    let mut before = disk.shown().map(made_before).unwrap_or_default();
    let (mut journal, formed) = journal(disk, clock)?;
    before.extend(formed.into_iter().map(|f| ((f.hash, f.kind), Forms { variants: f.variants, recipe: f.recipe })));
    let (mut made, mut budget): (HashMap<Body, Forms>, _) = (HashMap::new(), Budget::default());
    for page in manifest.pages.iter_mut().filter(|page| is_formed(&&**page)) {
        let Some(object) = page.object.clone() else { continue };
        let body = (object.hash.clone(), page.kind());
        let forms = match (made.get(&body), before.get(&body)) {
            (Some(forms), _) => forms.clone(),
            (None, Some(forms)) if budget.keep(forms.bytes()) => forms.clone(),
            (None, _) => {
                // An AVIF takes a core for seconds: visitors may want it.
                gate.until_quiet(clock).await;
                let forms = make(disk, body.1.clone(), object, &mut budget).await?;
                if forms.recipe == RECIPE {
                    let Forms { variants, recipe } = forms.clone();
                    let line = Formed { hash: body.0.clone(), kind: body.1.clone(), variants, recipe };
                    journal.write(&line).map_err(|error| failed(disk, error))?;
                }
                forms
            }
        };
        (page.variants, page.recipe) = (forms.variants.clone(), forms.recipe);
        made.insert(body, forms);
        tell(&Told::Formed { done: made.len(), of });
    }
    disk.publish(&manifest, lock)?;
    let _ = std::fs::remove_file(disk.taking(JOURNAL));
    Ok(manifest)
}

/// What is made is written down: an AVIF that a kill undid would be another ten minutes.
fn journal(disk: &Disk, clock: Clock) -> Result<(Journal<Formed>, Vec<Formed>), DiskError> {
    let begun = Begun { plan: format!("recipe {RECIPE}"), unix_ms: clock.now().unix_ms };
    let (journal, _, formed) = Journal::open(&disk.taking(JOURNAL), begun).map_err(|error| failed(disk, error))?;
    Ok((journal, formed))
}

fn failed(disk: &Disk, error: std::io::Error) -> DiskError {
    DiskError::Io { path: disk.taking(JOURNAL), error }
}

/// By its hash, and by the media type that it is said to be of: the same bytes may be a picture here, and a download
/// there.
type Body = (String, String);

/// A body's forms, as a page has them.
#[derive(Clone, Default)]
struct Forms {
    variants: Vec<Variant>,
    recipe: u32,
}

impl Forms {
    fn bytes(&self) -> u64 {
        self.variants.iter().map(|variant| variant.object.length).sum()
    }
}

/// What need not be made again.
fn made_before(manifest: Manifest) -> HashMap<Body, Forms> {
    let of = |page: Page| {
        let kind = page.kind();
        Some(((page.object?.hash, kind), Forms { variants: page.variants, recipe: page.recipe }))
    };
    // An older Seawall told a picture's bytes by their hash alone, and gave a download the picture's forms.
    let is_right = |page: &Page| {
        let is_picture = page.kind().starts_with("image/");
        page.recipe == RECIPE && page.variants.iter().all(|variant| is_picture || !variant.form.is_picture())
    };
    manifest.pages.into_iter().filter(|page| is_right(page) && !page.is_as_it_is()).filter_map(of).collect()
}

/// Makes the forms of a body beside the requests.
async fn make(disk: &Disk, kind: String, object: Object, budget: &mut Budget) -> Result<Forms, DiskError> {
    let (disk, mut left) = (disk.clone(), *budget);
    let task = tokio::task::spawn_blocking(move || {
        let (made, is_whole) = forms::of(&kind, &disk.get(&object)?, &mut left);
        let keep = |Made { form, width, body }| Ok(Variant { form, width, object: disk.put(&body)? });
        let variants = made.into_iter().map(keep).collect::<Result<_, DiskError>>()?;
        Ok((Forms { variants, recipe: if is_whole { RECIPE } else { 0 } }, left))
    });
    match task.await {
        Ok(made) => {
            let (forms, left) = made?;
            *budget = left;
            Ok(forms)
        }
        // One that panics over a picture has made nothing of it, and would again.
        Err(_) => Ok(Forms { variants: Vec::new(), recipe: RECIPE }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;
    use crate::snapshot::manifest::PageTags;

    fn text(disk: &Disk) -> Manifest {
        let page = Page {
            host: String::new(),
            target: "/".to_owned(),
            status: 200,
            fields: vec![("content-type".to_owned(), "text/plain".to_owned())],
            object: Some(disk.put("the same again. ".repeat(100).as_bytes()).unwrap()),
            date_unix_ms: 0,
            asked_unix_ms: None,
            tags: PageTags::default(),
            variants: Vec::new(),
            recipe: 0,
        };
        Manifest { id: "1".to_owned(), pages: vec![page], ..Manifest::default() }
    }

    #[tokio::test]
    async fn forms_are_made_while_visitors_need_nothing_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let (lock, clock) = (disk.lock().unwrap(), Clock::start());
        let (busy, told) = watch::channel(Some("people wait".to_owned()));
        let (mut gate, manifest) = (Gate::Told(told), text(&disk));
        let said = parking_lot::Mutex::new(Vec::new());
        let tell = |told: &Told<'_>| said.lock().push(format!("{told:?}"));
        let mut making = Box::pin(published(&disk, manifest.clone(), &lock, &mut gate, clock, &tell));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut making).await.is_err(), "the edge is busy");
        busy.send_replace(None);
        let made = making.await.unwrap();
        assert_eq!(made.pages[0].variants.len(), 3);
        assert_eq!(*said.lock(), ["Formed { done: 1, of: 1 }"]);
        busy.send_replace(Some("people wait".to_owned()));
        let again = published(&disk, manifest, &lock, &mut gate, clock, &tell).await.unwrap();
        assert_eq!(again.pages, made.pages, "what was made is not made again, so nobody is waited for");
    }

    #[tokio::test]
    async fn forms_that_were_made_before_a_kill_are_not_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path());
        let (lock, clock) = (disk.lock().unwrap(), Clock::start());
        let mut manifest = text(&disk);
        let other = disk.put("another one, again. ".repeat(100).as_bytes()).unwrap();
        manifest.pages.push(Page { object: Some(other), ..manifest.pages[0].clone() });
        let (busy, told) = watch::channel(None);
        let mut gate = Gate::Told(told);
        let said = parking_lot::Mutex::new(Vec::new());
        let tell = |told: &Told<'_>| {
            said.lock().push(format!("{told:?}"));
            busy.send_replace(Some("people wait".to_owned()));
        };
        for _ in 0..2 {
            let making = published(&disk, manifest.clone(), &lock, &mut gate, clock, &tell);
            assert!(tokio::time::timeout(Duration::from_secs(1), making).await.is_err(), "broken off after the first");
            assert_eq!(std::mem::take(&mut *said.lock()), ["Formed { done: 1, of: 2 }"], "the second time for nothing");
        }
        disk.publish(&manifest, &lock).unwrap();
        busy.send_replace(None);
        let made = published(&disk, manifest, &lock, &mut gate, clock, &|_| {}).await.unwrap();
        for variant in made.pages.iter().flat_map(|page| &page.variants) {
            disk.get(&variant.object).expect("another snapshot that was shown meanwhile left it");
        }
    }
}
