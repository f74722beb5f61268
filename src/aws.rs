//! The AWS SDK, set up for a quick start.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};

use crate::tls;

/// The five roots of Amazon Trust Services, <https://www.amazontrust.com/repository/>: every AWS endpoint chains to one of
/// them. Parsing the system's whole list would take longer than everything else at start.
const AMAZON_ROOTS: &[u8] = include_bytes!("aws/amazon-roots.pem");

/// What all AWS clients share. Region, credentials and endpoints come from where the SDK looks for them: the environment, or
/// a profile. `extra_ca` is one more certificate authority, in PEM.
///
/// # Errors
/// If `extra_ca` holds no usable certificate.
pub async fn config(extra_ca: Option<&[u8]>) -> Result<SdkConfig, String> {
    let mut roots = TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    if let Some(pem) = extra_ca {
        // The SDK panics at a certificate that is none, and says nothing where there is none at all.
        tls::roots(extra_ca)?;
        roots.add_pem_certificate(pem);
    }
    let tls = TlsContext::builder().with_trust_store(roots).build().map_err(|error| error.to_string())?;
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).tls_context(tls).build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(3))
        .operation_timeout(Duration::from_secs(7))
        .build();
    Ok(aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(2))
        .load()
        .await)
}

/// An SDK's error in our words: its code where the service told one. Its own text may quote an address.
pub(crate) fn told<E>(error: &SdkError<E>) -> String
where
    SdkError<E>: ProvideErrorMetadata,
{
    let kind = match error {
        SdkError::TimeoutError(_) => "time-out",
        SdkError::DispatchFailure(_) => "no connection",
        SdkError::ResponseError(_) => "an answer that was not understood",
        _ => "refused",
    };
    error.code().unwrap_or(kind).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_extra_authority_that_is_none_is_told() {
        for (pem, told) in [
            ("nothing", "the extra authority's file holds no certificate"),
            ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "the extra authority is not usable"),
        ] {
            let error = config(Some(pem.as_bytes())).await.expect_err(pem);
            assert!(error.starts_with(told), "{error}");
        }
    }
}
