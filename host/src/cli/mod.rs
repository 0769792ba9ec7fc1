//! The list of commands and their flags.
//!
//! Files in reading order: `args` is what can be typed; `up`, `build`, `check` work on the configuration; `deploy`,
//! `look`, `messages`, `keys`, `token` and `cache` speak to a running host through `client`; `output` prints; all of
//! them run on the `threads`.

mod args;
mod up;
mod build;
mod check;
mod deploy;
mod look;
mod messages;
mod keys;
mod token;
mod cache;
mod client;
mod output;
mod threads;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::{Arguments, Command};
use crate::cli::client::Client;
use crate::runtime::compiler;

/// Runs the command that was typed; 0 good, 1 failed, 2 wrong use.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match threads::start() {
        Ok(runtime) => {
            let result = runtime.block_on(dispatch(arguments));
            // Blocking work that still runs must not hold up the end.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(anyhow::Error::new(error).context("the runtime cannot be started")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::error(&error);
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { config, json, command } = arguments;
    let client = || Client::find(&config);
    match command {
        Command::Up { build } => up::run(&config, build, json).await,
        Command::Build { services } => build::run(&config, &services, json).await,
        Command::Check { schema } => check::run(&config, schema, json).await,
        Command::Deploy { service, file } => deploy::deploy(&client()?, &service, &file, json).await,
        Command::Rollback { service, to } => deploy::roll_back(&client()?, &service, to, json).await,
        Command::Versions { service } => deploy::versions(&client()?, &service, json).await,
        Command::Services => look::services(&client()?, json).await,
        Command::Instances { service } => look::instances(&client()?, service.as_deref(), json).await,
        Command::Routes => look::routes(&client()?, json).await,
        Command::Logs { service, follow, lines } => {
            look::logs(&client()?, &service, follow, lines, json).await
        }
        Command::Cache { what } => cache::run(&client()?, what, json).await,
        Command::Messages { what } => messages::run(&client()?, what, json).await,
        Command::Keys { what } => keys::run(&client()?, what, json).await,
        Command::Token { subject, scopes } => token::run(&client()?, subject, scopes, json).await,
        Command::CompileWorker { wasi } => compiler::work(&wasi),
    }
}
