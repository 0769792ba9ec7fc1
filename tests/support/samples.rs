//! What `/metrics` tells, as numbers.

use super::host::Host;

/// One line of `/metrics`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The labels as they stand in it.
    pub labels: String,
    /// The number.
    pub value: f64,
}

/// The samples of one metric.
pub async fn samples(host: &Host, name: &str) -> Vec<Sample> {
    let text = host.admin().get("/metrics").await.body;
    let text = text.as_str().expect("metrics are text");
    let lines = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // A metric may have no labels.
        let bare = rest.strip_prefix(' ').map(|value| ("", value));
        bare.or_else(|| rest.strip_prefix('{')?.rsplit_once("} "))
    });
    lines.map(|(labels, value)| Sample { labels: labels.into(), value: value.parse().unwrap() }).collect()
}
