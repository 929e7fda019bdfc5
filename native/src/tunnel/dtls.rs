//! The DTLS handshake of one leg (RFC 5763, 5764, 8842): it agrees on keys for SRTP and on nothing else.
//!
//! ```text
//! datagram ─► Dtls ─► flights, sent again on their own timers
//!               └─► certificate ─► is its digest one that signalling told? ─► keys       else: nothing, ever
//! ```
//!
//! The crate `dimpl` is the machine. What it draws comes from the system and not from a seed, as keys must: a replay feeds
//! packets that are already open.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::secure::{Master, Protection, Suite};
use crate::sys::{instant, nanoseconds};

/// How long the whole handshake may take, and when a flight is first sent again (RFC 6347 section 4.2.4.1 has 1 s, for
/// networks of unknown kind; ICE has just measured that this one answers).
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(400);
const RETRIES: usize = 6;
/// The largest datagram that is made.
const DATAGRAM: usize = 1150;
/// Between two looks, ns: the crate may call itself due at once while all it can do is wait for the far end.
const LEAST: i64 = 20_000_000;

/// A certificate and its private key, both DER (the key PKCS #8).
#[derive(Clone)]
pub struct Identity {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// Digests that may vouch for a certificate (RFC 8122 section 5; SHA-1 and older ones are no longer trusted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// By its name in a=fingerprint.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sha-256" => Some(Self::Sha256),
            "sha-384" => Some(Self::Sha384),
            "sha-512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn of(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha384 => Sha384::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }
}

/// What signalling agreed for DTLS.
#[derive(Clone, Debug)]
pub struct Terms {
    pub identity: Identity,
    /// We begin (a=setup:active).
    pub active: bool,
    /// What the far end's certificate must have one of.
    pub fingerprints: Vec<(Hash, Vec<u8>)>,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    Keyed(Protection),
    /// The certificate is not the one that signalling told of.
    Stranger,
    /// No version, suite, profile or time was left.
    Failed,
    /// The far end said goodbye.
    Closed,
}

/// One leg's handshake, and after it what is left of the association: its goodbye.
#[derive(Debug)]
pub struct Handshake {
    dtls: Dtls,
    active: bool,
    fingerprints: Vec<(Hash, Vec<u8>)>,
    known: bool,
    connected: bool,
    keys: Option<Protection>,
    due: Option<i64>,
    over: bool,
    buffer: Box<[u8; 2048]>,
}

impl Handshake {
    /// None where the certificate or its key can't be used.
    #[must_use]
    pub fn new(now: i64, terms: &Terms) -> Option<Self> {
        let config = config()?;
        config.crypto_provider().key_provider.load_private_key(&terms.identity.key).ok()?;
        let Identity { certificate, key } = terms.identity.clone();
        let certificate = DtlsCertificate { certificate, private_key: key };
        let mut dtls = Dtls::new_auto(config, certificate, instant(now));
        if terms.active {
            dtls.set_active(true);
        }
        Some(Self {
            dtls,
            active: terms.active,
            fingerprints: terms.fingerprints.clone(),
            known: false,
            connected: false,
            keys: None,
            due: None,
            over: false,
            buffer: Box::new([0; 2048]),
        })
    }

    /// Whether these are the terms that this one goes by.
    #[must_use]
    pub fn is_for(&self, terms: &Terms) -> bool {
        self.active == terms.active && self.fingerprints == terms.fingerprints
    }

    /// When `tick` must be called next.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        self.due
    }

    /// Begin, where that is ours to do.
    pub fn begin(&mut self, now: i64, send: &mut dyn FnMut(&[u8])) -> Option<News> {
        if self.active {
            self.advance(now, None, send)
        } else {
            None
        }
    }

    /// Take a datagram.
    pub fn take(&mut self, now: i64, data: &[u8], send: &mut dyn FnMut(&[u8])) -> Option<News> {
        self.advance(now, Some(data), send)
    }

    /// Do what is due.
    pub fn tick(&mut self, now: i64, send: &mut dyn FnMut(&[u8])) -> Option<News> {
        if self.due.is_some_and(|due| due <= now) {
            self.advance(now, None, send)
        } else {
            None
        }
    }

    /// Say goodbye.
    pub fn close(&mut self, now: i64, send: &mut dyn FnMut(&[u8])) {
        if !self.over && self.dtls.close().is_ok() {
            self.poll(now, send);
        }
        self.end();
    }

    fn end(&mut self) {
        self.over = true;
        self.due = None;
    }

    fn advance(&mut self, now: i64, data: Option<&[u8]>, send: &mut dyn FnMut(&[u8])) -> Option<News> {
        if self.over {
            return None;
        }
        let went = self.dtls.handle_timeout(instant(now));
        let went = went.and_then(|()| data.map_or(Ok(()), |data| self.dtls.handle_packet(data)));
        // What it has to say of the failure (an alert) goes out all the same.
        let news = self.poll(now, send);
        if went.is_err() && news.is_none() {
            self.end();
            // Once there are keys, what fails is only the goodbye.
            return (!self.connected).then_some(News::Failed);
        }
        news
    }

    fn poll(&mut self, now: i64, send: &mut dyn FnMut(&[u8])) -> Option<News> {
        loop {
            match self.dtls.poll_output(&mut self.buffer[..]) {
                Output::Packet(data) => send(data),
                Output::PeerCert(certificate) => {
                    self.known = self.fingerprints.iter().any(|(hash, digest)| hash.of(certificate) == *digest);
                    if !self.known {
                        self.end();
                        return Some(News::Stranger);
                    }
                }
                Output::KeyingMaterial(material, profile) => self.keys = protection(&material, profile, self.active),
                Output::Connected => self.connected = true,
                Output::CloseNotify => {
                    self.end();
                    return Some(News::Closed);
                }
                Output::Timeout(at) => {
                    self.due = Some(nanoseconds(at).max(now + LEAST));
                    break;
                }
                Output::BufferTooSmall { .. } => {
                    self.end();
                    return Some(News::Failed);
                }
                // Data channels are not spoken here.
                _ => {}
            }
        }
        if self.connected && self.known {
            self.keys.take().map(News::Keyed)
        } else {
            None
        }
    }
}

/// How all handshakes go. To make it takes milliseconds, since the crate tries its own cryptography: once a process.
fn config() -> Option<Arc<Config>> {
    static CONFIG: OnceLock<Option<Arc<Config>>> = OnceLock::new();
    let make = || {
        let builder = Config::builder()
            .mtu(DATAGRAM)
            .use_server_cookie(false) // ICE has already shown that the far end is where it says
            .flight_start_rto(AGAIN)
            .flight_retries(RETRIES)
            .handshake_timeout(PATIENCE);
        builder.build().ok().map(Arc::new)
    };
    CONFIG.get_or_init(make).clone()
}

/// RFC 5764 section 4.2: the client's key, the server's, the client's salt, the server's.
fn protection(material: &[u8], profile: SrtpProfile, active: bool) -> Option<Protection> {
    let (suite, key) = match profile {
        SrtpProfile::AES128_CM_SHA1_80 => (Suite::AesCm80, 16),
        SrtpProfile::AEAD_AES_128_GCM => (Suite::Gcm128, 16),
        SrtpProfile::AEAD_AES_256_GCM => (Suite::Gcm256, 32),
        _ => return None,
    };
    let salt = suite.master_bytes() - key;
    let (client_key, rest) = material.split_at_checked(key)?;
    let (server_key, rest) = rest.split_at_checked(key)?;
    let (client_salt, rest) = rest.split_at_checked(salt)?;
    let (server_salt, _) = rest.split_at_checked(salt)?;
    let client = Master::new(suite, &[client_key, client_salt].concat())?;
    let server = Master::new(suite, &[server_key, server_salt].concat())?;
    let (send, receive) = if active { (client, server) } else { (server, client) };
    Some(Protection { suite, send, receive: Some(receive) })
}
