//! The house rules that a machine can check: which room may depend on which, where SQL and HTTP live, that
//! every path that the documents name exists, and that every licence is one that we may ship.
#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
#![expect(clippy::panic_in_result_fn, reason = "assertions are what a test is for")]

use anyhow::{Context, Result};
use serde_json::Value as Json;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn metadata() -> Result<Json> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()?;
    anyhow::ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The ordinary dependencies of each package, by name.
fn dependencies(metadata: &Json) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let packages = metadata["packages"].as_array().context("packages")?;
    Ok(packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().into_iter().flatten().filter(|d| d["kind"].is_null());
            let names = normal.filter_map(|d| d["name"].as_str()).map(str::to_owned).collect();
            (package["name"].as_str().unwrap_or_default().to_owned(), names)
        })
        .collect())
}

#[test]
fn arrows_between_the_rooms_point_down_only() -> Result<()> {
    let all = dependencies(&metadata()?)?;
    let ours = ["sync-protocol", "questionnaire", "client-core", "field-cli", "server", "fixtures"];
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("sync-protocol", &[][..]),
        ("questionnaire", &["sync-protocol"]),
        ("client-core", &["sync-protocol", "questionnaire"]),
        ("field-cli", &["sync-protocol", "questionnaire", "client-core"]),
        ("server", &["sync-protocol", "questionnaire"]),
        ("fixtures", &["sync-protocol", "questionnaire"]),
    ]);
    for (room, allowed) in allowed {
        let used: Vec<&str> = all[room].iter().map(String::as_str).filter(|name| ours.contains(name)).collect();
        assert!(used.iter().all(|name| allowed.contains(name)), "{room} depends on {used:?}");
    }
    for pure in ["sync-protocol", "questionnaire"] {
        for worldly in ["rusqlite", "actix-web", "reqwest", "tokio", "getrandom", "zstd"] {
            assert!(!all[pure].contains(worldly), "{pure} touches the world by {worldly}");
        }
    }
    Ok(())
}

#[test]
fn every_licence_is_one_that_we_may_ship() -> Result<()> {
    const GOOD: [&str; 14] = [
        "MIT",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "Zlib",
        "Unicode-3.0",
        "Unlicense",
        "0BSD",
        "CC0-1.0",
        "BSL-1.0",
        "MIT-0",
        "CDLA-Permissive-2.0",
        "MPL-2.0",
    ];
    let metadata = metadata()?;
    for package in metadata["packages"].as_array().context("packages")? {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().with_context(|| format!("{name} names no licence"))?;
        // Of alternatives one must do; of those joined by AND each.
        let is_good = |one: &str| {
            let one = one.trim().trim_matches(['(', ')']).split(" WITH ").next().unwrap_or_default().trim();
            GOOD.contains(&one)
        };
        let is_fine = licence
            .replace('/', " OR ")
            .replace(") AND", ") AND ")
            .split(" AND ")
            .all(|part| part.split(" OR ").any(is_good));
        assert!(is_fine, "{name} is licensed under {licence}");
    }
    Ok(())
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" && name != "demo-data" {
                files(&path, ending, found)?;
            }
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    Ok(())
}

fn sources(room: &str) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    files(&root().join(room).join("src"), ".rs", &mut found)?;
    let named = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        Ok((name, std::fs::read_to_string(&path)?))
    };
    found.into_iter().map(named).collect()
}

/// What stands in no file of a room but those whose path holds one of the exceptions.
fn fence(room: &str, words: &[&str], except: &[&str]) -> Result<()> {
    for (name, text) in sources(room)? {
        if except.iter().any(|exception| name.contains(exception)) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in words {
                assert!(!code.contains(word), "{name}:{}: `{word}` does not belong here", number + 1);
            }
        }
    }
    Ok(())
}

#[test]
fn sql_http_clock_and_chance_stay_in_their_modules() -> Result<()> {
    let sql = ["SELECT ", "INSERT ", "UPDATE ", "DELETE FROM", "PRAGMA", "prepare_cached"];
    fence("server", &sql, &["src/store"])?;
    fence("client-core", &sql, &["src/store"])?;
    fence("server", &["actix_web"], &["src/http"])?;
    fence("client-core", &["reqwest"], &["src/transport", "src/lib.rs"])?;
    for pure in ["sync-protocol", "questionnaire"] {
        fence(pure, &["std::fs", "SystemTime", "Instant::now", "std::net", "HashMap", "thread::", "async fn"], &[])?;
    }
    Ok(())
}

#[test]
fn every_path_that_the_documents_name_exists() -> Result<()> {
    let mut documents = Vec::new();
    files(&root(), ".md", &mut documents)?;
    assert!(documents.len() >= 5, "{} documents", documents.len());
    for document in documents {
        let text = std::fs::read_to_string(&document)?;
        for quoted in text.split('`').skip(1).step_by(2) {
            let is_path = quoted.contains('/')
                && quoted.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
                && quoted.split('/').next().is_some_and(|first| root().join(first).exists())
                && !quoted.starts_with('/');
            let beside = document.parent().unwrap().join(quoted);
            assert!(!is_path || root().join(quoted).exists() || beside.exists(), "{}: `{quoted}`", document.display());
        }
    }
    Ok(())
}

#[test]
fn no_source_file_outgrows_one_idea() -> Result<()> {
    for room in ["sync-protocol", "questionnaire", "client-core", "field-cli", "server", "fixtures", "tests"] {
        for (name, text) in sources(room)? {
            let lines = text.lines().count();
            assert!(lines <= 600, "{name} has {lines} lines: which two things is it?");
            assert!(text.starts_with("//!"), "{name} does not say what it owns");
        }
    }
    Ok(())
}
