//! Authorities and certificates, made for one test.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use standfast_proto::access::{Access, AccessFiles, SharedAccess};
use tempfile::TempDir;

/// Files of one test.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// An authority, whose certificate is `NAME.pem`.
    pub(crate) fn authority(&self, name: &str) -> Issuer<'static, KeyPair> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("valid");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.write(&format!("{name}.pem"), &params.self_signed(&key).expect("signed").pem());
        Issuer::new(params, key)
    }

    /// `NAME.pem` and `NAME.key`, good until the beginning of that year.
    pub(crate) fn certificate(&self, name: &str, authority: &Issuer<'static, KeyPair>, until: i32) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("valid");
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(until, 1, 1));
        let signed = params.signed_by(&key, authority).expect("signed");
        self.write(&format!("{name}.pem"), &signed.pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.at(name).display().to_string()
    }

    /// How to dial with the authority `CA.pem`, showing `NAME.pem`.
    pub(crate) fn access(&self, ca: &str, name: Option<&str>) -> SharedAccess {
        let identity = name.map(|name| (self.at(&format!("{name}.pem")), self.at(&format!("{name}.key"))));
        let ca = Some(self.at(&format!("{ca}.pem")));
        Access::load(&AccessFiles { token: None, ca, system: false, identity }).expect("sound files").into()
    }
}
