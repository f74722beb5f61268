//! Rate limits as the vendors count them.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// From zero in each period of the clock; `Retry-After` is the rest of it.
    Fixed,
    /// In the time before each call; `Retry-After` is when the oldest call leaves it.
    Sliding,
    /// As sliding; who calls beyond it is refused for so long.
    Blocking(Duration),
}

/// One limit of a product, and the calls that count for it.
#[derive(Debug)]
pub struct RateLimit {
    pub count: usize,
    pub per: Duration,
    pub window: Window,
    calls: VecDeque<Instant>,
    blocked_until: Option<Instant>,
}

impl RateLimit {
    pub fn new(count: usize, per: Duration, window: Window) -> Self {
        Self { count, per, window, calls: VecDeque::new(), blocked_until: None }
    }

    /// Returns for how long calls are refused at `now`, if they are.
    pub fn refuses(&mut self, now: Instant, started: Instant) -> Option<Duration> {
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            return Some(until - now);
        }
        let begin = match self.window {
            Window::Fixed => {
                let periods = (now - started).as_nanos() / self.per.as_nanos();
                started + self.per * u32::try_from(periods).unwrap()
            }
            _ => now.checked_sub(self.per).map_or(started, |begin| begin + Duration::from_nanos(1)),
        };
        while self.calls.front().is_some_and(|call| *call < begin) {
            self.calls.pop_front();
        }
        if self.calls.len() < self.count {
            return None;
        }
        Some(match self.window {
            Window::Fixed => begin + self.per - now,
            Window::Sliding => self.calls[0] + self.per - now,
            Window::Blocking(time) => {
                self.blocked_until = Some(now + time);
                time
            }
        })
    }

    pub fn count(&mut self, now: Instant) {
        self.calls.push_back(now);
    }

    /// Returns the least time for so many calls, one after another.
    pub fn least(&self, calls: usize) -> Duration {
        self.per.mul_f64(calls as f64 / self.count as f64)
    }
}
