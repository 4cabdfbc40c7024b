//! Certificates of a server that speaks TLS, signed by an authority of the test's own.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// The files, gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Certificates {
    dir: TempDir,
}

impl Certificates {
    /// An authority, and a certificate of it for `localhost` and 127.0.0.1.
    pub(crate) fn generate() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("tower-keep-tls-")
            .tempdir()
            .expect("a temporary directory can be made");
        let authority_key = KeyPair::generate().expect("a key can be generated");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names are fine");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Of the same name as the servers, OpenSSL would take theirs for self-signed.
        let name = &mut authority.distinguished_name;
        name.push(DnType::CommonName, "the tests' authority");
        let root = authority
            .self_signed(&authority_key)
            .expect("it signs itself");
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key can be generated");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let server = CertificateParams::new(names)
            .expect("the names are valid")
            .signed_by(&key, &issuer)
            .expect("the authority signs it");
        let write = |name: &str, text: String| {
            std::fs::write(dir.path().join(name), text).expect("the directory can be written to");
        };
        write("ca.pem", root.pem());
        write("server.pem", server.pem());
        write("server.key", key.serialize_pem());
        Self { dir }
    }

    /// The authority's certificate, which clients have to trust.
    pub(crate) fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    pub(super) fn directives(&self, port: u16) -> Vec<String> {
        let file = |name: &str| self.path(name).display().to_string();
        vec![
            format!("tls-port {port}"),
            format!("tls-cert-file {}", file("server.pem")),
            format!("tls-key-file {}", file("server.key")),
            format!("tls-ca-cert-file {}", file("ca.pem")),
            "tls-auth-clients no".to_owned(),
        ]
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }
}
