//! A small client for the admin API, shared by the commands.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use reqwest::{Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;

use crate::admin::problem::Problem;
use crate::admin::token::{address_path, token_path};
use crate::config;

/// Speaks to the running host of a configuration.
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// Finds address and token of the host in its storage folder.
    ///
    /// # Errors
    ///
    /// When there is no configuration, or its host has never run.
    pub fn find(config: &Path) -> anyhow::Result<Self> {
        let storage = config::storage_of(config).map_err(|reason| anyhow!(reason))?;
        let address = read(address_path(&storage))?;
        let token = read(token_path(&storage))?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { http, base: format!("http://{}", address.trim()), token: token.trim().to_owned() })
    }

    /// Asks for JSON.
    ///
    /// # Errors
    ///
    /// When the host does not run or refuses.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.json(self.request(Method::GET, path)).await
    }

    /// Sends a request and reads its JSON.
    ///
    /// # Errors
    ///
    /// When the host does not run or refuses.
    pub async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let response = self.send(request).await?;
        response
            .json()
            .await
            .context("the answer of the host cannot be read: is the command of the same version?")
    }

    /// Sends a request.
    ///
    /// # Errors
    ///
    /// When the host does not run or refuses.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let response = request.send().await.map_err(|error| match error.is_connect() {
            true => anyhow!("no host answers at {}: start it with `hostel up`", self.base),
            false => anyhow::Error::new(error).context(format!("{} broke off", self.base)),
        })?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        match response.json::<Problem>().await {
            Ok(problem) => bail!(problem.detail),
            Err(_) => bail!("the host answered {status}"),
        }
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }
}

fn read(path: PathBuf) -> anyhow::Result<String> {
    fs::read_to_string(&path).with_context(|| {
        format!("{} cannot be read: has this host been started with `hostel up`?", path.display())
    })
}
