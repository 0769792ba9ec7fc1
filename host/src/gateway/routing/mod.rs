//! Which route a request takes: by host, path, method, header and query.
//!
//! Knows nothing of what a route then does. Files in reading order: `host` and `path` bring what was sent into the
//! form in which it is compared; `condition` asks for headers and queries; `route` finds; `view` shows the routes to
//! operators.

pub mod host;
pub mod path;
pub mod condition;
mod route;
mod view;

pub use self::route::{Action, Route, RouteError, Routes};
pub use self::view::RouteView;
