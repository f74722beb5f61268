//! Mock services of AWS.

pub mod lambda_runtime;
pub mod secrets_manager;
