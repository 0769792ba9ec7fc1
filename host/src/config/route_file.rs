//! The parts of a route as they are written: files, redirect, split, rewriting, header rules.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::file::Text;

/// Finer shares than one in ten thousand cannot be seen in any traffic.
pub const WEIGHT_LIMIT: u64 = 10_000;

/// The folder of static files that answers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum Files {
    /// The folder, relative to this file.
    Folder(String),
    /// The folder and how its files are served.
    Rules(Box<FileRules>),
}

/// A folder and how its files are served.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileRules {
    /// The folder, relative to this file.
    #[schemars(required, example = &"components/storefront/site")]
    pub folder: Option<String>,
    /// The page of a single-page application, which answers where a browser navigates to no file; none when absent.
    #[schemars(example = &"index.html")]
    pub fallback: Option<String>,
    /// The page that answers, with 404, where there is no file; a page of the gateway when absent.
    #[schemars(example = &"404.html")]
    pub error_page: Option<String>,
    /// Whether a folder without `index.html` is listed; not when absent.
    pub index: Option<bool>,
    /// The files that never change, as their names hold a digest: `*` stands for any characters; none when absent.
    #[schemars(extend("examples" = [["assets/*"]]))]
    pub immutable: Option<Vec<String>>,
    /// The Cache-Control of all others; no-cache when absent, so that copies are used after asking.
    #[schemars(example = &"no-cache")]
    pub cache_control: Option<String>,
}

/// Where clients are sent.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Redirect {
    /// A path or an address; `{name}` is the parameter of the path. The query goes with it.
    #[schemars(required, example = &"https://new.example.com/{rest}")]
    pub to: Option<String>,
    /// 301, 302, 303, 307 or 308; 308 when absent.
    #[schemars(range(min = 301, max = 308))]
    pub status: Option<u64>,
}

/// A service and its share of the requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Share {
    /// The service.
    #[schemars(required, example = &"order")]
    pub service: Option<String>,
    /// Its share in proportion to the others; 1 when absent.
    #[schemars(range(min = 0, max = WEIGHT_LIMIT))]
    pub weight: Option<u64>,
}

/// How the path is changed for the service: one of these.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rewrite {
    /// What is taken away at its begin; the service finds it in `x-forwarded-prefix`.
    #[schemars(example = &"/api")]
    pub strip_prefix: Option<String>,
    /// What is put before it.
    #[schemars(example = &"/v1")]
    pub add_prefix: Option<String>,
    /// What is put in the place of its begin.
    pub replace_prefix: Option<ReplacePrefix>,
    /// What is put in its place; `{name}` is the parameter of the path.
    #[schemars(example = &"/orders/{id}")]
    pub path: Option<String>,
}

/// What is put in the place of a prefix.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReplacePrefix {
    /// The begin of the path.
    #[schemars(required, example = &"/api")]
    pub from: Option<String>,
    /// What is put in its place.
    #[schemars(required, example = &"/v1")]
    pub to: Option<String>,
}

/// What is changed in the header of requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RequestHeaders {
    /// The Host that the service sees; as the client's when absent.
    #[schemars(example = &"orders.example.com")]
    pub host: Option<String>,
    /// Fields that stand in the place of the client's.
    pub set: Option<BTreeMap<String, Text>>,
    /// Fields that stand beside the client's.
    pub add: Option<BTreeMap<String, Text>>,
    /// Names of fields that are taken out, before the others are set and added.
    #[schemars(extend("examples" = [["x-internal"]]))]
    pub remove: Option<Vec<String>>,
}

/// What is changed in the header of responses.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResponseHeaders {
    /// Fields that stand in the place of the service's.
    pub set: Option<BTreeMap<String, Text>>,
    /// Fields that stand beside the service's.
    pub add: Option<BTreeMap<String, Text>>,
    /// Names of fields that are taken out, before the others are set and added.
    #[schemars(extend("examples" = [["server"]]))]
    pub remove: Option<Vec<String>>,
}
