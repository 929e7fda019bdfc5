//! Arguments, and the bounds that keep a run small and at home.

use std::collections::HashMap;
use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// At most so many calls, seconds, and call-seconds.
pub const CALLS_MOST: usize = 2000;
pub const SECONDS_MOST: f64 = 600.0;
pub const CALL_SECONDS_MOST: f64 = 200_000.0;

/// What was typed: `--name value`, or `--name` for a flag.
#[derive(Debug, Default)]
pub struct Args(HashMap<String, String>);

impl Args {
    /// Read arguments; `flags` take no value.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(typed: impl IntoIterator<Item = String>, options: &[&str], flags: &[&str]) -> Result<Self, String> {
        let mut args = Self::default();
        let mut typed = typed.into_iter();
        while let Some(word) = typed.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("{word}: an option begins with --"))?;
            let value = if flags.contains(&name) {
                String::new()
            } else if options.contains(&name) {
                typed.next().ok_or_else(|| format!("--{name} needs a value"))?
            } else {
                return Err(format!("--{name} is not known; known are {}", [options, flags].concat().join(", ")));
            };
            args.0.insert(name.to_owned(), value);
        }
        Ok(args)
    }

    /// Whether a flag or option was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// An option as it was typed.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An option's value, None where it was not given.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn value<T: FromStr<Err: Display>>(&self, name: &str) -> Result<Option<T>, String> {
        self.text(name).map(|text| text.parse().map_err(|why| format!("--{name} {text}: {why}"))).transpose()
    }

    /// `--calls`, within its bounds.
    ///
    /// # Errors
    /// Where it is missing (and has no default) or out of bounds.
    pub fn calls(&self, default: Option<usize>) -> Result<usize, String> {
        let calls = self.value("calls")?.or(default).ok_or("--calls is needed")?;
        if !(1..=CALLS_MOST).contains(&calls) {
            return Err(format!("--calls {calls}: 1 to {CALLS_MOST}"));
        }
        Ok(calls)
    }

    /// `--seconds`, within its bounds, for so many calls.
    ///
    /// # Errors
    /// Where it is missing or out of bounds.
    pub fn seconds(&self, calls: usize) -> Result<f64, String> {
        let seconds: f64 = self.value("seconds")?.ok_or("--seconds is needed")?;
        #[allow(clippy::cast_precision_loss)]
        let most = (CALL_SECONDS_MOST / calls as f64).min(SECONDS_MOST);
        if !(0.1..=most).contains(&seconds) {
            return Err(format!("--seconds {seconds}: 0.1 to {most} for {calls} calls"));
        }
        Ok(seconds)
    }

    /// `--first-port`: 0 where the system may choose.
    ///
    /// # Errors
    /// Where it is odd or privileged.
    pub fn first_port(&self) -> Result<u16, String> {
        let port: u16 = self.value("first-port")?.unwrap_or(0);
        if port % 2 == 1 || (1..1024).contains(&port) {
            return Err(format!("--first-port {port}: an even port from 1024 on, or 0 for the system's choice"));
        }
        Ok(port)
    }
}

/// Targets: `ADDR:PORT` or `PORT`, split by blanks, commas or line ends; of this machine only.
///
/// # Errors
/// Where one can't be read or lies outside 127.0.0.0/8.
pub fn targets(text: &str) -> Result<Vec<SocketAddr>, String> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    words
        .map(|word| {
            let port = word.parse::<u16>().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let target = port.or_else(|_| word.parse()).map_err(|_| format!("{word}: not ADDR:PORT and not PORT"))?;
            let home = target.is_ipv4() && target.ip().is_loopback() && target.port() != 0;
            home.then_some(target).ok_or_else(|| format!("{word}: only 127.0.0.0/8, and a port that is not 0"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned), &["calls", "seconds", "first-port"], &["wait"])
    }

    #[test]
    fn bounds_are_kept() {
        let args = parse("--calls 500 --seconds 20 --wait").expect("good arguments");
        assert_eq!((args.calls(None), args.seconds(500), args.first_port()), (Ok(500), Ok(20.0), Ok(0)));
        assert!(args.has("wait") && args.seconds(200_000).is_err());
        assert!(parse("--calls 2001").is_ok_and(|args| args.calls(None).is_err()));
        assert!(parse("--first-port 4001").is_ok_and(|args| args.first_port().is_err()));
        assert!(parse("--seconds").is_err() && parse("calls").is_err() && parse("--other 1").is_err());
    }

    #[test]
    fn only_this_machine_is_loaded() {
        let wanted = [SocketAddr::from(([127, 0, 0, 1], 4000)), SocketAddr::from(([127, 0, 0, 2], 5000))];
        assert_eq!(targets("4000, 127.0.0.2:5000\n").as_deref(), Ok(&wanted[..]));
        for bad in ["192.0.2.1:4000", "10.0.0.1:9", "[::1]:9", "0.0.0.0:9", "127.0.0.1:0", "host:1"] {
            assert!(targets(bad).is_err(), "{bad}");
        }
    }
}
