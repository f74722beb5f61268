//! The outputs of a stack in CloudFormation: read anew by each command, and kept in no file.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::{error::ProvideErrorMetadata, types::Stack};
use offboard::{aws::cause, config::BaseUrl, source::Protocol};

use crate::aws;

/// Stands for the URL of an API that is not known.
pub const NO_API: &str = "https://YOUR-API";

/// The API at which sources are reached.
pub enum Api {
    /// The URL that was named.
    Url(String),
    /// The one of a stack.
    Stack(Outputs),
}

impl Api {
    /// Returns the API of a stack, if one is named, otherwise the one at this URL.
    ///
    /// # Errors
    /// If the stack's outputs cannot be read.
    pub async fn named(stack: Option<&str>, url: &str) -> anyhow::Result<Self> {
        match stack {
            Some(stack) => Ok(Self::Stack(Outputs::read(&aws::config(None).await?, stack).await?)),
            None => Ok(Self::Url(url.to_owned())),
        }
    }

    /// Returns the URL at which a source of this name and protocol is reached.
    ///
    /// # Errors
    /// If the stack has no such output.
    pub fn endpoint(&self, protocol: Protocol, source: &str) -> anyhow::Result<String> {
        match self {
            Self::Url(url) => Ok(format!("{}{}", url.trim_end_matches('/'), protocol.path(source))),
            Self::Stack(outputs) => Ok(outputs.endpoint(protocol, source)?.url().to_string()),
        }
    }
}

/// The outputs of a stack that is not being changed.
pub struct Outputs {
    stack: String,
    status: String,
    values: BTreeMap<String, String>,
}

impl Outputs {
    /// Reads the outputs.
    ///
    /// # Errors
    /// If the stack cannot be read, or is being changed: its outputs may be those of before.
    pub async fn read(aws: &SdkConfig, stack: &str) -> anyhow::Result<Self> {
        let region = aws.region().map(|region| format!(" ({region})")).unwrap_or_default();
        let unknown = || anyhow!("there is no stack {stack} in this AWS account and region{region}");
        let described = aws_sdk_cloudformation::Client::new(aws).describe_stacks().stack_name(stack).send().await;
        let described = described.map_err(|error| match error.code() {
            // CloudFormation says so of a stack that does not exist.
            Some("ValidationError") => unknown(),
            _ => anyhow!("the stack {stack} cannot be read with cloudformation:DescribeStacks: {}", cause(&error)),
        })?;
        let outputs = Self::of(described.stacks().first().ok_or_else(unknown)?, stack);
        if is_changing(&outputs.status) {
            bail!(outputs.changing());
        }
        Ok(outputs)
    }

    fn of(described: &Stack, name: &str) -> Self {
        let pairs = described.outputs().iter().filter_map(|output| output.output_key().zip(output.output_value()));
        let status = described.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default();
        let values = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { stack: name.to_owned(), status, values }
    }

    /// Returns the value of an output.
    ///
    /// # Errors
    /// If the stack does not have the output: it was not created, or is another one.
    pub fn get(&self, output: &str) -> anyhow::Result<&str> {
        let Self { stack, status, values } = self;
        values.get(output).map(String::as_str).ok_or_else(|| {
            anyhow!("the stack {stack} ({status}) has no output {output}: is it one of this version's template.yaml?")
        })
    }

    /// Returns the URL at which a source of this name and protocol is reached.
    ///
    /// # Errors
    /// If the stack does not have the output, or it is not a URL.
    pub fn endpoint(&self, protocol: Protocol, source: &str) -> anyhow::Result<BaseUrl> {
        let output = match protocol {
            Protocol::Webhook => "WebhookUrl",
            Protocol::Scim => "ScimUrl",
        };
        let url = BaseUrl::try_from(format!("{}/{source}", self.get(output)?.trim_end_matches('/')));
        url.map_err(anyhow::Error::msg).with_context(|| format!("the output {output} of the stack {}", self.stack))
    }

    /// Says what to do about a stack that is being changed. A pause may not be able to wait.
    fn changing(&self) -> String {
        let Self { stack, status, values } = self;
        let of = |(variable, output)| values.get(output).map(|value| format!("{variable}={value}"));
        let variables = [("OFFBOARD_LEDGER_TABLE", "LedgerTable"), ("OFFBOARD_QUEUE_URL", "QueueUrl")];
        let before: Vec<_> = variables.into_iter().filter_map(of).collect();
        let hint = match before[..] {
            [] => String::new(),
            _ => format!(". What cannot wait works without --stack on what it had before: {}", before.join(" ")),
        };
        format!(
            "the stack {stack} is being changed ({status}), and its outputs may be: try again when it has ended{hint}"
        )
    }
}

/// Returns whether a stack of this status may have other outputs in a moment. In the cleanup after an update they stand.
fn is_changing(status: &str) -> bool {
    status.ends_with("_IN_PROGRESS") && !status.ends_with("_CLEANUP_IN_PROGRESS")
}
