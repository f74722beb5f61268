//! The Lambda function: composition root, nothing else.

use std::process::ExitCode;

use offboard::lambda;
use time::OffsetDateTime;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match lambda::start(|name| std::env::var(name).ok(), OffsetDateTime::now_utc).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("offboard-lambda: {error}");
            ExitCode::FAILURE
        }
    }
}
