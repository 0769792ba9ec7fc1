//! What operators are shown of a route.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::Method;

use crate::config::{RouteConfig, Target};
use crate::names::ServiceName;

/// What stands for any value of a condition.
const ANY: &str = "*";

/// What is shown of a route.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct RouteView {
    /// The host as configured; none for any.
    pub host: Option<String>,
    /// The path pattern.
    pub path: String,
    /// The methods; empty for all.
    pub methods: Vec<String>,
    /// The header fields that a request must have; `*` is any value.
    pub headers: BTreeMap<String, String>,
    /// The parameters that the query must have; `*` is any value.
    pub query: BTreeMap<String, String>,
    /// The service that answers.
    #[schema(value_type = Option<String>)]
    pub service: Option<ServiceName>,
    /// The weights of the services that answer, where there are several.
    pub split: BTreeMap<String, u32>,
    /// Where clients are sent.
    pub redirect: Option<String>,
    /// The folder of files that answers.
    #[schema(value_type = Option<String>)]
    pub files: Option<PathBuf>,
    /// The line in gateway.toml.
    pub line: usize,
}

impl From<&RouteConfig> for RouteView {
    fn from(config: &RouteConfig) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = config.conditions.headers.iter().map(|(name, value)| {
            (name.to_string(), value.as_ref().map_or_else(|| ANY.to_owned(), |value| text(value.as_bytes())))
        });
        let query = config.conditions.query.iter();
        let query =
            query.map(|(name, value)| (name.clone(), value.clone().unwrap_or_else(|| ANY.to_owned())));
        let mut view = Self {
            host: config.host.clone(),
            path: config.path.clone(),
            methods: config.methods.iter().map(Method::to_string).collect(),
            headers: headers.collect(),
            query: query.collect(),
            service: None,
            split: BTreeMap::new(),
            redirect: None,
            files: None,
            line: config.line,
        };
        match &config.target {
            Target::Service(name) => view.service = Some(name.clone()),
            Target::Split(split) => {
                let shares = split.shares.iter().map(|share| (share.service.to_string(), share.weight));
                view.split = shares.collect();
            }
            Target::Redirect(redirect) => view.redirect = Some(redirect.shown.clone()),
            Target::Files(files) => view.files = Some(files.folder.clone()),
        }
        view
    }
}
