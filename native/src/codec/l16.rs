//! L16: linear samples of 16 bits in network order (RFC 3551 section 4.5.11).

/// Append `payload`, decoded, to `pcm`.
pub fn decode_into(payload: &[u8], pcm: &mut Vec<i16>) {
    pcm.extend(payload.chunks_exact(2).map(|two| i16::from_be_bytes([two[0], two[1]])));
}

/// Append `pcm`, encoded, to `payload`.
pub fn encode_into(pcm: &[i16], payload: &mut Vec<u8>) {
    payload.extend(pcm.iter().flat_map(|sample| sample.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_byte_comes_first() {
        let mut payload = Vec::new();
        encode_into(&[0x0102, -2], &mut payload);
        assert_eq!(payload, [1, 2, 0xFF, 0xFE]);
        let mut pcm = Vec::new();
        decode_into(&payload, &mut pcm);
        assert_eq!(pcm, [0x0102, -2]);
    }
}
