//! The AWS account that a command works in, and why it cannot be used.

use std::error::Error as _;

use anyhow::{Error, Result, bail};
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError};

const NO_CREDENTIALS: &str = "no AWS credentials: name a profile in AWS_PROFILE, or set AWS_ACCESS_KEY_ID and \
                              AWS_SECRET_ACCESS_KEY";
const NO_REGION: &str = "no AWS region: set AWS_REGION, or `region` in the profile";

/// Returns what all AWS clients share, once credentials and a region are found.
///
/// # Errors
/// If there are none. Without this, each call would fail with "no connection".
pub async fn config(extra_ca: Option<&[u8]>) -> Result<SdkConfig> {
    let aws = offboard::aws::config(extra_ca).await.map_err(Error::msg)?;
    if let Some(provider) = aws.credentials_provider()
        && let Err(error) = provider.provide_credentials().await
    {
        bail!(no_credentials(&error, variable("AWS_PROFILE").as_deref()));
    }
    if aws.region().is_none() {
        bail!(NO_REGION);
    }
    Ok(aws)
}

/// Says why credentials cannot be loaded, and what to do.
fn no_credentials(error: &CredentialsError, profile: Option<&str>) -> String {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let name = profile.unwrap_or("default");
    match (error, profile) {
        // The SDK signs in through neither SSO nor a program: their features are switched off.
        (CredentialsError::InvalidConfiguration(_), _) => format!(
            "the AWS profile `{name}` cannot be used as it is. If it signs in with SSO or through a program, let the AWS command \
             line do so: `aws sso login --profile {name}`, if you are not signed in, then `eval \"$(aws configure \
             export-credentials --profile {name} --format env)\"`. Otherwise correct it: {}",
            cause.trim_end()
        ),
        // The SDK goes on to the metadata of a virtual machine, and reports what failed last.
        (_, Some(name)) => format!(
            "no credentials in the AWS profile `{name}`: `aws configure list-profiles` lists the profiles there are, and `aws sts \
             get-caller-identity --profile {name}` tries this one"
        ),
        (CredentialsError::CredentialsNotLoaded(_), None) => NO_CREDENTIALS.to_owned(),
        (_, None) => format!("{NO_CREDENTIALS} ({cause})"),
    }
}

/// An environment variable; an empty one is not set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_credentials_name_the_profile_and_the_next_step() {
        let (nothing, wrong) = (CredentialsError::not_loaded("x"), CredentialsError::invalid_configuration("no role"));
        for (error, profile, expected) in [
            (&nothing, None, vec!["name a profile in AWS_PROFILE"]),
            (&nothing, Some("ops"), vec!["in the AWS profile `ops`", "aws configure list-profiles"]),
            (&wrong, Some("ops"), vec!["aws sso login --profile ops", "export-credentials --profile ops", "no role"]),
        ] {
            let why = no_credentials(error, profile);
            assert!(expected.iter().all(|part| why.contains(part)), "{why}");
        }
        assert!(!no_credentials(&nothing, None).contains("profile `"));
    }
}
