//! STUN: what is a Binding message is written back as one, and nothing else is taken for an answer.

use std::net::SocketAddr;

use _native::stun::{is_stun, Error, Kind, Message, Question};

use crate::plant;

/// Hold the parser against `data`.
///
/// # Panics
/// Where it breaks a law.
pub fn check(data: &[u8]) {
    let parsed = Message::parse(data).map(plant::in_stun);
    assert_eq!(parsed == Err(Error::Foreign), !is_stun(data), "STUN is told from the rest in two ways");
    let server = SocketAddr::from(([192, 0, 2, 3], 3478));
    let answer = Question::new(0, server, [0; 12]).answer(data, server);
    let Ok(message) = parsed else {
        assert_eq!(answer, None);
        return;
    };
    match message.kind {
        Kind::Success { mapped } if message.id == [0; 12] => assert_eq!(answer, Some(mapped)),
        _ => assert_eq!(answer, None),
    }
    let mut written = Vec::new();
    message.build(&mut written);
    assert_eq!(Message::parse(&written), Ok(message), "it reads otherwise when written again");
    assert_eq!(data.len() % 4, 0);
    assert_eq!(written[8..20], data[8..20]);
}
