//! telephone-event: a payload comes back, and each key is told once (RFC 4733).

use _native::dtmf::{code_of, Event, Keys};

use crate::plant;

/// Hold the payload's parser, and then the ear for keys, against `data`: a train of timestamps and payloads.
pub fn check(data: &[u8]) {
    let parsed = Event::parse(data).map(plant::in_event);
    assert_eq!(parsed.is_some(), data.len() >= 4);
    if let Some(event) = parsed {
        assert_eq!(event.bytes(), data[..4], "what was accepted is not what is written");
        assert_eq!(event.key().and_then(code_of).unwrap_or(event.code), event.code);
        assert_eq!(event.key().is_some(), event.code < 16);
    }
    let (mut keys, mut before) = (Keys::default(), None);
    for packet in data.chunks_exact(6) {
        let timestamp = u32::from(packet[0]) * 80 + u32::from(packet[1] & 1) * 0x8000_0000;
        let event = Event::parse(&packet[2..]).expect("four bytes are an event");
        let first = keys.hear(timestamp, event, 8000);
        assert!(first.is_none_or(|first| first == event));
        assert!(before.is_some() || first.is_some(), "the first packet of all is not told");
        let again = before.replace((timestamp, event.code)) == Some((timestamp, event.code));
        assert!(!again || first.is_none(), "a key is told twice");
    }
}
