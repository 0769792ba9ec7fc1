//! A folder with everything in it that must not be served.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;

use super::*;

/// A folder with a page, a dot file, links inside and outside, a socket and a FIFO.
fn site(name: &str) -> PathBuf {
    let base = std::env::temp_dir().join(format!("hostel-files-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&base);
    let root = base.join("site");
    fs::create_dir_all(root.join("docs")).unwrap();
    fs::create_dir_all(root.join("empty")).unwrap();
    fs::create_dir_all(root.join(".git")).unwrap();
    for (file, text) in [
        ("../secret", "secret"),
        ("index.html", "index.html"),
        ("docs/index.html", "docs/index.html"),
        ("a b.txt", "a b.txt"),
        ("a b.txt.gz", "a b.txt.gz"),
        ("a b.txt.br", "a b.txt.br"),
        (".env", "secret"),
        (".git/config", "secret"),
        ("plain.txt", "plain.txt"),
    ] {
        fs::write(root.join(file), text).unwrap();
    }
    for (to, link) in [
        (base.join("secret"), "outside"),
        (base.join("secret"), "plain.txt.br"),
        (base.clone(), "up"),
        (root.join(".env"), "env"),
        (root.join("loop"), "loop"),
        (PathBuf::from("plain.txt"), "inside"),
        (PathBuf::from("/dev/zero"), "zero"),
    ] {
        symlink(to, root.join(link)).unwrap();
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), Mode::RUSR | Mode::WUSR).unwrap();
    drop(std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap());
    root
}

/// The text of the file, `/` for a folder without its slash, `[]` for a list, or none.
fn reach(root: &Path, path: &str, codings: &[Coding], lists: bool) -> Option<String> {
    let names: Vec<String> = path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    match find(root, &names, path.is_empty() || path.ends_with('/'), codings, lists).unwrap() {
        Place::File(mut open) => {
            let mut text = String::new();
            open.file.read_to_string(&mut text).unwrap();
            Some(text)
        }
        Place::FolderWithoutSlash => Some("/".into()),
        Place::Folder(_) => Some("[]".into()),
        Place::Nothing => None,
    }
}

#[test]
fn only_regular_files_inside_the_folder_are_found() {
    let root = site("find");
    for (path, expected) in [
        ("", "index.html"),
        ("index.html", "index.html"),
        ("docs/", "docs/index.html"),
        ("docs", "/"),
        ("a b.txt", "a b.txt"),
        ("inside", "plain.txt"),
        ("/docs//", "docs/index.html"),
    ] {
        assert_eq!(reach(&root, path, &[], false).as_deref(), Some(expected), "{path}");
    }
    let long = "x".repeat(300);
    for path in [
        "missing",
        "index.html/",
        "index.html/x",
        "empty/",
        "empty",
        "env",
        "outside",
        "up/secret",
        "up/site/index.html/x",
        "loop",
        "socket",
        "fifo",
        "zero",
        &long,
    ] {
        assert_eq!(reach(&root, path, &CODINGS, false), None, "{path}");
    }
    fs::remove_dir_all(root.parent().unwrap()).unwrap();
}

#[test]
fn a_coded_file_is_taken_where_it_lies_inside() {
    let root = site("coded");
    let [br, _, gzip] = CODINGS;
    assert_eq!(reach(&root, "a b.txt", &[br, gzip], false).as_deref(), Some("a b.txt.br"));
    assert_eq!(reach(&root, "a b.txt", &[gzip, br], false).as_deref(), Some("a b.txt.gz"));
    assert_eq!(reach(&root, "a b.txt", &[], false).as_deref(), Some("a b.txt"));
    assert_eq!(reach(&root, "plain.txt", &[br, gzip], false).as_deref(), Some("plain.txt"));
    fs::remove_dir_all(root.parent().unwrap()).unwrap();
}

#[test]
fn what_is_swapped_for_a_link_is_not_opened() {
    let root = site("swapped").canonicalize().unwrap();
    for (path, is_open) in
        [("plain.txt", true), ("inside", false), ("outside", false), ("up/secret", false), ("fifo", false)]
    {
        let opened = open(&root, &root.join(path)).unwrap();
        assert_eq!(opened.is_some(), is_open, "{path}");
    }
    fs::remove_dir_all(root.parent().unwrap()).unwrap();
}

#[test]
fn a_list_has_only_what_is_served() {
    let root = site("list");
    fs::remove_file(root.join("index.html")).unwrap();
    assert_eq!(reach(&root, "", &[], false), None);
    assert_eq!(reach(&root, "empty", &[], true).as_deref(), Some("/"));
    assert_eq!(reach(&root, "empty/", &[], true).as_deref(), Some("[]"));
    assert_eq!(reach(&root, "docs/", &[], true).as_deref(), Some("docs/index.html"));
    let Place::Folder(folder) = find(&root, &[], true, &[], true).unwrap() else { panic!("no list") };
    let names: Vec<&str> = folder.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["docs", "empty", "a b.txt", "a b.txt.br", "a b.txt.gz", "inside", "plain.txt"]);
    assert!(folder.is_root && !folder.is_cut);
    fs::remove_dir_all(root.parent().unwrap()).unwrap();
}
