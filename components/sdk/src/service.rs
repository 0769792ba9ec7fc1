//! The one macro that makes a component of a crate.
//!
//! Exports exist in a component only: a linker of the machine that runs the unit tests can not spell their
//! names, `wasi:http/incoming-handler@0.2.12#handle`.

/// Exports a service. Each part may be left out, but a service has `http` or `messages`.
///
/// * `http`: a function that answers the [`Router`](crate::Router);
/// * `messages`: a function that answers the [`Subscriptions`](crate::Subscriptions);
/// * `migrations`: the SQL of the schema in order, for both dialects; or a function from
///   [`Dialect`](crate::Dialect) to `Vec<String>`. An entry that was applied once must never change;
/// * `health`: a function that answers `hostel_sdk::Result<()>`.
///
/// ```
/// use hostel_sdk::{Outcome, Response, Result, Router, Subscriptions};
///
/// hostel_sdk::service! {
///     http: routes,
///     messages: subscriptions,
///     migrations: ["CREATE TABLE seen (id TEXT PRIMARY KEY)"],
///     health: health,
/// }
///
/// fn routes() -> Router {
///     Router::new().get("/", |_| Ok(Response::text(200, "hello")))
/// }
///
/// fn subscriptions() -> Subscriptions {
///     Subscriptions::new().on("order.placed", |_| Ok(Outcome::Done))
/// }
///
/// fn health() -> Result<()> {
///     Ok(())
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! service {
    () => {};
    (http: $routes:path $(, $($rest:tt)*)?) => {
        $crate::__export_http_service!($routes);
        $crate::service! { $($($rest)*)? }
    };
    (messages: $subscriptions:path $(, $($rest:tt)*)?) => {
        $crate::__export_message_handler!($subscriptions);
        $crate::service! { $($($rest)*)? }
    };
    (migrations: [$($sql:expr),* $(,)?] $(, $($rest:tt)*)?) => {
        $crate::__export_migrations!(|_dialect| ::std::vec![$(::std::string::String::from($sql)),*]);
        $crate::service! { $($($rest)*)? }
    };
    (migrations: $migrations:path $(, $($rest:tt)*)?) => {
        $crate::__export_migrations!($migrations);
        $crate::service! { $($($rest)*)? }
    };
    (health: $check:path $(, $($rest:tt)*)?) => {
        $crate::__export_health!($check);
        $crate::service! { $($($rest)*)? }
    };
}

/// The export of `http`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_http_service {
    ($routes:path) => {
        const _: () = {
            use $crate::bindings::http as bindings;
            use $crate::bindings::imports::wasi::http::types::{IncomingRequest, ResponseOutparam};

            static ROUTER: ::std::sync::LazyLock<$crate::Router> = ::std::sync::LazyLock::new($routes);

            // Outside of a component too, so that the compiler sees what is used.
            const _: fn() -> $crate::Router = $routes;

            struct Http;

            impl bindings::exports::wasi::http::incoming_handler::Guest for Http {
                fn handle(request: IncomingRequest, out: ResponseOutparam) {
                    $crate::http::serve(&ROUTER, request, out);
                }
            }

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                bindings::export! { Http with_types_in bindings }
            };
        };
    };
}

/// The export of `messages`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_message_handler {
    ($subscriptions:path) => {
        const _: () = {
            use $crate::bindings::messages as bindings;

            static SUBSCRIPTIONS: ::std::sync::LazyLock<$crate::Subscriptions> =
                ::std::sync::LazyLock::new($subscriptions);

            const _: fn() -> $crate::Subscriptions = $subscriptions;

            struct Messages;

            impl bindings::exports::hostel::service::message_handler::Guest for Messages {
                fn handle(delivery: $crate::Delivery) -> $crate::Outcome {
                    $crate::messaging::handle(&SUBSCRIPTIONS, &delivery)
                }
            }

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                bindings::export! { Messages with_types_in bindings }
            };
        };
    };
}

/// The export of `migrations`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_migrations {
    ($migrations:expr) => {
        const _: () = {
            use $crate::bindings::migrations as bindings;

            const MIGRATIONS: fn($crate::Dialect) -> ::std::vec::Vec<::std::string::String> = $migrations;
            // Outside of a component too, so that the compiler sees what is used.
            const _: fn($crate::Dialect) -> ::std::vec::Vec<::std::string::String> = MIGRATIONS;

            struct Migrations;

            impl bindings::exports::hostel::service::migrations::Guest for Migrations {
                fn migrations(dialect: $crate::Dialect) -> ::std::vec::Vec<::std::string::String> {
                    MIGRATIONS(dialect)
                }
            }

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                bindings::export! { Migrations with_types_in bindings }
            };
        };
    };
}

/// The export of `health`.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_health {
    ($check:path) => {
        const _: () = {
            use $crate::bindings::health as bindings;

            const _: fn() -> $crate::Result<()> = $check;

            struct Health;

            impl bindings::exports::hostel::service::health::Guest for Health {
                fn check() -> ::std::result::Result<(), ::std::string::String> {
                    $crate::logging::install();
                    let outcome: $crate::Result<()> = $check();
                    outcome.map_err(|error| error.to_string())
                }
            }

            #[cfg(target_arch = "wasm32")]
            const _: () = {
                bindings::export! { Health with_types_in bindings }
            };
        };
    };
}
