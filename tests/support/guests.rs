//! Components for the tests, built once a run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("gateway.toml").exists())
        .unwrap()
}

/// The component of a workspace package: one of the shop's services, an example's, or a test guest.
pub fn component(package: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(build_all);
    let file = format!("{}.wasm", package.replace('-', "_"));
    let path = repository().join("target/wasm32-wasip2/release").join(file);
    assert!(path.exists(), "{} was not built", path.display());
    path
}

/// The same with the names of its files and the numbers of their lines.
pub fn component_with_lines(package: &str) -> PathBuf {
    let folder = repository().join("target/lines");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", "wasm32-wasip2", "-p", package]);
    cargo.env("RUSTFLAGS", "-Cstrip=none").env("CARGO_TARGET_DIR", &folder).current_dir(repository());
    let built = cargo.status().unwrap();
    assert!(built.success(), "{package} could not be built");
    folder.join(format!("wasm32-wasip2/release/{package}.wasm"))
}

fn build_all() {
    let packages = [
        "customer",
        "order",
        "payment",
        "stock",
        "warehouse",
        "identity",
        "probe",
        "misbehaving",
        "concurrent",
        "hello",
        "notes",
        "greeter",
        "visitor",
        "worker",
    ];
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--target", "wasm32-wasip2"]).current_dir(repository());
    for package in packages {
        cargo.args(["-p", package]);
    }
    let built = cargo.status().unwrap();
    assert!(built.success(), "the components could not be built");
}
