//! `Runtime`: compile a component, make instances of it, call them.
//!
//! Knows nothing of services, versions or traffic. Files in reading order: `wasi` are its generations, `room` is how many
//! instances of one a machine takes, `engine` makes the wasmtime engines; `digest` names components; `outline` is what
//! is seen of them before `compiler` makes machine code in a process of its own, `compile` caches it; `imports` checks
//! what a component wants against what it is granted; `blueprint` is a linked component; `instance` is one sandbox and
//! its calls, with `handler_p3` for WASI 0.3; `activity` is how far a call has come, `driven` one to which somebody
//! listens; `response` guards a response body, with what is `gathered` and what is `remaining` of it, until the call
//! has ended well; `crowd` are instances that handle several calls at a time; `failure` says why it did not.

pub mod wasi;
pub mod room;
pub mod engine;
pub mod digest;
pub mod outline;
pub mod compiler;
pub mod compile;
pub mod imports;
pub mod blueprint;
pub mod instance;
mod handler_p3;
pub mod activity;
pub mod driven;
pub mod crowd;
mod remaining;
mod gathered;
pub mod response;
pub mod failure;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::Instant;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::config::{DeploysConfig, ServiceConfig};
use crate::interfaces;
use crate::interfaces::guest::GuestState;
use crate::interfaces::service::ServiceContext;
use crate::runtime::blueprint::Blueprint;
use crate::runtime::compile::{CompileCache, Compiled};
use crate::runtime::compiler::{CompileError, Compiler};
use crate::runtime::digest::Digest;
use crate::runtime::engine::GuestEngine;
use crate::runtime::outline::Outline;
use crate::runtime::wasi::Wasi;

/// The engines, their linkers, the compiler and its cache of machine code; cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    p2: Side,
    p3: Side,
    cache: CompileCache,
    compiler: Compiler,
}

/// What runs the components of one generation of WASI.
#[derive(Clone)]
struct Side {
    engine: GuestEngine,
    linker: Arc<Linker<GuestState>>,
}

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The bytes are no component.
    #[error("it is no WebAssembly component: {0}")]
    Malformed(String),
    /// It cannot be compiled within its limits.
    #[error("it cannot be compiled: {0}")]
    Uncompiled(CompileError),
    /// Its imports or exports do not fit.
    #[error("{0}")]
    Mismatch(#[from] imports::Mismatch),
    /// An interface has another shape than this host's.
    #[error("it does not fit the interfaces of this host: {0}")]
    Shape(String),
    /// The host ends, or failed at it.
    #[error("the host did not get to the end of it: {0}")]
    Interrupted(#[from] JoinError),
}

impl From<CompileError> for ComponentError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Malformed(words) => Self::Malformed(words),
            other => Self::Uncompiled(other),
        }
    }
}

impl Runtime {
    /// Makes the engines, and opens the cache of machine code below `folder`; what is not there is compiled within the
    /// limits of `deploys`.
    ///
    /// # Errors
    ///
    /// When this machine cannot run the engines, or the folder cannot be made.
    pub fn new(folder: &Path, deploys: DeploysConfig) -> io::Result<Self> {
        let (p2, p3) = (Side::new(Wasi::P2)?, Side::new(Wasi::P3)?);
        let cache = CompileCache::open(folder, [&p2, &p3].into_iter().map(|side| side.engine.engine()))?;
        Ok(Self { p2, p3, cache, compiler: Compiler::new(deploys) })
    }

    /// The digest of a component.
    ///
    /// # Errors
    ///
    /// When the host ends meanwhile.
    pub async fn digest(bytes: &Bytes) -> Result<Digest, ComponentError> {
        // Aside: a large one takes longer than a request may wait.
        let bytes = bytes.clone();
        Ok(spawn_blocking(move || Digest::of(&bytes)).await?)
    }

    /// Compiles a component, or takes it from the cache; never in this process.
    ///
    /// # Errors
    ///
    /// When the bytes are no component, or compiling reaches a limit.
    pub async fn compile(&self, digest: Digest, bytes: Bytes) -> Result<Compiled, ComponentError> {
        let seen = bytes.clone();
        let outline = spawn_blocking(move || Outline::of(&seen)).await?;
        let wasi = outline.wasi;
        if let Some(component) = self.load(wasi, digest).await {
            return Ok(Compiled { wasi, component, compile_time: None });
        }
        let started = Instant::now();
        let code = self.compiler.compile(outline, &bytes).await?;
        let compile_time = Some(started.elapsed());
        let (cache, engine) = (self.cache.clone(), self.side(wasi).engine.engine().clone());
        let component = spawn_blocking(move || cache.keep(&engine, &digest, &code)).await?;
        let component = component.map_err(|error| ComponentError::Malformed(format!("{error:#}")))?;
        Ok(Compiled { wasi, component, compile_time })
    }

    async fn load(&self, wasi: Wasi, digest: Digest) -> Option<Component> {
        let (cache, engine) = (self.cache.clone(), self.side(wasi).engine.engine().clone());
        spawn_blocking(move || cache.load(&engine, &digest)).await.ok()?
    }

    /// Removes machine code of all components but these.
    pub async fn sweep(&self, kept: HashSet<Digest>) {
        let cache = self.cache.clone();
        // Code that stays costs space only.
        let _ = spawn_blocking(move || cache.sweep(&kept)).await;
    }

    /// Checks imports and exports against the grants, and links the component.
    ///
    /// # Errors
    ///
    /// When something does not fit, in words.
    pub fn link(
        &self,
        compiled: &Compiled,
        context: Arc<ServiceContext>,
    ) -> Result<Blueprint, ComponentError> {
        let linked = self.fit(compiled, &context.config)?;
        let engine = &self.side(compiled.wasi).engine;
        let (most, room) = (context.config.instances.max, engine.room().instances);
        if most > room as usize {
            tracing::warn!(service = %context.config.name, most, room, "{}", room::TOO_SMALL);
        }
        let handles_several = imports::are_told_apart(engine.engine(), &compiled.component);
        Ok(Blueprint::new(engine.clone(), context, linked, handles_several))
    }

    /// Checks a component against a service's grants without running it.
    ///
    /// # Errors
    ///
    /// When something does not fit, in words.
    pub fn check(&self, compiled: &Compiled, config: &ServiceConfig) -> Result<(), ComponentError> {
        self.fit(compiled, config).map(drop)
    }

    /// The same, and that it has every function that the host would call; a deploy looks at that once it has started.
    ///
    /// # Errors
    ///
    /// When something does not fit, in words.
    pub fn check_all(&self, compiled: &Compiled, config: &ServiceConfig) -> Result<(), ComponentError> {
        let linked = self.fit(compiled, config)?;
        blueprint::check_exports(&linked).map_err(|error| ComponentError::Shape(format!("{error:#}")))
    }

    fn fit(
        &self,
        compiled: &Compiled,
        config: &ServiceConfig,
    ) -> Result<InstancePre<GuestState>, ComponentError> {
        let Side { engine, linker } = self.side(compiled.wasi);
        imports::check(engine.engine(), &compiled.component, config)?;
        let shape = |error: wasmtime::Error| ComponentError::Shape(format!("{error:#}"));
        linker.instantiate_pre(&compiled.component).map_err(shape)
    }

    fn side(&self, wasi: Wasi) -> &Side {
        match wasi {
            Wasi::P2 => &self.p2,
            Wasi::P3 => &self.p3,
        }
    }
}

impl Side {
    fn new(wasi: Wasi) -> io::Result<Self> {
        let engine = GuestEngine::new(wasi).map_err(io::Error::other)?;
        let mut linker = Linker::new(engine.engine());
        interfaces::add_to_linker(&mut linker).map_err(io::Error::other)?;
        if wasi == Wasi::P3 {
            interfaces::add_p3_to_linker(&mut linker).map_err(io::Error::other)?;
        }
        Ok(Self { engine, linker: Arc::new(linker) })
    }
}
