//! The AWS SDK, set up for a quick start; and signed calls without it.

use std::time::Duration;

use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_secretsmanager::{
    config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use aws_types::{
    SdkConfig,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};

mod client;
mod endpoint;
pub(crate) mod signed;

pub use client::http_client;

/// Returns which of the SDK's defaults hold.
pub fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// Returns how long a call of AWS may take.
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(7))
        .build()
}

/// Returns how often a call of AWS is tried.
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(2)
}

/// Returns what all AWS clients of the function share. Region and credentials are in its environment, where Lambda puts them
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html>), and so are other endpoints, if there are any. The
/// SDK's own search would carry along what it may ask next, which is a thirtieth of the function. `extra_ca` is one more certificate
/// authority, in PEM.
///
/// # Errors
/// If there are no credentials, or `extra_ca` holds no usable certificate.
pub(crate) fn of_function(extra_ca: Option<&[u8]>, environment: Environment) -> Result<SdkConfig, String> {
    let region = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION"));
    let endpoint = environment.endpoint("AWS_ENDPOINT_URL");
    let mut config = SdkConfig::builder()
        .behavior_version(behavior())
        .http_client(http_client(extra_ca)?)
        .timeout_config(timeouts())
        .retry_config(retries())
        .credentials_provider(SharedCredentialsProvider::new(environment.credentials()?));
    config.set_region(region.map(Region::new));
    config.set_endpoint_url(endpoint);
    config.set_use_fips(environment.is_on("AWS_USE_FIPS_ENDPOINT").then_some(true));
    config.set_use_dual_stack(environment.is_on("AWS_USE_DUALSTACK_ENDPOINT").then_some(true));
    Ok(config.service_config(environment).build())
}

/// The environment of the function: reads a variable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Environment(pub(crate) fn(&str) -> Option<String>);

impl Environment {
    /// Returns what a variable says. What is set to nothing is not set: deployment tools write such variables.
    pub(crate) fn get(self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    fn is_on(self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// Returns an endpoint that is to be used instead of AWS's.
    fn endpoint(self, name: &str) -> Option<String> {
        self.get(name).filter(|_| !self.is_on("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
    }

    fn credentials(self) -> Result<Credentials, String> {
        let value = |name| self.get(name).map(|value| value.trim().to_owned());
        let key = |name| value(name).ok_or_else(|| format!("no AWS credentials: {name} is not set"));
        let (id, secret) = (key("AWS_ACCESS_KEY_ID")?, key("AWS_SECRET_ACCESS_KEY")?);
        Ok(Credentials::new(id, secret, value("AWS_SESSION_TOKEN"), None, "environment"))
    }
}

/// What is said of one service alone: `AWS_ENDPOINT_URL_SECRETS_MANAGER`.
impl LoadServiceConfig for Environment {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_ascii_uppercase().replace(' ', "_");
        self.endpoint(&format!("{}_{service}", key.env()))
    }
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
    use aws_credential_types::provider::ProvideCredentials;

    use super::*;

    fn with_credentials(name: &str) -> Option<String> {
        let value = match name {
            "AWS_ACCESS_KEY_ID" => "AKIA",
            "AWS_SECRET_ACCESS_KEY" => " secret ",
            "AWS_SESSION_TOKEN" => "",
            "AWS_DEFAULT_REGION" => "eu-west-1",
            "AWS_ENDPOINT_URL" => "https://all.example.com",
            "AWS_ENDPOINT_URL_SECRETS_MANAGER" => "https://secrets.example.com",
            "AWS_USE_FIPS_ENDPOINT" => "True",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[tokio::test]
    async fn region_credentials_and_endpoints_are_those_of_the_environment() {
        let config = of_function(None, Environment(with_credentials)).unwrap();
        assert_eq!(config.region().map(AsRef::as_ref), Some("eu-west-1"));
        let credentials = config.credentials_provider().unwrap().provide_credentials().await.unwrap();
        let of_it = (credentials.access_key_id(), credentials.secret_access_key(), credentials.session_token());
        assert_eq!(of_it, ("AKIA", "secret", None));
        let endpoint = |id| {
            let key =
                ServiceConfigKey::builder().service_id(id).profile("endpoint_url").env("AWS_ENDPOINT_URL").build();
            config.service_config().unwrap().load_config(key.unwrap())
        };
        assert_eq!(endpoint("Secrets Manager").as_deref(), Some("https://secrets.example.com"));
        assert_eq!((endpoint("DynamoDB"), config.endpoint_url()), (None, Some("https://all.example.com")));
        assert_eq!((config.use_fips(), config.use_dual_stack()), (Some(true), None));
    }

    #[test]
    fn endpoints_that_are_to_be_ignored_are() {
        let config = of_function(
            None,
            Environment(|name| match name {
                "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => Some("true".to_owned()),
                name => with_credentials(name),
            }),
        );
        let key = ServiceConfigKey::builder().service_id("Secrets Manager").profile("").env("AWS_ENDPOINT_URL").build();
        let config = config.unwrap();
        assert_eq!(config.endpoint_url(), None);
        assert_eq!(config.service_config().unwrap().load_config(key.unwrap()), None);
    }

    #[test]
    fn missing_credentials_are_named() {
        for missing in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let environment = match missing {
                "AWS_ACCESS_KEY_ID" => |name: &str| with_credentials(name).filter(|_| name != "AWS_ACCESS_KEY_ID"),
                _ => |name: &str| with_credentials(name).filter(|_| name != "AWS_SECRET_ACCESS_KEY"),
            };
            let error = of_function(None, Environment(environment)).expect_err(missing);
            assert_eq!(error, format!("no AWS credentials: {missing} is not set"));
        }
    }

    #[test]
    fn extra_authority_without_a_certificate_is_an_error() {
        for (pem, expected) in [
            ("nothing", "the extra authority's file holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "the extra authority is not usable"),
        ] {
            let error = of_function(Some(pem.as_bytes()), Environment(with_credentials)).expect_err(pem);
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
