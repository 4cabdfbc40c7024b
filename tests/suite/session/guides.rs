//! The pages of the documentation name tests that there are.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of all functions below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap_or_default();
        for rest in source.split("fn ").skip(1) {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            names.insert(rest[..end.unwrap_or(0)].to_owned());
        }
    }
}

#[test]
fn every_requirement_of_the_asvs_table_names_a_test_that_exists_or_says_whose_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    functions(&root.join("tests/suite"), &mut names);
    functions(&root.join("src/session"), &mut names);
    let page = fs::read_to_string(root.join("src/session/guides/asvs.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| 7.") || line.starts_with("| 3."));
    let mut requirements = 0;
    for row in rows {
        let columns: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, requirement, mechanism, tests, _] = columns[..] else {
            panic!("{row}");
        };
        requirements += 1;
        let tests: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        for test in &tests {
            let name = test.rsplit("::").next().unwrap();
            assert!(
                names.contains(name),
                "{requirement}: there is no test {test}"
            );
        }
        let is_the_applications = mechanism.starts_with("the application's");
        assert!(!tests.is_empty() || is_the_applications, "{requirement}");
    }
    // 7.1.1 to 7.6.2, and 3.3.1 to 3.3.5.
    assert_eq!(requirements, 19 + 5);
}
