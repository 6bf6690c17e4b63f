//! The admin listener, and who may do what there.

use std::net::SocketAddr;
use std::path::PathBuf;

/// `[admin]`.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Others than this machine can reach it only where there are tokens.
    pub listen: SocketAddr,
    pub tokens: Vec<Token>,
}

/// `admin.tokens.NAME`: whoever shows the word in the file is NAME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub name: String,
    pub file: PathBuf,
    pub may: Rights,
}

/// What a token may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Right {
    /// Status, metrics, the rooms in numbers.
    Read,
    /// Pins and floors.
    Level,
    /// Changes of waiting rooms.
    Room,
    Purge,
    /// Builds of the snapshot.
    Snapshot,
}

impl Right {
    pub const ALL: [Self; 5] = [Self::Read, Self::Level, Self::Room, Self::Purge, Self::Snapshot];

    /// As the policy writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Level => "level",
            Self::Room => "room",
            Self::Purge => "purge",
            Self::Snapshot => "snapshot",
        }
    }
}

/// Several [`Right`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// Those that are known, and those that later versions add.
    pub const ALL: Self = Self(u8::MAX);

    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | 1 << right as u8)
    }

    /// All of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn has(self, right: Right) -> bool {
        self.0 & 1 << right as u8 != 0
    }

    pub const fn is_all(self) -> bool {
        self.0 == u8::MAX
    }
}
