//! The AWS SDK, set up for a quick start; and signed calls without it.

use std::time::Duration;

use aws_config::{
    BehaviorVersion, SdkConfig,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    meta::region::ProvideRegion,
    retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

mod client;
mod endpoint;
pub(crate) mod signed;

pub use client::http_client;

/// Returns what all AWS clients share. Region, credentials and endpoints come from where the SDK looks for them: the
/// environment, or a profile. `extra_ca` is one more certificate authority, in PEM.
///
/// # Errors
/// If `extra_ca` holds no usable certificate.
pub async fn config(extra_ca: Option<&[u8]>) -> Result<SdkConfig, String> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(7))
        .build();
    let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http_client(extra_ca)?)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(2));
    // The chains ask the environment first, too, but make clients of all that they might ask next: a function never needs them.
    let loader = match EnvironmentVariableRegionProvider::new().region().await {
        Some(region) => loader.region(region),
        None => loader,
    };
    let environment = EnvironmentVariableCredentialsProvider::new();
    let loader = match environment.provide_credentials().await {
        Ok(_) => loader.credentials_provider(environment),
        Err(_) => loader,
    };
    Ok(loader.load().await)
}

/// Returns why an AWS call failed, and what to do about it. The error's own text is left out: it may quote an e-mail address.
pub fn cause<E>(error: &SdkError<E>) -> String
where
    SdkError<E>: ProvideErrorMetadata,
{
    let kind = match error {
        SdkError::TimeoutError(_) => "time-out",
        SdkError::DispatchFailure(_) => "no connection",
        SdkError::ResponseError(_) => "an answer that was not understood",
        _ => "refused",
    };
    explained(error.code().unwrap_or(kind))
}

/// Returns an error's code with what to do about it.
pub(crate) fn explained(code: &str) -> String {
    next_step(code).map_or_else(|| code.to_owned(), |step| format!("{code} ({step})"))
}

/// Returns what explains an error's code to the person who has to act; `None` if AWS has to.
fn next_step(code: &str) -> Option<&'static str> {
    Some(match code {
        "no connection" | "time-out" => {
            "nothing answered at the endpoint: check the network, AWS_REGION and, if it is set, AWS_ENDPOINT_URL"
        }
        "ResourceNotFoundException" => "it does not exist in this AWS account and region",
        "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist" => {
            "there is no queue at this URL in this AWS account and region"
        }
        "AccessDenied" | "AccessDeniedException" => "the IAM policy of these AWS credentials does not allow the call",
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "the AWS credentials have expired: sign in again"
        }
        "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => {
            "AWS does not accept these credentials: check AWS_PROFILE, or the access key and its secret"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn extra_authority_without_a_certificate_is_an_error() {
        for (pem, expected) in [
            ("nothing", "the extra authority's file holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "the extra authority is not usable"),
        ] {
            let error = config(Some(pem.as_bytes())).await.expect_err(pem);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
