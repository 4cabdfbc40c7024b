//! The rights that the README asks for.

/// The rules of the README's `ACL SETUSER` behind the password, for the keys of `namespace`.
pub(crate) fn readme_rights(namespace: &str) -> String {
    let readme = include_str!("../../../../README.md");
    let mut lines = readme.lines();
    let line = lines.find(|line| line.starts_with("ACL SETUSER"));
    let (_, rights) = line
        .and_then(|line| line.split_once(">password "))
        .expect("the README has a user with a password");
    rights.replace("~shop:", &format!("~{namespace}:"))
}
