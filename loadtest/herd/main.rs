//! What the herd needs: an origin that counts, and clients that all ask at once.
//!
//! - `herd origin`: see [`origin`].
//! - `herd ask`: so many connections are opened, then each asks for the same path; JSON of what came.
//! - `herd load`: connections that ask for one page of many after the other; JSON, a line a second.
#![expect(clippy::disallowed_methods, reason = "a load generator measures real time")]

use clap::{Parser, Subcommand};

mod ask;
mod load;
mod origin;
mod wire;

#[derive(Parser, Debug)]
#[command(about = "An origin that counts, and a crowd that asks for the same thing")]
struct Args {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand, Debug)]
enum Role {
    Origin(origin::Args),
    Ask(ask::Args),
    Load(load::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Args::parse().role {
        Role::Origin(args) => origin::run(args).await,
        Role::Ask(args) => ask::run(args).await,
        Role::Load(args) => load::run(args).await,
    }
}
