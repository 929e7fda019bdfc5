//! What Python says of a tunnel, read.

use pyo3::PyResult;

use super::wrong;
use crate::tunnel::dtls::{self, Hash, Identity};
use crate::tunnel::{ice, Terms};

/// A user name and a password of ICE.
pub type Named = (String, String);

/// The least of each that RFC 8839 section 5.4 allows, in bytes, and the most.
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
const PWD: std::ops::RangeInclusive<usize> = 22..=256;

pub fn terms(
    (ours, theirs): (Named, Named),
    (lite, controlling, active): (bool, bool, bool),
    candidates: Vec<String>,
    fingerprints: Vec<(String, Vec<u8>)>,
    (certificate, key): (Vec<u8>, Vec<u8>),
    seed: u64,
) -> PyResult<Terms> {
    let read = |(name, digest): (String, Vec<u8>)| Some((Hash::named(&name)?, digest));
    let fingerprints: Vec<_> = fingerprints.into_iter().filter_map(read).collect();
    if fingerprints.is_empty() {
        return Err(wrong("no fingerprint with sha-256, sha-384 or sha-512"));
    }
    Ok(Terms {
        ice: ice::Terms { ours: credentials(ours)?, theirs: credentials(theirs)?, lite, controlling, candidates, seed },
        dtls: dtls::Terms { identity: Identity { certificate, key }, active, fingerprints },
    })
}

pub fn unusable() -> pyo3::PyErr {
    wrong("the certificate or its key can't be used")
}

fn credentials((ufrag, pwd): Named) -> PyResult<ice::Credentials> {
    let fits = |text: &str, sizes: &std::ops::RangeInclusive<usize>| {
        sizes.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(&byte))
    };
    if fits(&ufrag, &UFRAG) && fits(&pwd, &PWD) {
        Ok(ice::Credentials { ufrag, pwd })
    } else {
        Err(wrong("an ICE user name has 4 to 256 characters of A-Za-z0-9+/, a password 22 to 256"))
    }
}
