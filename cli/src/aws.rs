//! The AWS account that a command works in, and why it cannot be used.

use std::{error::Error as _, process::Stdio};

use anyhow::{Error, Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError},
};
use offboard::aws;
use serde::Deserialize;
use tokio::{process::Command, sync::OnceCell};

const NO_CREDENTIALS: &str = "no AWS credentials: name a profile in AWS_PROFILE, or set AWS_ACCESS_KEY_ID and \
                              AWS_SECRET_ACCESS_KEY";
/// The credentials that the AWS command line gave: it is asked once.
static EXPORTED: OnceCell<Credentials> = OnceCell::const_new();
const NO_REGION: &str = "no AWS region: set AWS_REGION, or `region` in the profile";

/// Returns what all AWS clients share, once credentials and a region are found.
///
/// # Errors
/// If there are none. Without this, each call would fail with "no connection".
pub async fn config(extra_ca: Option<&[u8]>) -> Result<SdkConfig> {
    let mut config = aws_config::defaults(aws::behavior())
        .http_client(aws::http_client(extra_ca).map_err(Error::msg)?)
        .timeout_config(aws::timeouts())
        .retry_config(aws::retries())
        .load()
        .await;
    if let Some(provider) = config.credentials_provider() {
        let profile = variable("AWS_PROFILE");
        match provider.provide_credentials().await {
            Ok(_) => {}
            // The profile signs in with SSO, by `aws login`, or through a program.
            Err(CredentialsError::InvalidConfiguration(_)) => {
                let exported = EXPORTED.get_or_try_init(|| exported(profile.as_deref())).await?;
                config = config
                    .into_builder()
                    .credentials_provider(SharedCredentialsProvider::new(exported.clone()))
                    .build();
            }
            Err(error) => bail!(no_credentials(&error, profile.as_deref())),
        }
    }
    if config.region().is_none() {
        bail!(NO_REGION);
    }
    Ok(config)
}

/// What `aws configure export-credentials` prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
}

/// Has the AWS command line sign in, in each way that it knows. The SDK's own ways to sign in with SSO would be compiled into
/// the function as well, because Cargo unifies the features of a workspace.
///
/// # Errors
/// If the AWS command line is not there, or has no credentials: it says why on standard error.
async fn exported(profile: Option<&str>) -> Result<Credentials> {
    let name = profile.unwrap_or("default");
    let mut command = Command::new("aws");
    command.args(["configure", "export-credentials", "--format", "process"]);
    command.args(profile.into_iter().flat_map(|profile| ["--profile", profile]));
    // The reason for a refusal, or the question for a second factor, is the program's own: it goes to standard error.
    let started = command.stdout(Stdio::piped()).spawn();
    let started = started.map_err(|error| {
        anyhow!(
            "the AWS profile `{name}` needs the AWS command line (version 2), which cannot be started ({}): install it, and sign \
             in with `aws sso login --profile {name}`, if the profile is of SSO",
            error.kind()
        )
    })?;
    let output = started.wait_with_output().await?;
    let credentials = output.status.success().then(|| serde_json::from_slice(&output.stdout).ok()).flatten();
    let Exported { access_key_id, secret_access_key, session_token } = credentials.ok_or_else(|| {
        anyhow!(
            "the AWS command line, which has to be version 2, has no credentials for the AWS profile `{name}`. If it is of SSO, \
             its session has expired or was never begun: `aws sso login --profile {name}`. What else may be wrong: `aws sts \
             get-caller-identity --profile {name}`"
        )
    })?;
    Ok(Credentials::new(access_key_id, secret_access_key, session_token, None, "aws configure export-credentials"))
}

/// Says why credentials cannot be loaded, and what to do.
fn no_credentials(error: &CredentialsError, profile: Option<&str>) -> String {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    match (error, profile) {
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
        let nothing = CredentialsError::not_loaded("x");
        for (error, profile, expected) in [
            (&nothing, None, vec!["name a profile in AWS_PROFILE"]),
            (&nothing, Some("ops"), vec!["in the AWS profile `ops`", "aws configure list-profiles"]),
        ] {
            let why = no_credentials(error, profile);
            assert!(expected.iter().all(|part| why.contains(part)), "{why}");
        }
        assert!(!no_credentials(&nothing, None).contains("profile `"));
    }
}
