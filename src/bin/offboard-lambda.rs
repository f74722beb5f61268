//! The Lambda function: composition root, nothing else.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), offboard::lambda::Error> {
    offboard::lambda::start(|name| std::env::var(name).ok(), time::OffsetDateTime::now_utc).await
}
