//! `Runtime`: compile a component, make instances of it, call them.
//!
//! Knows nothing of services, versions or traffic. Files in reading order: `engine` is the one wasmtime engine;
//! `digest` names components; `compile` makes and caches machine code; `imports` checks what a component wants
//! against what it is granted; `blueprint` is a linked component; `instance` is one sandbox and its calls;
//! `driven` is a call to which somebody listens; `response` guards a response body until the call has ended well; `failure` says why it did not.

pub mod engine;
pub mod digest;
pub mod compile;
pub mod imports;
pub mod blueprint;
pub mod instance;
pub mod driven;
pub mod response;
pub mod failure;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use wasmtime::component::{Component, Linker};

use crate::interfaces::guest::GuestState;
use crate::interfaces::service::ServiceContext;
use crate::runtime::blueprint::Blueprint;
use crate::runtime::compile::{CompileCache, Compiled};
use crate::runtime::digest::Digest;
use crate::runtime::engine::GuestEngine;

/// The engine, its linker and its cache of machine code; cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    engine: GuestEngine,
    linker: Arc<Linker<GuestState>>,
    cache: CompileCache,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The bytes are no component.
    #[error("it is no WebAssembly component: {0}")]
    Malformed(String),
    /// Its imports or exports do not fit.
    #[error("{0}")]
    Mismatch(#[from] imports::Mismatch),
    /// An interface has another shape than this host's.
    #[error("it does not fit the interfaces of this host: {0}")]
    Shape(String),
    /// Compiling was interrupted.
    #[error("compiling was interrupted: {0}")]
    Interrupted(String),
}

impl Runtime {
    /// Makes the engine, and opens the cache of machine code below `folder`.
    ///
    /// # Errors
    ///
    /// When this machine cannot run the engine, or the folder cannot be made.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let engine = GuestEngine::new().map_err(io::Error::other)?;
        let mut linker = Linker::new(engine.engine());
        crate::interfaces::add_to_linker(&mut linker).map_err(io::Error::other)?;
        let cache = CompileCache::open(folder, engine.engine())?;
        Ok(Self { engine, linker: Arc::new(linker), cache })
    }

    /// Compiles a component, or takes it from the cache; never on the threads that serve requests.
    ///
    /// # Errors
    ///
    /// When the bytes are no component.
    pub async fn compile(&self, digest: Digest, bytes: Arc<[u8]>) -> Result<Compiled, ComponentError> {
        let (cache, engine) = (self.cache.clone(), self.engine.engine().clone());
        let compile = move || cache.compile(&engine, &digest, &bytes);
        match tokio::task::spawn_blocking(compile).await {
            Ok(Ok(compiled)) => Ok(compiled),
            Ok(Err(error)) => Err(ComponentError::Malformed(format!("{error:#}"))),
            Err(error) => Err(ComponentError::Interrupted(error.to_string())),
        }
    }

    /// Removes machine code of all components but these.
    pub async fn sweep(&self, kept: HashSet<Digest>) {
        let cache = self.cache.clone();
        // Code that stays costs space only.
        let _ = tokio::task::spawn_blocking(move || cache.sweep(&kept)).await;
    }

    /// Checks imports and exports against the grants, and links the component.
    ///
    /// # Errors
    ///
    /// When something does not fit, in words.
    pub fn link(
        &self,
        component: &Component,
        context: Arc<ServiceContext>,
    ) -> Result<Blueprint, ComponentError> {
        imports::check(self.engine.engine(), component, &context.config)?;
        let linked = self
            .linker
            .instantiate_pre(component)
            .map_err(|error| ComponentError::Shape(format!("{error:#}")))?;
        Ok(Blueprint::new(self.engine.clone(), context, linked))
    }

    /// Checks a component against a service's grants without running it.
    ///
    /// # Errors
    ///
    /// When something does not fit, in words.
    pub fn check(
        &self,
        component: &Component,
        config: &crate::config::ServiceConfig,
    ) -> Result<(), ComponentError> {
        imports::check(self.engine.engine(), component, config)?;
        let shape = |error: wasmtime::Error| ComponentError::Shape(format!("{error:#}"));
        self.linker.instantiate_pre(component).map(drop).map_err(shape)
    }
}
