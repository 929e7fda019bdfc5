//! STUN's Binding (RFC 8489), as far as it tells what our address looks like from outside.
//!
//! ```text
//!  0 0 | type (14) | length   cookie   transaction (96)   attributes: type, length, value, padded to 4
//! ask() ─► request, three times 100 ms apart ─► Message::parse ─► the XOR-MAPPED-ADDRESS of our own transaction
//! ```
//!
//! What is read is written back to the same message, but for attributes that mean nothing here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const COOKIE: u32 = 0x2112_A442;
const HEAD: usize = 20;
const MAPPED: u16 = 0x0001;
const ERROR_CODE: u16 = 0x0009;
const XOR_MAPPED: u16 = 0x0020;
/// What a receiver need not understand (section 14).
const OPTIONAL: u16 = 0x8000;
/// Comprehension-required attributes that are understood as saying nothing to us: USERNAME, MESSAGE-INTEGRITY, REALM,
/// NONCE, MESSAGE-INTEGRITY-SHA256, PRIORITY, USE-CANDIDATE; and those of RFC 3489, whose servers still answer.
const KNOWN: [u16; 11] = [0x0002, 0x0003, 0x0004, 0x0005, 0x0006, 0x0008, 0x0014, 0x0015, 0x001C, 0x0024, 0x0025];

/// How far apart a request is repeated, and how often it goes out: the leg waits 300 ms for it.
pub const AGAIN: i64 = 100_000_000;
pub const TIMES: u8 = 3;

/// A transaction's number.
pub type Id = [u8; 12];

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Indication,
    /// `mapped` is where the request came from.
    Success {
        mapped: SocketAddr,
    },
    /// 300 to 699.
    Failure {
        code: u16,
    },
}

/// A Binding message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    pub id: Id,
    pub kind: Kind,
}

/// Why bytes are no Binding message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not STUN at all.
    Foreign,
    Truncated,
    /// Not Binding.
    Method,
    /// An attribute that must be understood and is not, or can't be read.
    Attribute,
    /// A success without an address, or a failure without a code.
    Missing,
}

/// Whether a datagram on an RTP socket is STUN (RFC 7983 section 7: its first byte is 0 to 3).
#[must_use]
pub fn is_stun(data: &[u8]) -> bool {
    data.len() >= HEAD && data[0] < 4 && data[4..8] == COOKIE.to_be_bytes()
}

impl Message {
    /// Read a message.
    ///
    /// # Errors
    /// Where it is none of Binding.
    pub fn parse(data: &[u8]) -> Result<Self, Error> {
        if !is_stun(data) {
            return Err(Error::Foreign);
        }
        let word = |at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
        let length = usize::from(word(2));
        if !length.is_multiple_of(4) || data.len() != HEAD + length {
            return Err(Error::Truncated);
        }
        let id: Id = data[8..HEAD].try_into().map_err(|_| Error::Truncated)?;
        let (mut mapped, mut plain, mut code) = (None, None, None);
        let mut at = HEAD;
        while at < data.len() {
            let (kind, size) = (word(at), usize::from(word(at + 2)));
            let value = data.get(at + 4..at + 4 + size).ok_or(Error::Truncated)?;
            match kind {
                XOR_MAPPED if mapped.is_none() => mapped = Some(address(value, Some(&id))?),
                MAPPED if plain.is_none() => plain = Some(address(value, None)?),
                ERROR_CODE if code.is_none() => code = Some(error_code(value)?),
                _ if kind >= OPTIONAL || KNOWN.contains(&kind) => {}
                XOR_MAPPED | MAPPED | ERROR_CODE => {} // section 14: only the first counts
                _ => return Err(Error::Attribute),
            }
            at += 4 + size.next_multiple_of(4);
        }
        let kind = match word(0) {
            0x0001 => Kind::Request,
            0x0011 => Kind::Indication,
            0x0101 => Kind::Success { mapped: mapped.or(plain).ok_or(Error::Missing)? },
            0x0111 => Kind::Failure { code: code.ok_or(Error::Missing)? },
            _ => return Err(Error::Method),
        };
        Ok(Self { id, kind })
    }

    /// Append the message.
    pub fn build(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        let (word, attribute) = match self.kind {
            Kind::Request => (0x0001u16, None),
            Kind::Indication => (0x0011, None),
            Kind::Success { mapped } => {
                write_address(mapped, &self.id, &mut value);
                (0x0101, Some(XOR_MAPPED))
            }
            Kind::Failure { code } => {
                let [class, number] = [code / 100, code % 100].map(|part| u8::try_from(part).unwrap_or(0));
                value.extend([0, 0, class, number]);
                (0x0111, Some(ERROR_CODE))
            }
        };
        let size = u16::try_from(value.len()).unwrap_or(0);
        out.extend(word.to_be_bytes());
        out.extend((if attribute.is_some() { size + 4 } else { 0 }).to_be_bytes());
        out.extend(COOKIE.to_be_bytes());
        out.extend(self.id);
        if let Some(attribute) = attribute {
            out.extend(attribute.to_be_bytes());
            out.extend(size.to_be_bytes());
            out.extend(value);
        }
    }
}

/// Section 14.1 and 14.2: an address, plain or hidden behind the cookie and the transaction from meddlesome NATs.
fn address(value: &[u8], id: Option<&Id>) -> Result<SocketAddr, Error> {
    let mask = |n: usize| id.map_or(0, |id| if n < 4 { COOKIE.to_be_bytes()[n] } else { id[n - 4] });
    let (&[_, family, high, low], host) = value.split_first_chunk::<4>().ok_or(Error::Attribute)?;
    let port = u16::from_be_bytes([high ^ mask(0), low ^ mask(1)]);
    let bare: Vec<u8> = host.iter().enumerate().map(|(n, byte)| byte ^ if n < 16 { mask(n) } else { 0 }).collect();
    let ip = match (family, bare.len()) {
        (1, 4) => IpAddr::from(<[u8; 4]>::try_from(bare).map_err(|_| Error::Attribute)?),
        (2, 16) => IpAddr::from(<[u8; 16]>::try_from(bare).map_err(|_| Error::Attribute)?),
        _ => return Err(Error::Attribute),
    };
    Ok(SocketAddr::new(ip, port))
}

fn write_address(address: SocketAddr, id: &Id, out: &mut Vec<u8>) {
    let cookie = COOKIE.to_be_bytes();
    let mask: Vec<u8> = cookie.iter().chain(id).copied().collect();
    let host: Vec<u8> = match address.ip() {
        IpAddr::V4(ip) => Ipv4Addr::octets(&ip).to_vec(),
        IpAddr::V6(ip) => Ipv6Addr::octets(&ip).to_vec(),
    };
    out.extend([0, if address.is_ipv4() { 1 } else { 2 }]);
    out.extend(address.port().to_be_bytes().iter().zip(&cookie).map(|(byte, mask)| byte ^ mask));
    out.extend(host.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
}

/// Section 14.8.
fn error_code(value: &[u8]) -> Result<u16, Error> {
    match value {
        &[_, _, class, number, ..] if (3..=6).contains(&(class & 7)) && number < 100 => {
            Ok(u16::from(class & 7) * 100 + u16::from(number))
        }
        _ => Err(Error::Attribute),
    }
}

/// A question that is under way: what our socket looks like to a server.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub server: SocketAddr,
    id: Id,
    left: u8,
    due: i64,
}

impl Question {
    /// Ask at `now`.
    #[must_use]
    pub fn new(now: i64, server: SocketAddr, id: Id) -> Self {
        Self { server, id, left: TIMES, due: now }
    }

    /// When the request goes out (again); None when it went out often enough.
    #[must_use]
    pub fn due(&self) -> Option<i64> {
        (self.left > 0).then_some(self.due)
    }

    /// The request, where it is due.
    pub fn request(&mut self, now: i64) -> Option<Message> {
        if self.due()? > now {
            return None;
        }
        self.left -= 1;
        self.due = now + AGAIN;
        Some(Message { id: self.id, kind: Kind::Request })
    }

    /// What a datagram says of our address, if it is the answer.
    #[must_use]
    pub fn answer(&self, data: &[u8], from: SocketAddr) -> Option<SocketAddr> {
        match Message::parse(data) {
            Ok(Message { id, kind: Kind::Success { mapped } }) if id == self.id && from == self.server => Some(mapped),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = [0xB7, 0xE7, 0xA7, 0x01, 0xBC, 0x34, 0xD6, 0x86, 0xFA, 0x87, 0xDF, 0xAE];

    fn built(kind: Kind) -> Vec<u8> {
        let mut out = Vec::new();
        Message { id: ID, kind }.build(&mut out);
        out
    }

    #[test]
    fn the_addresses_of_the_vectors_of_rfc_5769() {
        // Sections 2.2 and 2.3: the values of XOR-MAPPED-ADDRESS, by themselves.
        let four = [0x00, 0x01, 0xA1, 0x47, 0xE1, 0x12, 0xA6, 0x43];
        assert_eq!(address(&four, Some(&ID)), Ok("192.0.2.1:32853".parse().expect("an address")));
        let six = [
            0x00, 0x02, 0xA1, 0x47, 0x01, 0x13, 0xA9, 0xFA, 0xA5, 0xD3, 0xF1, 0x79, 0xBC, 0x25, 0xF4, 0xB5, 0xBE, 0xD2,
            0xB9, 0xD9,
        ];
        let expected = "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().expect("an address");
        assert_eq!(address(&six, Some(&ID)), Ok(expected));
        let mut out = Vec::new();
        write_address(expected, &ID, &mut out);
        assert_eq!(out, six);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for kind in [
            Kind::Request,
            Kind::Indication,
            Kind::Success { mapped: "198.51.100.7:61000".parse().expect("an address") },
            Kind::Success { mapped: "[2001:db8::7]:1".parse().expect("an address") },
            Kind::Failure { code: 420 },
        ] {
            let data = built(kind);
            assert_eq!(Message::parse(&data), Ok(Message { id: ID, kind }));
            for end in 0..data.len() {
                assert!(Message::parse(&data[..end]).is_err());
            }
        }
    }

    #[test]
    fn the_plain_address_of_an_old_server_is_taken_and_unknown_demands_are_not() {
        let mut data = built(Kind::Request);
        (data[0], data[1], data[3]) = (0x01, 0x01, 12);
        let plain = data.clone();
        data.extend([0x00, 0x01, 0, 8, 0, 1, 0x12, 0x34, 192, 0, 2, 1]);
        let mapped = "192.0.2.1:4660".parse().expect("an address");
        assert_eq!(Message::parse(&data), Ok(Message { id: ID, kind: Kind::Success { mapped } }));
        let mut unknown = plain;
        unknown.extend([0x7F, 0xFF, 0, 8, 0, 1, 0x12, 0x34, 192, 0, 2, 1]);
        assert_eq!(Message::parse(&unknown), Err(Error::Attribute));
    }

    #[test]
    fn only_the_servers_answer_to_our_own_transaction_counts() {
        let server: SocketAddr = "192.0.2.3:3478".parse().expect("an address");
        let mapped = "198.51.100.7:61000".parse().expect("an address");
        let question = Question::new(0, server, ID);
        let mut data = built(Kind::Success { mapped });
        assert_eq!(question.answer(&data, server), Some(mapped));
        assert_eq!(question.answer(&data, "192.0.2.4:3478".parse().expect("an address")), None);
        data[19] ^= 1;
        assert_eq!(question.answer(&data, server), None);
    }

    #[test]
    fn a_question_goes_out_three_times() {
        let mut question = Question::new(5, "192.0.2.3:3478".parse().expect("an address"), ID);
        let mut times = Vec::new();
        while let Some(due) = question.due() {
            assert!(question.request(due - 1).is_none());
            assert!(question.request(due).is_some());
            times.push(due);
        }
        assert_eq!(times, [5, 5 + AGAIN, 5 + 2 * AGAIN]);
    }
}
