//! Keeps the crates in their rows, and I/O out of those that promise to do none.

use std::process::Command;

use serde_json::Value;

/// From top to bottom; each crate may use the rows below its own, and nothing else of ours. A crate that is missing
/// here fails the test.
const ROWS: [&[&str]; 5] = [
    &["cardata"],
    &["cardata-server", "cardata-relay", "cardata-bench"],
    &["cardata-store", "cardata-client", "cardata-simulator"],
    &["cardata-contract", "cardata-mqtt"],
    &["cardata-domain"],
];

/// They get the time and random numbers as parameters and bytes from their callers, so that every rule in them is
/// tested without a network.
const SANS_IO: [&str; 4] =
    ["cardata-domain", "cardata-contract", "cardata-mqtt", "cardata-simulator"];

/// Crates that open sockets or files, read the clock or draw randomness, or run tasks that do.
const IO: [&str; 34] = [
    // Runtimes and sockets.
    "tokio",
    "async-std",
    "smol",
    "async-io",
    "mio",
    "polling",
    "socket2",
    "rustls",
    "tokio-rustls",
    "hyper",
    "axum",
    "reqwest",
    "async-nats",
    // Files and databases.
    "sqlx",
    "libsqlite3-sys",
    "rusqlite",
    "redb",
    "fjall",
    "rocksdb",
    "tempfile",
    "memmap2",
    "notify",
    "walkdir",
    // Clocks.
    "chrono",
    "time",
    "iana-time-zone",
    "quanta",
    "coarsetime",
    // Entropy.
    "getrandom",
    "rand_os",
    "fastrand",
    "ring",
    "aws-lc-rs",
    "openssl",
];

#[test]
fn no_crate_uses_its_own_row_or_one_above() {
    let output = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&output).expect("metadata is JSON");
    let mut seen = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        let Some(upper) = ours(&package["name"]) else { continue };
        seen += 1;
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let Some(lower) = ours(&dependency["name"]) else { continue };
            assert!(
                row(upper) < row(lower),
                "`{upper}` may not use `{lower}`: see ARCHITECTURE.md"
            );
        }
    }
    assert!(seen >= 8, "only {seen} of our crates were found");
}

#[test]
fn crates_without_io_depend_on_nothing_that_does_io() {
    for package in SANS_IO {
        let tree = normal_dependencies(package);
        assert!(tree.iter().any(|name| name == package), "`{package}` is not in its own tree");
        for name in &tree {
            assert!(
                !IO.contains(&name.as_str()),
                "`{package}` promises to do no I/O but depends on `{name}`; `cargo tree -p {package} -e normal -i {name}` \
                 shows how"
            );
        }
    }
}

/// The names of the packages that are linked into `package` when it is built alone, without the features that other
/// packages would add.
fn normal_dependencies(package: &str) -> Vec<String> {
    let tree = cargo(&[
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        package,
    ]);
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .output()
        .expect("cargo runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?} failed: {stderr}");
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn ours(name: &Value) -> Option<&str> {
    let above_all = ["cardata-tests", "cardata-fuzz"];
    name.as_str().filter(|name| {
        *name == "cardata" || (name.starts_with("cardata-") && !above_all.contains(name))
    })
}

fn row(name: &str) -> usize {
    ROWS.iter().position(|row| row.contains(&name)).unwrap_or_else(|| panic!("`{name}` has no row"))
}
