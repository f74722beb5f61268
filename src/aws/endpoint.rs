//! Where a service of AWS is, as the SDK finds it: what is configured for the service, for all services, or its region's endpoint.

use aws_types::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

use super::signed::Api;

/// The beginnings of the regions that are apart from all others, and the ends of their services' names: with IPv4 alone, and with
/// IPv6 as well.
const PARTITIONS: [(&str, &str, &str); 6] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
];
/// The same of every other region.
const SUFFIXES: (&str, &str) = ("amazonaws.com", "api.aws");

/// Returns the URL of a service's endpoint.
pub(super) fn endpoint(aws: &SdkConfig, api: &Api, region: &str) -> String {
    let key = ServiceConfigKey::builder().service_id(api.id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = aws.service_config().zip(key.ok()).and_then(|(config, key)| config.load_config(key));
    let configured = own.or_else(|| aws.endpoint_url().map(str::to_owned));
    // What is set to nothing is not set.
    configured.filter(|url| !url.is_empty()).unwrap_or_else(|| regional(aws, api.name, region))
}

/// Returns the URL of a service's endpoint in a region: <https://docs.aws.amazon.com/general/latest/gr/rande.html>.
fn regional(aws: &SdkConfig, name: &str, region: &str) -> String {
    let (is_fips, is_dual_stack) = (aws.use_fips() == Some(true), aws.use_dual_stack() == Some(true));
    let partition = PARTITIONS.iter().find(|(beginning, ..)| region.starts_with(beginning));
    let (ipv4, both) = partition.map_or(SUFFIXES, |(_, ipv4, both)| (*ipv4, *both));
    // In these regions they are FIPS endpoints under their plain names.
    let is_plain = region.starts_with("us-gov-") && !is_dual_stack && name != "s3";
    let fips = if is_fips && !is_plain { "-fips" } else { "" };
    match (is_dual_stack, name) {
        (false, _) => format!("https://{name}{fips}.{region}.{ipv4}"),
        (true, "s3") => format!("https://{name}{fips}.dualstack.{region}.{ipv4}"),
        (true, _) => format!("https://{name}{fips}.{region}.{both}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A profile, or the environment, that names an endpoint for one service.
    #[derive(Debug)]
    struct Configured(&'static str);

    impl aws_types::service_config::LoadServiceConfig for Configured {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            assert_eq!((key.env(), key.profile()), ("AWS_ENDPOINT_URL", "endpoint_url"));
            (key.service_id() == "SQS").then(|| self.0.to_owned())
        }
    }

    const SQS: Api = Api { name: "sqs", id: "SQS" };

    #[test]
    fn endpoint_of_the_service_goes_before_that_of_all_and_both_before_the_regions() {
        let (own, all) = ("http://127.0.0.1:1", "http://127.0.0.1:2");
        let of_region = "https://sqs.eu-west-1.amazonaws.com";
        for (service, general, expected) in [
            (Some(own), Some(all), own),
            (Some(own), None, own),
            (None, Some(all), all),
            (None, None, of_region),
            (Some(""), None, of_region),
            (None, Some(""), of_region),
        ] {
            let mut aws = SdkConfig::builder();
            aws.set_endpoint_url(general.map(str::to_owned)).set_service_config(service.map(Configured));
            assert_eq!(endpoint(&aws.build(), &SQS, "eu-west-1"), expected, "{service:?} {general:?}");
        }
        let aws = SdkConfig::builder().service_config(Configured(own)).build();
        let events = Api { name: "events", id: "EventBridge" };
        assert_eq!(endpoint(&aws, &events, "eu-west-1"), "https://events.eu-west-1.amazonaws.com");
    }

    /// As in the tests of the SDK's crate for SQS.
    #[test]
    fn endpoint_of_a_region_is_the_one_of_the_sdk() {
        const DUAL: (bool, bool) = (false, true);
        const FIPS: (bool, bool) = (true, false);
        const BOTH: (bool, bool) = (true, true);
        for (region, (is_fips, is_dual_stack), host) in [
            ("eu-west-1", (false, false), "sqs.eu-west-1.amazonaws.com"),
            ("us-east-1", FIPS, "sqs-fips.us-east-1.amazonaws.com"),
            ("us-east-1", DUAL, "sqs.us-east-1.api.aws"),
            ("us-east-1", BOTH, "sqs-fips.us-east-1.api.aws"),
            ("cn-north-1", (false, false), "sqs.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", FIPS, "sqs-fips.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", DUAL, "sqs.cn-north-1.api.amazonwebservices.com.cn"),
            ("us-gov-west-1", (false, false), "sqs.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", FIPS, "sqs.us-gov-west-1.amazonaws.com"),
            ("us-gov-east-1", DUAL, "sqs.us-gov-east-1.api.aws"),
            ("us-gov-east-1", BOTH, "sqs-fips.us-gov-east-1.api.aws"),
            ("us-iso-east-1", (false, false), "sqs.us-iso-east-1.c2s.ic.gov"),
            ("us-iso-east-1", FIPS, "sqs-fips.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", (false, false), "sqs.us-isob-east-1.sc2s.sgov.gov"),
        ] {
            let aws = SdkConfig::builder().use_fips(is_fips).use_dual_stack(is_dual_stack).build();
            assert_eq!(endpoint(&aws, &SQS, region), format!("https://{host}"), "{region}");
        }
    }
}
