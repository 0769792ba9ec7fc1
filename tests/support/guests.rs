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
