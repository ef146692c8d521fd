//! Files in files.

use crate::spoken::options;
use locum::config::Severity;
use locum::config::keepalived::{self, Options};
use std::fs;
use std::path::Path;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn read(folder: &Path) -> (Vec<String>, Vec<String>) {
    let path = folder.join("k.conf");
    let text = fs::read_to_string(&path).unwrap();
    let (document, problems, _) = keepalived::document(&text, &path, &options());
    let names = document.instances.iter().map(|instance| instance.name.get_ref().clone()).collect();
    let short = |text: String| text.replace(&format!("{}/", folder.display()), "");
    (names, problems.iter().map(|problem| short(problem.to_string())).collect())
}

#[test]
fn files_are_included_by_pattern_in_the_order_of_their_names_beside_the_including_file() {
    let folder = folder(&[
        ("k.conf", "include conf.d/*.conf\ninclude \"more/{b,a}.conf\"\n"),
        ("conf.d/2.conf", "vrrp_instance two {\n}\n"),
        ("conf.d/1.conf", "include deep/x\nvrrp_instance one {\n}\n"),
        ("conf.d/deep/x", "vrrp_instance zero {\n}\n"),
        ("conf.d/.hidden.conf", "vrrp_instance hidden {\n}\n"),
        ("more/a.conf", "vrrp_instance a {\n}"),
        ("more/b.conf", "vrrp_instance b {\n}"),
    ]);
    let (names, said) = read(folder.path());
    assert_eq!(names, ["zero", "one", "two", "b", "a"]);
    assert_eq!(said, [""; 0]);
}

#[test]
fn a_block_may_go_on_in_an_included_file_and_problems_name_that_file() {
    let folder = folder(&[
        ("k.conf", "vrrp_instance a {\n include rest\n priority 0\n}\n"),
        ("rest", "# a comment\n prioirty 5\n"),
    ]);
    let (_, said) = read(folder.path());
    assert!(said[0].starts_with("k.conf:3:11: error: priority is \"0\""), "{said:?}");
    assert!(said[1].starts_with("rest:2:2: error: unknown keyword prioirty in vrrp_instance"), "{said:?}");
}

#[test]
fn a_file_that_includes_itself_is_one_clear_error() {
    let circle =
        folder(&[("k.conf", "include other\nvrrp_instance a {\n}\n"), ("other", "include k.conf\n")]);
    let (names, said) = read(circle.path());
    assert_eq!(names, ["a"]);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("other:1:9: error: ") && said[0].contains("includes itself"), "{said:?}");
    let glob = folder(&[("k.conf", "include *.conf\n")]);
    assert_eq!(read(glob.path()).1.len(), 1);
}

#[test]
fn files_that_multiply_are_stopped() {
    let files: Vec<_> = (0..30)
        .map(|level| {
            let next = level + 1;
            (format!("f{level}"), format!("include f{next}\ninclude f{next}\n"))
        })
        .collect();
    let mut all: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    all.extend([("f30", "# end\n"), ("k.conf", "include f0\n")]);
    let (_, said) = read(folder(&all).path());
    assert_eq!(said.len(), 1, "{} problems", said.len());
    assert!(said[0].contains("too many files"), "{said:?}");
}

#[test]
fn each_kind_of_include_minds_what_its_name_says() {
    let cases = [
        ("include none", "warning: there is no file \"none\" to include"),
        ("include none*", ""),
        ("includem none", "error: there is no file \"none\" to include"),
        ("includem none*", ""),
        ("includew none*", "error: there is no file \"none*\" to include"),
        ("includeb {k.conf2,none}", "error: no file is \"none\", which this asks for"),
        ("includer folder/../fifo", "error: cannot read"),
        ("includea none", "error: there is no file"),
        ("include", "error: this includes nothing"),
    ];
    for (line, wanted) in cases {
        let folder = folder(&[("k.conf", line), ("k.conf2", ""), ("folder/x", "")]);
        nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (_, said) = read(folder.path());
        if wanted.is_empty() {
            assert_eq!(said, [""; 0], "{line}");
        } else {
            assert!(said.first().is_some_and(|said| said.contains(wanted)), "{line}: {said:?}");
        }
    }
}

#[test]
fn an_include_in_a_comment_or_for_another_host_includes_nothing() {
    let text = "# include x\n@low include y\n@^high @low include \"z\"\n@high includem nowhere\n";
    let instance = |name| format!("vrrp_instance {name} {{\n}}\n");
    let [x, y, z] = ["x", "y", "z"].map(instance);
    let folder = folder(&[("k.conf", text), ("x", &x), ("y", &y), ("z", &z)]);
    assert_eq!(read(folder.path()), (vec!["y".to_owned(), "z".to_owned()], vec![]));
}

#[test]
fn every_file_may_have_to_be_there() {
    for line in ["include none", "include none*", "include {k.conf,none}.d", "include folder"] {
        let folder = folder(&[("k.conf", line), ("folder/x", "")]);
        let path = folder.path().join("k.conf");
        let strict = Options { all_files: true, lenient: true, ..options() };
        let (_, problems, _) = keepalived::document(line, &path, &strict);
        assert!(
            problems.first().is_some_and(|said| said.severity == Severity::Error),
            "{line}: {problems:?}"
        );
        assert!(keepalived::is_incomplete(&path, &strict), "{line}");
        assert!(!keepalived::is_incomplete(&path, &options()), "{line}");
    }
}
