//! Who may order the node about, and follow it: whoever shows the token, or a
//! certificate of our authority. Nobody is asked where neither is configured.

use std::sync::Arc;

use subtle::ConstantTimeEq;

/// What is asked of operators and peers, at every door.
#[derive(Clone, Default)]
pub struct Guard(Arc<Asked>);

#[derive(Default)]
struct Asked {
    token: Option<String>,
    certificate: bool,
}

/// Why somebody is not let in, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoProof {
    pub(super) text: &'static str,
    pub(super) cure: &'static str,
}

impl Guard {
    /// Either is enough; with neither, everybody is let in.
    #[must_use]
    pub fn new(token: Option<String>, certificate: bool) -> Self {
        Self(Arc::new(Asked { token, certificate }))
    }

    /// How somebody who showed a certificate that was verified, or this header
    /// `authorization`, has proved who it is.
    ///
    /// # Errors
    /// What to show.
    pub(super) fn judge(&self, certified: bool, said: Option<&[u8]>) -> Result<&'static str, NoProof> {
        let Asked { token, certificate } = &*self.0;
        if token.is_none() && !certificate {
            return Ok("none");
        }
        if *certificate && certified {
            return Ok("certificate");
        }
        let bearer = said.and_then(|v| v.strip_prefix(b"Bearer "));
        let (text, cure) = match (token, bearer) {
            (Some(token), Some(bearer)) if bool::from(token.as_bytes().ct_eq(bearer)) => return Ok("token"),
            (Some(_), Some(_)) => {
                ("the token is not the one of this node", "give its file with --token-file")
            }
            (Some(_), None) => ("no token was shown", "give its file with --token-file"),
            (None, _) => {
                ("no certificate was shown", "give one of this cluster's authority with --cert and --key")
            }
        };
        Err(NoProof { text, cure })
    }
}
