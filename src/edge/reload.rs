//! Reload: a new policy for the requests to come, or none at all and a reason.

use std::sync::Arc;

use super::{Edge, EdgeError, keepers, overrides, pass_keys, scan_snapshot, servers};
use crate::admin::Tokens;
use crate::pipeline::origin::Origin;
use crate::pipeline::site::{Parts, Site};
use crate::policy::diagnose::Findings;
use crate::policy::{Policy, file};

/// What a reload came to.
pub struct Reloaded {
    pub warnings: Findings,
    /// Keys that changed and take effect only after a restart.
    pub needs_restart: Vec<&'static str>,
}

impl Edge {
    /// Reads the policy file again. Requests on their way keep the policy they began with.
    ///
    /// # Errors
    /// [`EdgeError`]: nothing has changed then.
    pub async fn reload(&self) -> Result<Reloaded, EdgeError> {
        let reloaded = self.try_reload().await;
        let outcome = if reloaded.is_ok() { "ok" } else { "failed" };
        let telemetry = &self.door.site.load().telemetry;
        telemetry.reloads.get_or_create(&crate::telemetry::OutcomeLabel { outcome }).inc();
        reloaded
    }

    async fn try_reload(&self) -> Result<Reloaded, EdgeError> {
        let (mut policy, warnings) = file::load(&self.policy_file).map_err(|e| EdgeError::Policy(Box::new(e)))?;
        let before = self.door.site.load_full();
        let needs_restart = keep_what_needs_restart(&mut policy, &before.policy);
        for tls in &policy.tls {
            crate::front::tls::load(tls)
                .map_err(|error| EdgeError::Tls { name: tls.name.clone(), error: Box::new(error) })?;
        }
        let snapshot = scan_snapshot(&policy)?;
        let passes = pass_keys(&policy)?;
        let tokens = Tokens::read(&policy.admin.tokens)?;
        let rooms = {
            let mut keepers = self.rooms.lock();
            keepers::open_rooms(&policy, &mut keepers, &self.keys, self.clock)?
        };
        // From here on nothing fails.
        let now = self.clock.now();
        self.tokens.store(Arc::new(tokens));
        for tls in &policy.tls {
            self.read_certificates(tls);
        }
        let _ = self.door.addresses.refresh(servers(&policy)).await;
        keepers::warn_of_what_is_over(&policy, now);
        let telemetry = before.telemetry.clone();
        let (keys, seed) = (self.keys.clone(), before.seed());
        let parts = Parts { clock: self.clock, telemetry, snapshot, rooms, passes, keys, seed };
        let site = Arc::new(Site::bind(policy, Some(&before), parts));
        for room in site.rooms().iter().filter(|room| before.room_named(room.name()).is_none()) {
            overrides::restore_room(&site, room, &self.orders, now);
        }
        let is_new = |origin: &&Arc<Origin>| before.origins().iter().all(|known| known.name != origin.name);
        site.origins().iter().filter(is_new).for_each(|origin| self.levels.restore(origin, now));
        self.door.site.store(site);
        self.keep_rooms();
        Ok(Reloaded { warnings, needs_restart })
    }
}

/// Sockets, threads, keys and logs are taken once, at start: their old values stay in force and in
/// the policy that is shown.
fn keep_what_needs_restart(new: &mut Policy, old: &Policy) -> Vec<&'static str> {
    let mut changed = Vec::new();
    let listens = |p: &Policy| p.edge.listen.iter().map(|l| (l.address, l.tls)).collect::<Vec<_>>();
    if listens(new) != listens(old) || new.tls.iter().map(|t| &t.name).ne(old.tls.iter().map(|t| &t.name)) {
        changed.push("edge.listen");
        new.edge.listen.clone_from(&old.edge.listen);
        new.tls.clone_from(&old.tls);
    }
    if new.edge.threads != old.edge.threads {
        changed.push("edge.threads");
        new.edge.threads = old.edge.threads;
    }
    if new.admin.listen != old.admin.listen {
        changed.push("admin.listen");
        new.admin.listen = old.admin.listen;
    }
    if new.keys_file != old.keys_file {
        changed.push("keys.file");
        new.keys_file.clone_from(&old.keys_file);
    }
    if new.state_dir != old.state_dir {
        changed.push("state.dir");
        new.state_dir.clone_from(&old.state_dir);
    }
    if new.log.access != old.log.access || new.log.format != old.log.format {
        changed.push("log");
        new.log = old.log.clone();
    }
    changed
}
