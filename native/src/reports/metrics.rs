//! What an interval, and a whole stream, was like: the event for Python, and the blocks of extended reports (RFC 3611).

use super::{since, Block, Delay, Quality, Reports, Told, UNKNOWN};
use crate::ear::Depth;
use crate::ledger::{share, Tally, GMIN};
use crate::quality::{mos, rating, Impairment};
use crate::rtcp::ntp_of;
use crate::xr::Voip;

/// What the far end's buffer and device take, where it does not say, ms.
const FAR_BUFFER_MS: f64 = 60.0;
/// Standard concealment, and a buffer that adapts: PLC and JBA of the receiver configuration byte (section 4.7.6).
const CONFIGURED: u8 = 0b1111_0000;

/// What the reports don't see themselves.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    pub impairment: Impairment,
    pub ptime_ms: u32,
    pub depth: Depth,
    /// Of speech and of the rest, dBm0.
    pub levels: (Option<i8>, Option<i8>),
    /// All that was made up for so far.
    pub concealed_ms: u64,
    /// Nothing comes, and it should.
    pub stalled: bool,
    /// The far end wants XR blocks.
    pub extended: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            impairment: Impairment::G711,
            ptime_ms: 20,
            depth: Depth::default(),
            levels: (None, None),
            concealed_ms: 0,
            stalled: false,
            extended: false,
        }
    }
}

impl Surroundings {
    fn delay_ms(&self, round_trip_ms: f64, buffer_ms: f64) -> f64 {
        round_trip_ms / 2.0 + f64::from(self.ptime_ms) + buffer_ms
    }
}

impl Reports {
    /// What the interval since the last report was like; None before the first packet.
    pub(super) fn quality(&mut self, told: Option<Told>, around: &Surroundings) -> Option<Quality> {
        let round_trip_ms = self.round_trip_ms();
        let concealed =
            around.concealed_ms.saturating_sub(std::mem::replace(&mut self.concealed_ms, around.concealed_ms));
        let far = self.far.as_mut()?;
        let (lost, expected) = far.interval();
        let tally = far.ledger.tally();
        let interval = tally.since(&std::mem::replace(&mut far.tally_before, tally));
        let buffer_ms = f64::from(around.depth.nominal_ms);
        // Without a round trip the delay is not known: what is rated then is the sound alone.
        let heard = |loss, ratio, buffer_ms| {
            let delay_ms = round_trip_ms.map_or(0.0, |trip| around.delay_ms(trip, buffer_ms));
            narrow(mos(rating(around.impairment, loss, ratio, delay_ms)))
        };
        let ours = match (interval.packets, around.stalled) {
            (0, true) => Some(1.0),
            (0, false) => None,
            _ => Some(heard(interval.loss(), interval.burst_ratio(), buffer_ms)),
        };
        Some(Quality {
            lost,
            expected,
            late: interval.late,
            concealed_ms: u32::try_from(concealed).unwrap_or(u32::MAX),
            burst_ratio: narrow(interval.burst_ratio()),
            jitter_ms: far.jitter_ms(),
            round_trip_ms: round_trip_ms.map(narrow),
            mos: ours,
            far_lost_fraction: told.map_or(0.0, |told| told.lost),
            far_jitter_ms: told.map_or(0.0, |told| told.jitter_ms),
            far_mos: told.map(|told| told.mos.unwrap_or_else(|| heard(told.lost.into(), 1.0, FAR_BUFFER_MS))),
        })
    }

    fn round_trip_ms(&self) -> Option<f64> {
        #[allow(clippy::cast_precision_loss)]
        self.round_trip.map(|trip| trip as f64 / 1e6)
    }

    /// The blocks of the extended report that goes with a report. `receiving`: we send no RTP, so that no sender report
    /// tells the round trip.
    pub(super) fn blocks(&mut self, now: i64, receiving: bool, around: &Surroundings) -> Vec<Block> {
        let mut blocks = Vec::new();
        if receiving {
            blocks.push(Block::ReceiverTime(ntp_of(now)));
        }
        if let Some((asked, at)) = self.asked.take() {
            blocks.push(Block::Delays(vec![Delay { since: since(now, at), ..asked }]));
        }
        if let Some(far) = &self.far {
            blocks.push(Block::Voip(voip(far.ssrc, &far.ledger.tally(), self.round_trip_ms(), around)));
        }
        blocks
    }
}

/// Section 4.7: the stream since its beginning.
fn voip(ssrc: u32, tally: &Tally, round_trip_ms: Option<f64>, around: &Surroundings) -> Voip {
    let all = tally.since(&Tally::default());
    let gap_packets = tally.packets.saturating_sub(tally.burst_packets);
    let mean_ms =
        |packets: u32, times: u32| whole16(f64::from(packets) * f64::from(around.ptime_ms) / f64::from(times.max(1)));
    let listening = rating(around.impairment, all.loss(), all.burst_ratio(), 0.0);
    let nominal_ms = f64::from(around.depth.nominal_ms);
    let conversing = round_trip_ms
        .map(|trip| rating(around.impairment, all.loss(), all.burst_ratio(), around.delay_ms(trip, nominal_ms)));
    let level = |level: Option<i8>| level.unwrap_or(UNKNOWN.cast_signed());
    Voip {
        ssrc,
        loss: eighth(share(tally.lost, tally.packets)),
        discard: eighth(share(tally.late, tally.packets)),
        burst_density: eighth(share(tally.burst_gone, tally.burst_packets)),
        gap_density: eighth(share(tally.gone().saturating_sub(tally.burst_gone), gap_packets)),
        burst_ms: mean_ms(tally.burst_packets, tally.bursts),
        // A stream begins and ends in a gap.
        gap_ms: mean_ms(gap_packets, tally.bursts + 1),
        round_trip_ms: whole16(round_trip_ms.unwrap_or(0.0)),
        end_system_ms: whole16(f64::from(around.ptime_ms) + nominal_ms),
        signal_dbm0: level(around.levels.0),
        noise_dbm0: level(around.levels.1),
        echo_loss_db: UNKNOWN,
        gmin: u8::try_from(GMIN).unwrap_or(16),
        rating: conversing.map_or(UNKNOWN, whole8),
        external_rating: UNKNOWN,
        mos_lq: whole8(10.0 * mos(listening)),
        mos_cq: conversing.map_or(UNKNOWN, |rating| whole8(10.0 * mos(rating))),
        config: CONFIGURED,
        nominal_ms: around.depth.nominal_ms,
        maximum_ms: around.depth.maximum_ms,
        absolute_ms: around.depth.absolute_ms,
    }
}

/// A share in 1/256, all of it as 255.
fn eighth(share: f64) -> u8 {
    whole8((share * 256.0).floor())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole8(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole16(value: f64) -> u16 {
    value.round().clamp(0.0, 65535.0) as u16
}

#[allow(clippy::cast_possible_truncation)]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::BEST;
    use crate::rtcp::Compound;

    const S: i64 = 1_000_000_000;

    /// A stream of 20 ms packets in which those of `gone` never come.
    fn heard(gone: impl Fn(u16) -> bool) -> Reports {
        let mut reports = Reports::new(1, "us");
        for n in (0..1000u16).filter(|&n| !gone(n)) {
            reports.received(i64::from(n) * S / 50, 9, n, u32::from(n) * 160, Some(8000), false);
        }
        reports
    }

    fn metrics(compound: &Compound) -> Voip {
        let blocks = compound.extended.iter().flat_map(|(_, blocks)| blocks);
        let voip = blocks.filter_map(|block| if let Block::Voip(voip) = block { Some(*voip) } else { None });
        voip.into_iter().next_back().expect("VoIP metrics")
    }

    #[test]
    fn a_clean_stream_is_as_good_as_it_gets() {
        let mut reports = heard(|_| false);
        let around = Surroundings { extended: true, levels: (Some(-20), None), ..Surroundings::default() };
        let (compound, quality) = reports.report(20 * S, 0, &around);
        let voip = metrics(&compound);
        assert_eq!((voip.loss, voip.discard, voip.burst_density, voip.gap_density), (0, 0, 0, 0));
        assert_eq!((voip.burst_ms, voip.gap_ms, voip.gmin), (0, 20_000, 16));
        assert_eq!((voip.rating, voip.mos_lq, voip.mos_cq), (UNKNOWN, 44, UNKNOWN), "no round trip is known");
        assert_eq!((voip.signal_dbm0, voip.noise_dbm0), (-20, 127));
        let quality = quality.expect("an interval");
        assert!(quality.mos.is_some_and(|score| (score - narrow(mos(BEST))).abs() < 1e-6));
        assert_eq!(quality.far_mos, None);
    }

    #[test]
    fn bursts_have_their_own_density_and_length() {
        // Every other packet of 20 is gone, twice; and one more, alone.
        let mut reports = heard(|n| n == 400 || n % 2 == 0 && ((200..220).contains(&n) || (600..620).contains(&n)));
        let around = Surroundings { extended: true, ..Surroundings::default() };
        let (compound, quality) = reports.report(20 * S, 0, &around);
        let voip = metrics(&compound);
        assert_eq!(voip.loss, (21.0 * 256.0 / 1000.0) as u8);
        assert_eq!((voip.burst_density, voip.burst_ms), ((10.0 * 256.0 / 19.0) as u8, 380));
        assert_eq!((voip.gap_density, voip.gap_ms), (0, ((1000 - 38) * 20 / 3) as u16));
        let quality = quality.expect("an interval");
        assert_eq!((quality.lost, quality.expected, quality.late), (21, 1000, 0));
        let expected = mos(rating(Impairment::G711, 0.021, 1.0, 0.0));
        assert!(quality.mos.is_some_and(|score| (f64::from(score) - expected).abs() < 0.001));
    }

    #[test]
    fn their_score_is_their_own_or_made_of_their_report() {
        let around = Surroundings { extended: true, ..Surroundings::default() };
        let (mut us, mut them) = (Reports::new(9, "us"), heard(|n| n % 10 == 3));
        let (compound, _) = them.report(20 * S, 0, &around);
        us.received(0, 1, 0, 0, Some(8000), false);
        us.hear(20 * S, &compound);
        let (_, quality) = us.report(21 * S, 0, &around);
        assert_eq!(quality.and_then(|quality| quality.far_mos), Some(f32::from(metrics(&compound).mos_lq) / 10.0));
        us.hear(22 * S, &Compound { extended: vec![], ..compound });
        let (_, quality) = us.report(23 * S, 0, &around);
        let made = mos(rating(Impairment::G711, 25.0 / 256.0, 1.0, 0.0));
        assert!(quality
            .and_then(|quality| quality.far_mos)
            .is_some_and(|score| (f64::from(score) - made).abs() < 0.001));
    }
}
