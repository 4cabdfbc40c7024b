//! The pages of the documentation name tests that there are.

use std::{collections::BTreeSet, fs, path::Path};

/// The names of all functions below a folder, each with its file and the folder of that.
fn functions(folder: &Path, names: &mut BTreeSet<[String; 2]>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
            continue;
        }
        let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
        let modules = [name(folder), name(&path)];
        let source = fs::read_to_string(&path).unwrap_or_default();
        for rest in source.split("fn ").skip(1) {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
            let function = &rest[..end.unwrap_or(0)];
            for module in &modules {
                names.insert([module.clone(), function.to_owned()]);
            }
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
            let (module, name) = test.rsplit_once("::").unwrap();
            // A test beside the code is named with its module's `tests`.
            let module = module.trim_end_matches("::tests");
            assert!(
                names.contains(&[module.to_owned(), name.to_owned()]),
                "{requirement}: there is no test {test}"
            );
        }
        let is_the_applications = mechanism.starts_with("the application's");
        assert!(!tests.is_empty() || is_the_applications, "{requirement}");
    }
    // 7.1.1 to 7.6.2, and 3.3.1 to 3.3.5.
    assert_eq!(requirements, 19 + 5);
}
