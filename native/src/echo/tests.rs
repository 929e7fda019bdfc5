//! Echoes of syllables at random: found, followed, forgotten, and never taken for somebody.

use super::*;

const NOISE: [f32; BANDS] = [30.0; BANDS];

/// Syllables at random, as levels of every step.
fn syllables(steps: usize, mut seed: u32) -> Vec<[f32; BANDS]> {
    let mut level = [QUIET_DB; BANDS];
    (0..steps)
        .map(|step| {
            for (band, level) in level.iter_mut().enumerate() {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if step % (9 + 2 * band) == 0 {
                    *level = if seed >> 30 == 0 { QUIET_DB } else { 45.0 + f32::from((seed >> 24) as u8) / 10.0 };
                }
            }
            level
        })
        .collect()
}

/// What an echo makes of `heard`, while `ours` leaves: its changes, and the steps that stood out of what it expects.
fn run(echo: &mut Echo, from: i64, ours: &[[f32; BANDS]], heard: &[[f32; BANDS]]) -> (Vec<Change>, usize) {
    let (mut changes, mut above) = (Vec::new(), 0);
    for (step, (ours, heard)) in (from..).zip(ours.iter().zip(heard)) {
        echo.put(step + AHEAD, ours);
        let at = step * STEP_NS;
        let expected = echo.expected(at).unwrap_or([0.0; BANDS]);
        let over: f32 = heard
            .iter()
            .zip(expected.iter().zip(&NOISE))
            .map(|(&is, (&own, &noise))| (is - own.max(noise)).max(0.0))
            .sum();
        above += usize::from(over > 16.0);
        changes.extend(echo.learn(at, heard, &NOISE));
    }
    (changes, above)
}

fn returned(ours: &[[f32; BANDS]], lag: usize, loss_db: f32) -> Vec<[f32; BANDS]> {
    let quiet = std::iter::repeat_n([QUIET_DB; BANDS], lag);
    quiet.chain(ours.iter().copied()).map(|levels| levels.map(|level| (level - loss_db).max(30.0))).collect()
}

#[test]
fn finds_the_delay_and_the_loss_and_lets_none_of_it_through() {
    for (lag, loss_db) in [(8, 12.0), (30, 20.0), (50, 12.0)] {
        let ours = syllables(400, 7);
        let mut echo = Echo::default();
        let (changes, above) = run(&mut echo, 1000, &ours, &returned(&ours, lag, loss_db));
        let [Change::Found { delay_ms, loss_db: told }] = changes[..] else { panic!("{changes:?}") };
        assert!(delay_ms.abs_diff(u32::try_from(lag * 10).unwrap()) <= 10, "{delay_ms} for {lag} steps");
        assert!((f32::from(u16::try_from(told).unwrap()) - loss_db).abs() <= 3.0, "{told} for {loss_db} dB");
        assert_eq!(above, 0);
    }
}

#[test]
fn follows_a_delay_that_jumps() {
    let ours = syllables(800, 8);
    let mut heard = returned(&ours, 20, 12.0);
    heard.splice(400.., returned(&ours, 35, 12.0).split_off(400));
    let (changes, _) = run(&mut Echo::default(), 0, &ours, &heard);
    assert!(matches!(changes[..], [Change::Found { .. }, Change::Found { delay_ms: 340..=360, .. }]), "{changes:?}");
}

#[test]
fn takes_nobody_else_for_an_echo_and_lets_them_through() {
    let (ours, theirs) = (syllables(1000, 9), syllables(1000, 10));
    let mut echo = Echo::default();
    // A second of silence shows that nothing comes back; then somebody speaks.
    let heard: Vec<_> = theirs.iter().enumerate().map(|(n, &one)| if n < 150 { NOISE } else { one }).collect();
    let (changes, above) = run(&mut echo, 0, &ours, &heard);
    assert_eq!(changes, []);
    assert!(above > 600, "{above} of 850 steps are heard");
}

#[test]
fn forgets_an_echo_that_stays_away() {
    let ours = syllables(1200, 11);
    let mut heard = returned(&ours, 20, 12.0);
    heard[500..].fill(NOISE);
    let (changes, _) = run(&mut Echo::default(), 0, &ours, &heard);
    assert!(matches!(changes[..], [Change::Found { .. }, Change::Gone]), "{changes:?}");
}

#[test]
fn expects_nothing_where_we_did_not_speak() {
    let mut echo = Echo::default();
    assert_eq!(echo.expected(0), None);
    run(&mut echo, 0, &syllables(100, 12), &vec![NOISE; 100]);
    assert_eq!(echo.expected((100 + AHEAD + LINGER + 1) * STEP_NS), None);
}

#[test]
fn explains_nothing_that_comes_long_after_we_spoke() {
    let ours = syllables(300, 13);
    let mut echo = Echo::default();
    run(&mut echo, 0, &ours, &returned(&ours, 20, 12.0));
    assert!(echo.found.is_some() && echo.alike >= ALIKE);
    let later = (300 + AHEAD + LINGER + 1..600).map(|step| step * STEP_NS);
    let explained = later.filter(|&at| {
        echo.learn(at, &[60.0; BANDS], &NOISE);
        echo.explains(at)
    });
    assert_eq!(explained.count(), 0);
}

#[test]
fn a_voice_that_broke_off_does_not_sound_again_when_silence_leaves_later() {
    let mut echo = Echo::default();
    let loud: Vec<i16> = (0..STEP).map(|n| if n % 2 == 0 { 30_000 } else { -20_000 }).collect();
    echo.left(0, &loud);
    assert_eq!(echo.sounded, Some(0));
    echo.left(50 * STEP_NS, &[0; STEP]);
    assert_eq!(echo.sounded, Some(0));
}
