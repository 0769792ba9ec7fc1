//! What can be typed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::runtime::compiler::WORKER_COMMAND;

/// Runs a whole microservice system in one process: each service a sandboxed WebAssembly component, behind one API
/// gateway.
#[derive(Debug, Parser)]
#[command(name = "hostel", version, propagate_version = true, arg_required_else_help = true)]
pub struct Arguments {
    /// The configuration of the host.
    #[arg(long, short, global = true, default_value = "gateway.toml", value_name = "FILE")]
    pub config: PathBuf,

    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub json: bool,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// One verb.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway and all services; builds components that are missing.
    #[command(after_help = "Example:\n  hostel up\n  hostel --config shop/gateway.toml up --build")]
    Up {
        /// Run every build command first, not only those whose component is missing.
        #[arg(long)]
        build: bool,
    },
    /// Run the build commands; adds the Rust target of components when it is missing.
    #[command(after_help = "Example:\n  hostel build\n  hostel build order stock")]
    Build {
        /// The services to build; all when none is named.
        services: Vec<String>,
    },
    /// Validate gateway.toml and every component against it; runs nothing.
    #[command(after_help = "Example:\n  hostel check\n  hostel check --schema > gateway.schema.json")]
    Check {
        /// Print the JSON Schema of gateway.toml instead.
        #[arg(long)]
        schema: bool,
    },
    /// Deploy a component to a service of the running host.
    #[command(after_help = "Example:\n  hostel deploy order target/wasm32-wasip2/release/order.wasm")]
    Deploy {
        /// The service.
        service: String,
        /// The component, a .wasm file.
        file: PathBuf,
    },
    /// Let an earlier version of a service answer again.
    #[command(after_help = "Example:\n  hostel rollback order\n  hostel rollback order --to v3")]
    Rollback {
        /// The service.
        service: String,
        /// The version, such as v3; the one before the active one when absent.
        #[arg(long, value_name = "VERSION", value_parser = version_number)]
        to: Option<u32>,
    },
    /// List the versions of a service.
    #[command(after_help = "Example:\n  hostel versions order")]
    Versions {
        /// The service.
        service: String,
    },
    /// List the services, and how they are.
    #[command(after_help = "Example:\n  hostel services\n  hostel services --json")]
    Services,
    /// List the instances.
    #[command(after_help = "Example:\n  hostel instances\n  hostel instances order")]
    Instances {
        /// Those of one service; all when absent.
        service: Option<String>,
    },
    /// List the routes of the gateway.
    #[command(after_help = "Example:\n  hostel routes")]
    Routes,
    /// Show the last lines of a service's log.
    #[command(
        after_help = "Example:\n  hostel logs order\n  hostel logs order -f\n  hostel logs order -n 20"
    )]
    Logs {
        /// The service.
        service: String,
        /// Go on with new lines.
        #[arg(long, short)]
        follow: bool,
        /// How many lines.
        #[arg(long, short = 'n')]
        lines: Option<usize>,
    },
    /// Throw away responses that the gateway has kept.
    #[command(after_help = "Example:\n  hostel cache purge\n  hostel cache purge --tag prices")]
    Cache {
        /// What to do.
        #[command(subcommand)]
        what: Cache,
    },
    /// Topics, backlogs and dead letters.
    #[command(
        after_help = "Example:\n  hostel messages\n  hostel messages dead\n  hostel messages again shop 12"
    )]
    Messages {
        /// What about them; topics and backlogs when absent.
        #[command(subcommand)]
        what: Option<Messages>,
    },
    /// API keys of callers: make, list, revoke.
    #[command(
        after_help = "Example:\n  hostel keys add partner --scope orders --expires 90d\n  hostel keys list"
    )]
    Keys {
        /// What about them.
        #[command(subcommand)]
        what: Keys,
    },
    /// Print a token of the identity provider that runs here, for calls of your own; it counts for five minutes.
    #[command(
        after_help = "Example:\n  curl -H \"authorization: Bearer $(hostel token --scope shop)\" http://127.0.0.1:8080/api/orders"
    )]
    Token {
        /// Whom it stands for; you, the operator, when absent.
        #[arg(long, value_name = "SUBJECT")]
        subject: Option<String>,
        /// What it allows; once for each scope.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
    },
    /// Compile a component from standard input; the host calls itself so.
    #[command(hide = true, name = WORKER_COMMAND)]
    CompileWorker {
        /// The generation of WASI.
        wasi: String,
    },
}

/// What about messages.
#[derive(Debug, Subcommand)]
pub enum Messages {
    /// Topics and backlogs of every domain.
    #[command(after_help = "Example:\n  hostel messages list")]
    List,
    /// List the dead letters.
    #[command(after_help = "Example:\n  hostel messages dead\n  hostel messages dead --service order")]
    Dead {
        /// Those of one service.
        #[arg(long)]
        service: Option<String>,
    },
    /// Show one dead letter.
    #[command(after_help = "Example:\n  hostel messages show order-management 12")]
    Show {
        /// The domain.
        domain: String,
        /// Its number.
        number: i64,
    },
    /// Send a dead letter to its service again.
    #[command(after_help = "Example:\n  hostel messages again order-management 12")]
    Again {
        /// The domain.
        domain: String,
        /// Its number.
        number: i64,
    },
}

/// What about API keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Make a key and show it, this one time.
    #[command(after_help = "Example:\n  hostel keys add partner --scope orders --scope stock --expires 90d")]
    Add {
        /// Whom it stands for: the subject that services see.
        name: String,
        /// What its holder may; once for each scope.
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How long it counts, such as 90d or 12h; until it is revoked when absent.
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// List the keys.
    #[command(after_help = "Example:\n  hostel keys list")]
    List,
    /// Let a key count no more, at once.
    #[command(after_help = "Example:\n  hostel keys revoke 4f0aQz81Lm2p")]
    Revoke {
        /// Its id.
        id: String,
    },
}

/// What to do with kept responses.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Throw away all of them, or those under a path or with a tag.
    #[command(
        after_help = "Example:\n  hostel cache purge\n  hostel cache purge --path '/api/stock/*'\n  hostel cache purge --tag prices"
    )]
    Purge {
        /// The path; `*` at its end means all that begin so.
        #[arg(long)]
        path: Option<String>,
        /// A tag of their Surrogate-Key field.
        #[arg(long)]
        tag: Option<String>,
    },
}

fn version_number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix('v').unwrap_or(text);
    digits.parse().map_err(|_| "a version is written v3 or 3".to_owned())
}
