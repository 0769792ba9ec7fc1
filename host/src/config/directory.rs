//! Who is in the file: what grants and routes may refer to.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::{DomainName, TopicPattern, default_domain};

use super::file::File;
use super::upstream_file::HttpVersion;

/// The names, domains and publishers of a file, before anything else of it is checked.
#[derive(Debug, Default)]
pub struct Directory {
    /// Every service that the file names, sound or not.
    pub services: BTreeSet<String>,
    /// Those of them that are outside this host.
    pub external: BTreeSet<String>,
    /// Those of these that are asked over HTTP/2 alone.
    pub http2: BTreeSet<String>,
    /// What is published in each domain; a domain that nobody publishes in has an empty list.
    domains: BTreeMap<DomainName, Vec<TopicPattern>>,
    /// Whether a service has a domain or topic that cannot be read, so that the lists may lack something.
    pub is_unclear: bool,
}

impl Directory {
    /// Reads the names; what cannot be read is left out here and refused by the checks of its own service.
    pub fn of(file: &File) -> Self {
        let mut directory = Self { services: file.services.keys().cloned().collect(), ..Self::default() };
        let external = file.services.iter().filter(|(_, service)| service.upstreams.is_some());
        for (name, service) in external {
            directory.external.insert(name.clone());
            if service.http == Some(HttpVersion::Http2) {
                directory.http2.insert(name.clone());
            }
        }
        for service in file.services.values() {
            let domain =
                service.domain.as_ref().map_or_else(|| Ok(default_domain()), |domain| domain.parse());
            let Ok(domain) = domain else {
                directory.is_unclear = true;
                continue;
            };
            let published = directory.domains.entry(domain).or_default();
            for pattern in service.publishes.iter().flatten() {
                match pattern.parse() {
                    Ok(pattern) => published.push(pattern),
                    Err(_) => directory.is_unclear = true,
                }
            }
        }
        directory
    }

    /// The names of all services.
    pub fn services(&self) -> impl Iterator<Item = &str> + Clone {
        self.services.iter().map(String::as_str)
    }

    /// The names of all domains.
    pub fn domains(&self) -> impl Iterator<Item = &str> + Clone {
        self.domains.keys().map(DomainName::as_str)
    }

    /// Whether a service belongs to the domain.
    pub fn has_domain(&self, domain: &DomainName) -> bool {
        self.domains.contains_key(domain)
    }

    /// Whether a service of the domain may publish a topic that the pattern matches.
    pub fn is_published(&self, domain: &DomainName, pattern: &TopicPattern) -> bool {
        self.domains.get(domain).into_iter().flatten().any(|published| overlap(published, pattern))
    }
}

/// Whether a topic exists that both patterns match.
fn overlap(one: &TopicPattern, other: &TopicPattern) -> bool {
    let mut one = one.as_str().split('.');
    let mut other = other.as_str().split('.');
    loop {
        match (one.next(), other.next()) {
            (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (None, _) | (_, None) => return false,
            (Some(word), Some(with)) if word == with || word == "*" || with == "*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_overlap_when_a_topic_matches_both() {
        let check = |one: &str, other: &str, expected: bool| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(&one, &other), expected, "{one} {other}");
            assert_eq!(overlap(&other, &one), expected, "{other} {one}");
        };
        check("order.*", "order.placed", true);
        check("order.*", "*.placed", true);
        check("order.placed", "order.shipped", false);
        check("order.>", "order", false);
        check("order.>", "order.*.eu", true);
        check("order", "order.*", false);
        check(">", "order", true);
    }
}
