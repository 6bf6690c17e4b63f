//! Who is who, as the policy says it.

use std::path::PathBuf;

use ipnet::IpNet;

/// `[clients.NAME]`: a group that other rules refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    pub name: String,
    /// Apart from each other and in order, for [`crate::clients::holds_address`].
    pub networks: Vec<IpNet>,
    /// `passes`: the file of the key that signs links which make a browser one of the group; made
    /// on first run.
    pub passes: Option<PathBuf>,
}
