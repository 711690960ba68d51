//! Keeps the front door honest: the commands of the README and the files that ARCHITECTURE.md names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cardata_tests::{read, root};

use serde_json::Value;

#[test]
fn the_readme_asks_for_two_commands_and_no_more() {
    let readme = read("README.md");
    // Examples that need something else first go into ```text or ```console blocks.
    assert_eq!(commands(&readme), ["cargo run --release -- dev", "./scripts/test"]);
}

#[test]
fn cargo_run_has_one_binary_to_choose_from() {
    let output = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    // Those that a plain `cargo run` looks at.
    let members = metadata["workspace_default_members"].as_array().expect("default members");
    let binaries: Vec<_> = packages
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .flat_map(|package| package["targets"].as_array().expect("targets"))
        .filter(|target| target["kind"][0] == "bin")
        .map(|target| target["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(binaries, ["cardata"], "`cargo run` must not ask which one");
}

#[test]
fn the_test_command_is_there_and_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    for script in ["scripts/test", ".ci/run"] {
        let mode = fs::metadata(root().join(script)).expect(script).permissions().mode();
        assert!(mode & 0o111 != 0, "{script} is not executable");
    }
}

#[test]
fn every_file_that_architecture_md_names_exists() {
    let text = read("ARCHITECTURE.md");
    let named = named_files(&text);
    assert!(named.len() >= 10, "it names only {named:?}; does it lead anywhere?");
    let missing: Vec<_> = named.into_iter().filter(|name| !exists(name)).collect();
    assert_eq!(missing, Vec::<String>::new(), "named by ARCHITECTURE.md, but not there");
}

#[test]
fn every_link_between_documents_leads_to_a_file() {
    for document in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"] {
        let text = read(document);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets {
            let path = target.split('#').next().unwrap_or_default();
            let elsewhere = path.is_empty() || target.contains("://");
            assert!(elsewhere || root().join(path).exists(), "{document} links to {target}");
        }
    }
}

#[test]
fn every_section_of_the_wire_that_a_comment_cites_is_there() {
    let wire = read("docs/reference/wire.md");
    let is_there =
        |section: &str| wire.lines().any(|line| line.starts_with(&format!("## {section} ")));
    let mut sources = Vec::new();
    collect_sources(&root().join("crates"), &mut sources);
    let mut seen = 0;
    for path in sources {
        let source = fs::read_to_string(&path).expect("a readable source");
        for section in cited_sections(&source) {
            seen += 1;
            assert!(is_there(section), "{}: wire.md has no §{section}", path.display());
        }
    }
    assert!(seen >= 20, "only {seen} citations were found");
}

/// The sections after each `wire §`: one, several as in `§1.2, §1.9`, or a span as in `§1.2 to §1.7`.
fn cited_sections(source: &str) -> Vec<&str> {
    let mut sections = Vec::new();
    for mut rest in source.split("wire §").skip(1) {
        loop {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            sections.push(rest[..end].trim_end_matches('.'));
            let further =
                [", §", " to §", " and §"].iter().find_map(|joint| rest[end..].strip_prefix(joint));
            let Some(further) = further else { break };
            rest = further;
        }
    }
    sections
}

fn collect_sources(folder: &Path, sources: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
}

/// The commands in the text's blocks of kind `sh`: their lines without comments and empty ones.
fn commands(markdown: &str) -> Vec<&str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside && line.trim() == "```sh";
        } else if inside && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            commands.push(line.trim());
        }
    }
    commands
}

/// What stands in backticks and is the name of a file or folder: it ends in `.rs`, or it has a slash and begins with
/// a folder that this project has. Topics, routes and media types have slashes, too, but begin otherwise.
fn named_files(markdown: &str) -> Vec<String> {
    let spans = markdown.split('`').skip(1).step_by(2);
    spans
        .filter(|span| {
            let first = span.split('/').next().unwrap_or_default();
            let in_a_folder =
                span.contains('/') && !first.is_empty() && root().join(first).is_dir();
            let one_word = !span.contains(char::is_whitespace);
            one_word
                && (Path::new(span).extension().is_some_and(|extension| extension == "rs")
                    || in_a_folder)
        })
        .map(str::to_owned)
        .collect()
}

/// Whether `name` is a path from the root, or, without a slash, the name of a source file somewhere.
fn exists(name: &str) -> bool {
    if name.contains('/') {
        root().join(name).exists()
    } else {
        is_in(&root().join("crates"), name)
    }
}

fn is_in(folder: &Path, name: &str) -> bool {
    let entries = fs::read_dir(folder).expect("a readable folder");
    entries.map(|entry| entry.expect("a readable entry").path()).any(|path| {
        if path.is_dir() {
            is_in(&path, name)
        } else {
            path.file_name().is_some_and(|file| file == name)
        }
    })
}

#[test]
fn commands_are_the_lines_of_sh_blocks_only() {
    let markdown = "```sh\n# first\nmake it\n\n```\ntext\n```text\nnot this\n```\n  ```sh\n  and this\n  ```\n";
    assert_eq!(commands(markdown), ["make it", "and this"]);
}

#[test]
fn named_files_are_paths_and_not_topics_or_routes() {
    let markdown = "`crates/x/y.rs` `{gcid}/{vin}` `/customers/vehicles` `application/json` `session.rs` `let x` `tests/a`";
    assert_eq!(named_files(markdown), ["crates/x/y.rs", "session.rs", "tests/a"]);
}

#[test]
fn cited_sections_are_read_alone_in_lists_and_in_spans() {
    let source = "of wire §1.2 to §1.7. (wire §4.4, §4.7) wire §4: and §9 elsewhere";
    assert_eq!(cited_sections(source), ["1.2", "1.7", "4.4", "4.7", "4"]);
}
