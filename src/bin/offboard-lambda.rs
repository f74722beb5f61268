//! The Lambda function: composition root, nothing else.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let started = offboard::lambda::start(|name| std::env::var(name).ok(), time::OffsetDateTime::now_utc).await;
    started.map_or_else(
        |error| {
            eprintln!("offboard-lambda: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
