//! How loud a piece of audio is, cheaply: it is asked for every packet of every call.

/// Sums that are kept side by side, so that the machine adds several samples at a time.
const LANES: usize = 8;

/// The sum of the squares, in single precision: within a millionth of it for a packet.
#[must_use]
pub fn energy(pcm: &[i16]) -> f32 {
    let square = |&sample: &i16| f32::from(sample) * f32::from(sample);
    let mut sums = [0.0; LANES];
    let mut eights = pcm.chunks_exact(LANES);
    for eight in &mut eights {
        for (sum, sample) in sums.iter_mut().zip(eight) {
            *sum += square(sample);
        }
    }
    sums.iter().sum::<f32>() + eights.remainder().iter().map(square).sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_sum_of_the_squares() {
        assert!(energy(&[]) == 0.0);
        assert!((energy(&[3, -4]) - 25.0).abs() < 1e-6);
        let pcm: Vec<i16> = (0..163i16).map(|n| n.wrapping_mul(397)).chain([i16::MIN, i16::MAX]).collect();
        let exact: f64 = pcm.iter().map(|&sample| f64::from(sample).powi(2)).sum();
        assert!((f64::from(energy(&pcm)) / exact - 1.0).abs() < 1e-6);
    }
}
