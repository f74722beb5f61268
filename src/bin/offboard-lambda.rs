//! The Lambda function: composition root, nothing else.

use std::{panic, process::ExitCode};

use offboard::lambda;
use time::OffsetDateTime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // A task: when what `main` itself waits for is woken, the runtime asks the system for events each time.
    let function = tokio::spawn(lambda::start(|name| std::env::var(name).ok(), OffsetDateTime::now_utc)).await;
    function.unwrap_or_else(|error| panic::resume_unwind(error.into_panic())).map_or_else(
        |error| {
            eprintln!("offboard-lambda: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}
