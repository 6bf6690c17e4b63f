//! The last steps of a snapshot: its pages in smaller forms, then in force.

use std::collections::HashMap;

use crate::clock::Clock;
use crate::snapshot::disk::{Disk, DiskError, Lock};
use crate::snapshot::forms::{self, Budget, Made, RECIPE};
use crate::snapshot::gate::Gate;
use crate::snapshot::manifest::{Manifest, Object, Page, Variant};

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
) -> Result<Manifest, DiskError> {
    let before = disk.shown().map(made_before).unwrap_or_default();
    let (mut made, mut budget): (HashMap<String, Forms>, _) = (HashMap::new(), Budget::default());
    for page in &mut manifest.pages {
        let Some(object) = page.object.clone() else { continue };
        let forms = match (made.get(&object.hash), before.get(&object.hash)) {
            (Some(forms), _) => forms.clone(),
            (None, Some(forms)) if budget.keep(forms.bytes()) => forms.clone(),
            (None, _) => {
                // An AVIF takes a core for seconds: visitors may want it.
                gate.until_quiet(clock).await;
                make(disk, page.kind(), object.clone(), &mut budget).await?
            }
        };
        (page.variants, page.recipe) = (forms.variants.clone(), forms.recipe);
        made.insert(object.hash, forms);
    }
    disk.publish(&manifest, lock)?;
    Ok(manifest)
}

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
fn made_before(manifest: Manifest) -> HashMap<String, Forms> {
    let of = |page: Page| Some((page.object?.hash, Forms { variants: page.variants, recipe: page.recipe }));
    manifest.pages.into_iter().filter(|page| page.recipe == RECIPE).filter_map(of).collect()
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
        let (tell, told) = watch::channel(false);
        let (mut gate, manifest) = (Gate::Told(told), text(&disk));
        let mut making = Box::pin(published(&disk, manifest.clone(), &lock, &mut gate, clock));
        assert!(tokio::time::timeout(Duration::from_millis(50), &mut making).await.is_err(), "the edge is busy");
        tell.send_replace(true);
        let made = making.await.unwrap();
        assert_eq!(made.pages[0].variants.len(), 3);
        tell.send_replace(false);
        let again = published(&disk, manifest, &lock, &mut gate, clock).await.unwrap();
        assert_eq!(again.pages, made.pages, "what was made is not made again, so nobody is waited for");
    }
}
