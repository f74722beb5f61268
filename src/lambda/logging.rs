//! Logs: one line each, JSON where Lambda is configured so, and nothing of other libraries' that may quote a body.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

/// Sets logging up for the process. `format` and `level` are Lambda's logging controls.
pub(super) fn init(format: Option<&str>, level: Option<&str>) {
    let own = match level.map(str::to_ascii_uppercase).as_deref() {
        Some("TRACE") => LevelFilter::TRACE,
        Some("DEBUG") => LevelFilter::DEBUG,
        Some("WARN") => LevelFilter::WARN,
        Some("ERROR" | "FATAL") => LevelFilter::ERROR,
        _ => LevelFilter::INFO,
    };
    // The runtime's and the SDK's own lines below this may hold an event or a URL.
    let filter = Targets::new().with_target("offboard", own).with_default(own.min(LevelFilter::ERROR));
    let registry = tracing_subscriber::registry().with(filter);
    // A second call in the same process changes nothing.
    let _ = if format.is_some_and(|format| format.eq_ignore_ascii_case("json")) {
        registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false)
                    .with_target(false),
            )
            .try_init()
    } else {
        registry.with(fmt::layer().with_ansi(false).with_target(false)).try_init()
    };
    // A panic's message may quote what was being read.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
        tracing::error!(location, "offboard panicked");
    }));
}
