//! The last steps of a snapshot: its pages in smaller forms, then in force.

use std::collections::HashMap;

use crate::snapshot::disk::{Disk, DiskError, Lock};
use crate::snapshot::forms;
use crate::snapshot::manifest::{Manifest, Variant};

/// Makes the smaller forms, and shows the snapshot from then on.
///
/// # Errors
/// [`DiskError`]
pub async fn published(disk: &Disk, mut manifest: Manifest, lock: &Lock) -> Result<Manifest, DiskError> {
    let mut made: HashMap<String, Vec<Variant>> = disk.shown().map(made_before).unwrap_or_default();
    for page in &mut manifest.pages {
        let kind = page.field("content-type").and_then(|kind| kind.split(';').next());
        let kind = kind.unwrap_or_default().trim().to_ascii_lowercase();
        let Some(object) = page.object.clone() else { continue };
        if let Some(variants) = made.get(&object.hash) {
            page.variants.clone_from(variants);
            continue;
        }
        let (disk, hash) = (disk.clone(), object.hash.clone());
        let task = tokio::task::spawn_blocking(move || {
            let body = disk.get(&object)?;
            let keep = |(form, body): (_, Vec<u8>)| Ok(Variant { form, object: disk.put(&body)? });
            forms::of(&kind, &body).into_iter().map(keep).collect::<Result<Vec<_>, DiskError>>()
        });
        // One that panics over a picture has made nothing of it.
        page.variants = task.await.unwrap_or_else(|_| Ok(Vec::new()))?;
        made.insert(hash, page.variants.clone());
    }
    disk.publish(&manifest, lock)?;
    Ok(manifest)
}

/// What need not be made again.
fn made_before(manifest: Manifest) -> HashMap<String, Vec<Variant>> {
    let pages = manifest.pages.into_iter().filter(|page| !page.variants.is_empty());
    pages.filter_map(|page| Some((page.object?.hash, page.variants))).collect()
}
