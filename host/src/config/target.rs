//! Who answers the requests of a route: one of a service, a split, a redirect, a folder of files.

use crate::names::ServiceName;

use super::file;
use super::files::{self, FilesConfig};
use super::grants::Surroundings;
use super::key::Key;
use super::pattern;
use super::redirect::{self, RedirectConfig};
use super::report::Report;
use super::split::{self, SplitConfig};
use super::suggest;

/// Who answers the requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A service of the file.
    Service(ServiceName),
    /// Several services of the file.
    Split(SplitConfig),
    /// Nobody: clients are sent elsewhere.
    Redirect(RedirectConfig),
    /// The static files of a folder; the path of the route ends in `{*rest}`.
    Files(FilesConfig),
}

impl Target {
    /// The services that may answer.
    pub fn services(&self) -> Vec<&ServiceName> {
        match self {
            Self::Service(name) => vec![name],
            Self::Split(split) => split.shares.iter().map(|share| &share.service).collect(),
            Self::Redirect(_) | Self::Files(_) => Vec::new(),
        }
    }
}

/// The names of the services that a route is written for.
pub fn services(written: &file::Route) -> impl Iterator<Item = &String> {
    let shares = written.split.iter().flatten().filter_map(|share| share.service.as_ref());
    written.service.iter().chain(shares)
}

/// Checks who answers; none when nobody does, which is reported.
pub fn check(
    written: &file::Route,
    around: Surroundings<'_>,
    key: &Key,
    report: &mut Report<'_>,
) -> Option<Target> {
    check_lonely(written, key, report)?;
    if written.sticky.is_some() && written.split.is_none() {
        report.refuse(&key.field("sticky"), "take it out: it chooses among the services of a `split`");
    }
    if let Some(service) = &written.service {
        let directory = around.directory;
        if !directory.services.contains(service) {
            let advice = suggest::advise(service, "services", directory.services());
            report.refuse(&key.field("service"), advice);
        }
        // An invalid name of a service that stands in the file is refused there.
        return service.parse().ok().map(Target::Service);
    }
    if let Some(shares) = &written.split {
        let sticky = written.sticky.as_deref();
        return split::check(shares, sticky, around.directory, key, report).map(Target::Split);
    }
    if let Some(redirect) = &written.redirect {
        let pattern = written.path.as_deref().filter(|path| pattern::check(path).is_ok())?;
        return redirect::check(redirect, pattern, &key.field("redirect"), report).map(Target::Redirect);
    }
    let files = written.files.as_ref()?;
    files::check(files, around.folder, &key.field("files"), report).map(Target::Files)
}

/// Exactly one answers.
fn check_lonely(written: &file::Route, key: &Key, report: &mut Report<'_>) -> Option<()> {
    let targets = [
        ("service", written.service.is_some()),
        ("split", written.split.is_some()),
        ("redirect", written.redirect.is_some()),
        ("files", written.files.is_some()),
    ];
    let mut given = targets.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name);
    match (given.next(), given.next()) {
        (Some(_), None) => Some(()),
        (Some(first), Some(second)) => {
            let found = format!("`{second}` beside `{first}`");
            let remedy = "keep one of them: a service, a split, a redirect or a folder of files answers";
            report.refuse_found(&key.field(second), found, remedy);
            None
        }
        (None, _) => {
            // A misspelt key was refused, and it was probably one of these.
            if !report.refused_within(key) {
                let remedy = "add `service = \"NAME\"` or `files = \"FOLDER\"`, or a `redirect` or a `split`";
                report.refuse_found(key, "nobody who answers", remedy);
            }
            None
        }
    }
}
