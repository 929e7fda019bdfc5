//! The vectors of RFC 3711 appendix B and RFC 7714 sections 16 and 17, through the port's own shield.
//!
//! The RFCs state most of them for session keys, which come out of a derivation in the crate. So a provider stands in
//! that derives what the vector says, and leaves all else to the real one; another only watches what is derived.

use std::sync::{Arc, Mutex};

use rtc_srtp::crypto::providers::RingCrypto;
use rtc_srtp::crypto::{
    AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, CryptoAlgorithm, CryptoError, HmacAlgorithm, Mac, RTCCrypto,
    StreamCipher, StreamCipherAlgorithm,
};

use super::{Master, Protection, Shield, Suite};

/// The real provider, but for the block cipher that derives keys where `session` says what comes out.
struct Stated {
    /// A session key and a session salt.
    session: Option<(Vec<u8>, Vec<u8>)>,
    /// The keys and first counter blocks that were used.
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Watched(Box<dyn StreamCipher>, Arc<Mutex<Vec<Vec<u8>>>>);

impl StreamCipher for Watched {
    fn apply_keystream(&mut self, iv: &[u8], data: &mut [u8]) -> Result<(), CryptoError> {
        note(&self.1, iv);
        self.0.apply_keystream(iv, data)
    }
}

fn note(seen: &Mutex<Vec<Vec<u8>>>, what: &[u8]) {
    seen.lock().expect("one thread").push(what.to_vec());
}

impl RTCCrypto for Stated {
    fn supports(&self, algorithm: CryptoAlgorithm) -> bool {
        RingCrypto.supports(algorithm)
    }

    /// RFC 3711 section 4.3.1: the label is in the eighth byte (the master salt is zero here), the block's number at the
    /// end. Labels 2 and 5 are salts, 0 and 3 keys of the cipher.
    fn block_encrypt(&self, algorithm: BlockCipherAlgorithm, key: &[u8], block: &mut [u8]) -> Result<(), CryptoError> {
        let Some((session, salt)) = &self.session else {
            return RingCrypto.block_encrypt(algorithm, key, block);
        };
        let stated = match block[7] {
            0 | 3 => session,
            2 | 5 => salt,
            _ => &vec![0; 20],
        };
        let from = usize::from(block[15]) * 16;
        let part = stated.get(from..).unwrap_or_default();
        block.fill(0);
        block.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        Ok(())
    }

    fn new_hmac(&self, algorithm: HmacAlgorithm, key: &[u8]) -> Result<Box<dyn Mac>, CryptoError> {
        note(&self.seen, key);
        RingCrypto.new_hmac(algorithm, key)
    }

    fn new_stream_cipher(
        &self,
        algorithm: StreamCipherAlgorithm,
        key: &[u8],
    ) -> Result<Box<dyn StreamCipher>, CryptoError> {
        note(&self.seen, key);
        let cipher = RingCrypto.new_stream_cipher(algorithm, key)?;
        Ok(Box::new(Watched(cipher, self.seen.clone())))
    }

    fn new_aead(&self, algorithm: AeadAlgorithm, key: &[u8]) -> Result<Box<dyn AeadCipher>, CryptoError> {
        RingCrypto.new_aead(algorithm, key)
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|digit| !digit.is_whitespace()).collect();
    let byte = |two: &[char]| u8::from_str_radix(&two.iter().collect::<String>(), 16).expect("hex");
    digits.chunks(2).map(byte).collect()
}

/// A shield whose both ways have the same keys.
fn shield(suite: Suite, master: &[u8], crypto: Stated) -> Shield {
    let master = Master::new(suite, master).expect("a key of the right length");
    let protection = Protection { suite, send: master.clone(), receive: Some(master) };
    Shield::with(&protection, Box::leak(Box::new(crypto))).expect("keys that can be used")
}

fn stated(suite: Suite, key: &str, salt: &str) -> Shield {
    let session = Some((hex(key), hex(salt)));
    shield(suite, &vec![0; suite.master_bytes()], Stated { session, seen: Arc::default() })
}

const KEY_128: &str = "000102030405060708090a0b0c0d0e0f";
const KEY_256: &str = "000102030405060708090a0b0c0d0e0f 101112131415161718191a1b1c1d1e1f";
/// "Quid pro quo".
const SALT: &str = "517569642070726f2071756f";
/// "Gallia est omnis divisa in partes tres".
const RTP: &str =
    "8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e6973 20646976697361 20696e2070617274657320 74726573";
const RTCP: &str =
    "81c8000d4d617273 4e5450314e545032525450200000042a 0000e9304c756e61 deadbeefdeadbeefdeadbeef deadbeefdeadbeef";
const INDEX: usize = 0x5d4;

fn rtp_both_ways(suite: Suite, key: &str, sealed: &str) {
    let mut shield = stated(suite, key, SALT);
    assert_eq!(shield.seal_rtp(&hex(RTP)).as_deref(), Some(&hex(sealed)[..]));
    assert_eq!(shield.open(0, &hex(sealed), false).as_deref(), Ok(&hex(RTP)[..]));
}

fn rtcp_both_ways(suite: Suite, key: &str, sealed: &str) {
    let mut shield = stated(suite, key, SALT);
    for _ in 1..INDEX {
        shield.seal_rtcp(&hex(RTCP)).expect("room for more reports");
    }
    assert_eq!(shield.seal_rtcp(&hex(RTCP)).as_deref(), Some(&hex(sealed)[..]));
    assert_eq!(shield.open(0, &hex(sealed), true).as_deref(), Ok(&hex(RTCP)[..]));
}

#[test]
fn rfc_7714_16_1_a_packet_under_aes_128_gcm() {
    let sealed = "8040f17b8041f8d35501a0b2 f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
                  899d7f27beb16a9152cf765ee4390cce";
    rtp_both_ways(Suite::Gcm128, KEY_128, sealed);
}

#[test]
fn rfc_7714_16_2_a_packet_under_aes_256_gcm() {
    let sealed = "8040f17b8041f8d35501a0b2 32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
                  7aa3db36dfffd6b0f9bb7878d7a76c13";
    rtp_both_ways(Suite::Gcm256, KEY_256, sealed);
}

#[test]
fn rfc_7714_17_1_a_report_under_aes_128_gcm() {
    let sealed = "81c8000d4d617273 63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded
                  0bb9275bc84aa45896cf4d2fc5abf87245d9eade 800005d4";
    rtcp_both_ways(Suite::Gcm128, KEY_128, sealed);
}

#[test]
fn rfc_7714_17_2_a_report_under_aes_256_gcm() {
    let sealed = "81c8000d4d617273 d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de047
                  6f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be 800005d4";
    rtcp_both_ways(Suite::Gcm256, KEY_256, sealed);
}

#[test]
fn rfc_7714_17_3_a_report_that_is_only_tagged_was_not_agreed() {
    let tagged = "81c8000d4d617273 4e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeef
                  deadbeef 841dd9683dd78ec92ae58790125f62b3 000005d4";
    let mut shield = stated(Suite::Gcm128, KEY_128, SALT);
    assert_eq!(shield.open(0, &hex(tagged), true), Err(super::Refusal::Forged));
}

#[test]
fn rfc_3711_b2_the_keystream() {
    let keystream =
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
    let mut shield = stated(Suite::AesCm80, "2B7E151628AED2A6ABF7158809CF4F3C", "F0F1F2F3F4F5F6F7F8F9FAFBFCFD");
    let mut packet = hex("800000000000000000000000");
    packet.resize(12 + 48, 0);
    let sealed = shield.seal_rtp(&packet).expect("a packet");
    assert_eq!(sealed[12..60], hex(keystream)[..]);
    assert_eq!(sealed.len(), 60 + 10);
}

#[test]
fn rfc_3711_b3_the_derivation() {
    let master = hex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6");
    let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let mut shield = shield(Suite::AesCm80, &master, Stated { session: None, seen: seen.clone() });
    shield.seal_rtp(&hex("800000000000000000000000 00")).expect("a packet");
    let seen = seen.lock().expect("one thread");
    let used = |what: &str| seen.contains(&hex(what));
    assert!(used("C61E7A93744F39EE10734AFE3FF7A087"), "the cipher's key");
    assert!(used("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"), "as much of the tag's key as is used");
    assert!(used("30CBBC08863D8C85D49DB34A9AE1 0000"), "the salt, in the first counter block of packet 0 of stream 0");
}

/// The packet that libsrtp's own driver begins with: derivation, cipher and tag in one.
#[test]
fn a_packet_of_libsrtp() {
    let master = hex("e1f97a0d3e018be0d64fa32c06de4139 0ec675ad498afeebb6960b3aabe6");
    let plain = hex("800f1234decafbadcafebabe abababababababababababababababab");
    let sealed = hex("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb");
    let mut shield = shield(Suite::AesCm80, &master, Stated { session: None, seen: Arc::default() });
    assert_eq!(shield.seal_rtp(&plain).as_deref(), Some(&sealed[..]));
    assert_eq!(shield.open(0, &sealed, false).as_deref(), Ok(&plain[..]));
}
