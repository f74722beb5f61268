use super::*;
use crate::providers::ProviderKind;

#[test]
fn no_table_of_the_configuration_accepts_an_unknown_key() {
    let tables = "[policy]\n[ledger]\n[http]\n[notify]\n[sources.hr]\nkind = \"hmac\"\n";
    let providers = ProviderKind::names().into_iter().map(|kind| format!("[providers.{kind}]\nkind = \"{kind}\"\n"));
    // `Section::read` panics at a type whose `deny_unknown_fields` was forgotten. Settings are missing here.
    let errors = Config::parse(&format!("{tables}{}", providers.collect::<String>()), None).unwrap_err();
    assert!(errors.to_string().contains("`providers.cloudflare_access`: `account_id` is missing"), "{errors}");
}
