//! Files that cannot work, and providers that use a file in a way that cannot.

use super::check;
use crate::{config::Config, providers::Tenant, secrets::Secret};

mod files;
mod mutated;
mod size;

/// A file in which nothing is wrong.
const GOOD: &str = r#"title = "Acme: delete user"
page = "https://acme.example.com/docs"
effect = "The user is gone."
permission = "admin"
status = "verified-docs"
actions = ["delete"]
[settings.tenant]
description = "the tenant"
characters = "a-z"
[secret]
key = "API key"
[auth]
bearer = "key"
[http]
base_url = "https://{tenant}.acme.example.com/api"
[find.user]
get = "/users"
query = { filter = 'mail eq "{email:scim}"', page = "{page}" }
page = { count = "pages", from = 1, more = "/more" }
items = "/users"
id = "/id"
email = "/email"
[remove.delete]
user = [{ delete = "/users/{id}", expect = 204 }]
"#;

fn errors(text: &str) -> String {
    check::parse(text, |_| None).map(|_| String::new()).unwrap_or_else(|errors| errors.to_string())
}

#[test]
fn good_file_has_no_faults() {
    assert_eq!(errors(GOOD), "");
}

#[test]
fn file_that_cannot_work_is_refused_with_its_line() {
    let cases = [
        // Variables.
        ("/users/{id}\"", "/users/{user}\"", "line 24: `remove.delete.user.0`: unknown variable `{user}`"),
        ("{email:scim}", "{key}", "line 18: `find.user.query.filter`: a secret stands in headers and [auth] alone"),
        ("{email:scim}", "{id:scim}", "line 18: `find.user.query.filter`: only a removal has an id, that of a look-up"),
        (
            "{email:scim}",
            "{email}",
            "line 18: `find.user.query.filter`: `{email}` stands in a longer text: name its escape",
        ),
        ("{email:scim}", "{email:sql}", "line 18: `the kind`: `{email:sql}`: unknown escape `sql`"),
        ("{email:scim}", "{email:plain}", "line 18: `find.user.query.filter`: `{email}` stands between quotes"),
        ("\"{email:scim}\"", "{email:scim}", "line 18: `find.user.query.filter`: `{email}` has an escape for quotes"),
        ("{email:scim}", "{email:scim", "line 18: `the kind`: `mail eq \"{email:scim\"`: a variable stands between"),
        ("{tenant}.", "{email}.", "line 15: `http.base_url`: unknown variable `{email}`"),
        // Look-ups and steps.
        (
            "user = [{",
            "person = [{",
            "line 24: `remove.delete.person`: no look-up gives the id: there is no [find.person]",
        ),
        ("user = [{", "person = [{", "line 23: `remove.delete`: no steps for what [find.user] shows"),
        ("[\"delete\"]", "[\"delete\", \"deactivate\"]", "line 6: `actions`: `deactivate` has no steps"),
        ("[\"delete\"]", "[\"deactivate\"]", "line 23: `remove.delete`: `actions` does not name `delete`"),
        ("remove.delete", "remove.deactivate", "line 6: `actions`: `delete` has no steps"),
        ("users/{id}", "users", "line 24: `remove.delete.user.0`: neither `{id}` nor `{email}` stands in the call"),
        ("\"/users/{id}\"", "\"users/{id}\"", "line 24: `remove.delete.user.0`: a path begins with a /"),
        ("/{id}", "/{id:scim}", "line 24: `remove.delete.user.0`: a path escapes by itself"),
        ("expect = 204", "expect = 404", "line 24: `remove.delete.user.0`: a status from 200 to 299 is meant"),
        (
            "get = \"/users\"",
            "post = \"/users\"\nget = \"/users\"",
            "line 16: `find.user`: a call has exactly one method",
        ),
        ("items = \"/users\"", "", "line 16: `find.user`: either `items` (a list) or `object`"),
        (", page = \"{page}\" }", " }", "line 19: `find.user.page`: no `{page}` stands in the request"),
        (
            "page = { count = \"pages\", from = 1, more = \"/more\" }",
            "",
            "line 18: `find.user.query.page`: unknown variable `{page}`",
        ),
        (
            "get = \"/users\"",
            "get = \"/users?all=1\"",
            "line 16: `find.user`: a path has neither `?` nor `#`: parameters stand in `query`",
        ),
        ("\"/users/{id}\"", "\"/users/{id}#x\"", "line 24: `remove.delete.user.0`: a path has neither `?` nor `#`"),
        ("\"/users/{id}\"", "\"/users/../{id}\"", "line 24: `remove.delete.user.0`: a path has no empty segments"),
        ("\"/users/{id}\"", "\"/users//{id}\"", "line 24: `remove.delete.user.0`: a path has no empty segments"),
        ("get = \"/users\"", "get = \"/users/{page}\"", "line 16: `find.user`: `{page}` stands in a query"),
        (
            "get = \"/users\"",
            "get = \"/users\"\ngraphql = \"{users}\"",
            "line 16: `find.user`: a `graphql` document is sent with `post`",
        ),
        (
            "expect = 204",
            "expect = 204, has = [\"/id\"]",
            "line 24: `remove.delete.user.0`: `has`, `id` and `job` read a body, and a 204 has none",
        ),
        // Predicates.
        (
            "id = \"/id\"",
            "id = \"/id\"\ninactive = []",
            "line 22: `find.user.inactive`: an empty list of predicates never holds",
        ),
        ("id = \"/id\"", "id = \"/id\"\nskip = []", "line 22: `find.user.skip`: an empty list of predicates"),
        (
            "id = \"/id\"",
            "id = \"/id\"\ninactive = { \"/off\" = [] }",
            "line 22: `the kind`: `/off` must be one of something",
        ),
        (
            "id = \"/id\"",
            "id = \"/id\"\ninactive = { \"/off\" = 1.5 }",
            "line 22: `find.user.inactive`: `/off` cannot match",
        ),
        (
            "id = \"/id\"",
            "id = \"/id\"\nskip = {}",
            "line 22: `find.user.skip`: a predicate without conditions holds always",
        ),
        ("id = \"/id\"", "id = \"/id\"\nskip = { off = true }", "line 22: `the kind`: `off` is not a JSON Pointer"),
        ("id = \"/id\"", "id = \"id\"", "line 21: `the kind`: `id` is not a JSON Pointer"),
        (
            "items = \"/users\"",
            "object = \"/user\"\nabsent = [{ status = 404 }]",
            "line 21: `find.user.absent`: a status alone does not say",
        ),
        (
            "id = \"/id\"",
            "id = \"/id\"\nabsent = [{ status = 404, where = { \"/c\" = 1 } }]",
            "line 22: `find.user.absent`: a list that is refused says nothing",
        ),
        (
            "id = \"/id\"",
            "id = \"/id\"\ncanary = \"user\"",
            "line 22: `find.user.canary`: `user` is not another look-up, which shows its own canary",
        ),
        (
            "page = { count = \"pages\", from = 1, more = \"/more\" }",
            "page = { count = \"pages\", from = 1 }\nleft_out = true",
            "line 20: `find.user.left_out`: without `more` or `total` of its page",
        ),
        // Jobs.
        (
            "expect = 204",
            "expect = 204, job = \"/job\"",
            "line 24: `remove.delete.user.0`: no later step asks about the `{job}`",
        ),
        ("/users/{id}", "/jobs/{job}", "line 24: `remove.delete.user.0`: no earlier step has a `job`"),
        (
            "expect = 204",
            "expect = 204, running = { \"/state\" = \"running\" }",
            "line 24: `remove.delete.user.0`: only a call that asks about a `{job}` is repeated",
        ),
        // Token requests.
        (
            "bearer = \"key\"",
            "oauth = { token_url = \"https://acme.example.com/token\", send = \"assertion\" }",
            "line 13: `auth.oauth`: `send = \"assertion\"` and the table `assertion` go together",
        ),
        (
            "bearer = \"key\"",
            "oauth = { token_url = \"https://acme.example.com/token\", send = \"assertion\", assertion = { key = \"pem\", claims = { exp = \"1\" } } }",
            "line 13: `auth.oauth.assertion`: `pem` is not a key of [secret]",
        ),
        (
            "bearer = \"key\"",
            "oauth = { token_url = \"https://acme.example.com/token\", send = \"assertion\", assertion = { key = \"key\", claims = { exp = \"1\" } } }",
            "line 13: `auth.oauth.assertion.claims.exp`: `iat` and `exp` are added",
        ),
        (
            "bearer = \"key\"",
            "oauth = { token_url = \"https://acme.example.com/token\", send = \"fields\", fields = { user = \"{tenant}\" } }",
            "line 13: `auth.oauth`: no field of the token request has a secret",
        ),
        (
            "bearer = \"key\"",
            "oauth = { token_url = \"https://acme.example.com/token\", send = \"form\" }",
            "line 13: `auth.oauth`: `client_id` is not a key of [secret]",
        ),
        (
            "items = \"/users\"",
            "items = \"/users\"\nexpect = 404",
            "line 16: `find.user`: a status from 200 to 299 is meant",
        ),
        (
            "items = \"/users\"",
            "items = \"/users\"\nheaders = { Range = \"{page}\" }",
            "line 21: `find.user.headers.Range`: a header's name is in lower case",
        ),
        // Settings, secrets, hosts.
        (
            "characters = \"a-z\"",
            "",
            "line 15: `http.base_url`: `tenant` stands in a URL, so it needs `one_of` or `characters`",
        ),
        (
            "characters = \"a-z\"",
            "characters = \"a-z\"\ndefault = \"A\"",
            "line 10: `settings.tenant.default`: `tenant` must have 1 to 256 characters of a-z",
        ),
        ("key = \"API key\"", "key = \"API key\"\nother = \"another\"", "line 12: `secret.other`: nothing uses it"),
        ("bearer = \"key\"", "bearer = \"token\"", "line 13: `auth.bearer`: `token` is not a key of [secret]"),
        (
            "base_url = \"https://",
            "base_url = \"http://",
            "line 15: `http.base_url`: a URL that credentials are sent to must be https",
        ),
        ("settings.tenant", "settings.canary", "line 7: `settings.canary`: this name has a meaning of its own"),
        (
            "[http]",
            "[http]\nheaders = { Accept = \"x\" }",
            "line 15: `http.headers.Accept`: a header's name is in lower case",
        ),
        (
            "[http]",
            "[http]\nheaders = { host = \"x\" }",
            "line 15: `http.headers.host`: this header is of the connection",
        ),
        ("{tenant}.acme", "user@{tenant}.acme", "line 15: `http.base_url`: a base URL has a host, and neither user"),
        (".com/api", ".com/api?x=1", "line 15: `http.base_url`: a base URL has neither query nor fragment"),
        (".com/api", ".com/api#x", "line 15: `http.base_url`: a base URL has neither query nor fragment"),
        (".com/api", ".com:x/api", "line 15: `http.base_url`: not a URL"),
        (
            "bearer = \"key\"",
            "oauth = { token_url = \"https://acme.example.com/token?x=1\", send = \"form\" }",
            "line 13: `auth.oauth.token_url`: a base URL has neither query nor fragment",
        ),
        (
            "characters = \"a-z\"",
            "characters = \"a-z@\"",
            "line 15: `http.base_url`: `tenant` stands in a host, so its `characters` must not have `@`",
        ),
        (
            "characters = \"a-z\"",
            "characters = \".-:\"",
            "line 15: `http.base_url`: `tenant` stands in a host, so its `characters` must not have `/`",
        ),
        (
            "{tenant}.acme.example.com/",
            "acme.example.com{tenant}/",
            "line 15: `http.base_url`: a variable directly after a host would move it",
        ),
        // Shape.
        ("title = \"Acme", "title = \"\\u001b[2JAcme", "line 1: `title` has a control character"),
        ("effect = \"", "effect = \"\\n", "line 3: `effect` has a control character"),
        ("key = \"API key\"", "key = \"API\\u0007key\"", "line 11: `key` has a control character"),
        ("title = ", "titel = ", "line 1: unknown key `titel` in `the kind`: did you mean `title`?"),
        ("id = \"/id\"", "id = \"/id\"\nblockd = []", "line 22: unknown key `find.user.blockd` in `the kind`"),
        (
            "[find.user]",
            "[[errors]]\nkind = \"blocked\"\n[find.user]",
            "line 16: `errors.0`: a rule without `status`, `where` and `header`",
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, expected) in cases {
        assert!(GOOD.contains(from), "{from}");
        let said = errors(&GOOD.replacen(from, to, 1));
        if !said.lines().any(|line| line.starts_with(expected)) {
            wrong.push(format!("{from} → {to}\nexpected {expected}\ngot\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn deactivation_without_a_look_at_the_state_is_refused() {
    let text = GOOD.replace("\"delete\"", "\"deactivate\"").replace("remove.delete", "remove.deactivate");
    assert_eq!(
        errors(&text),
        "line 23: `remove.deactivate`: a deactivation is proven by `inactive` of a look-up, and none has it"
    );
}

#[test]
fn host_of_a_setting_alone_and_path_with_a_final_slash_are_in_order() {
    for (from, to) in [
        ("{tenant}.acme.example.com/", "{tenant}/"),
        ("{tenant}.acme.example.com/", "acme-{tenant}.example.com/"),
        ("{tenant}.acme.example.com/", "acme.{tenant}/"),
        ("{tenant}.acme.example.com/", "acme.example.com/{tenant}/"),
        ("get = \"/users\"", "get = \"/users/\""),
        ("get = \"/users\"", "get = \"/\""),
        ("expect = 204", "expect = [200, 204], has = [\"/id\"]"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        assert_eq!(errors(&GOOD.replacen(from, to, 1)), "", "{to}");
    }
}

/// What is wrong with a configuration that uses these files of one's own, and these keys of the provider's table.
fn configured(test: &str, files: &[(&str, &str)], keys: &str) -> Result<Config, String> {
    let folder = std::env::temp_dir().join(format!("offboard-data-{test}-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("providers")).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join("providers").join(name), text).unwrap();
    }
    let text = format!("[sources.hr]\nkind = \"workos\"\n[providers.it]\n{keys}\n");
    std::fs::write(folder.join("offboard.toml"), text).unwrap();
    let config = Config::load(&folder.join("offboard.toml"), None).map_err(|errors| errors.to_string());
    std::fs::remove_dir_all(folder).unwrap();
    config
}

#[test]
fn file_beside_the_configuration_is_a_kind() {
    let config = configured("own", &[("acme.toml", GOOD)], "kind = \"acme\"\ntenant = \"blue\"").unwrap();
    let provider = &config.providers[0];
    assert_eq!((provider.kind.name, provider.kind.secret_keys().as_str()), ("acme", "`key`"));
    let tenants = provider.settings.connect(&Secret::parse("s", r#"{"key": "k"}"#).unwrap()).unwrap();
    assert_eq!((tenants.len(), &*tenants[0].base_url), (1, "https://blue.acme.example.com/api"));
    assert!(provider.settings.connect(&Secret::parse("s", "{}").unwrap()).is_err());
}

#[test]
fn list_of_tenants_is_one_tenant_each() {
    let text = GOOD.replace("characters = \"a-z\"", "characters = \"a-z\"\nlist = true");
    let config = configured("list", &[("acme.toml", &text)], "kind = \"acme\"\ntenant = [\"blue\", \"red\"]").unwrap();
    let tenants = config.providers[0].settings.connect(&Secret::parse("s", r#"{"key": "k"}"#).unwrap()).unwrap();
    let places: Vec<_> = tenants.iter().map(|tenant| (tenant.scope.as_deref(), &*tenant.base_url)).collect();
    let expected =
        [(Some("blue"), "https://blue.acme.example.com/api"), (Some("red"), "https://red.acme.example.com/api")];
    assert_eq!(places, expected);
}

#[test]
fn look_up_is_a_tenant_of_its_own() {
    let text = GOOD.replace("characters = \"a-z\"", "characters = \"a-z\"\nlist = true")
        + "invitation = [{ delete = \"/invitations/{id}\", expect = 204 }]\n[find.invitation]\nget = \"/invitations\"\n\
           items = \"\"\nid = \"/id\"\nemail = \"/email\"\ncanary = \"user\"\n";
    let config =
        configured("look_ups", &[("acme.toml", &text)], "kind = \"acme\"\ntenant = [\"blue\", \"red\"]").unwrap();
    let tenants = config.providers[0].settings.connect(&Secret::parse("s", r#"{"key": "k"}"#).unwrap()).unwrap();
    let scopes: Vec<_> = tenants.iter().map(|tenant| tenant.scope.as_deref().unwrap_or_default()).collect();
    assert_eq!(scopes, ["blue · invitation", "blue · user", "red · invitation", "red · user"]);
    let elsewhere = |tenant: &Tenant| tenant.provider.look_up().unwrap().shows_canary().is_some();
    assert_eq!(tenants.iter().map(elsewhere).collect::<Vec<_>>(), [true, false, true, false]);
}

#[test]
fn what_is_wrong_with_a_provider_is_reported_with_its_line() {
    let broken = GOOD.replace("/users/{id}", "/users/{user}");
    let cases = [
        ("kind = \"acme\"", "line 3: `providers.it`: `tenant` is missing: the tenant"),
        ("kind = \"acme\"\ntenant = \"a/b\"", "line 5: `providers.it`: `tenant` must have 1 to 256 characters of a-z"),
        ("kind = \"acme\"\ntenant = [\"a\"]", "line 5: `providers.it`: `tenant` must be a text"),
        (
            "kind = \"acme\"\ntenant = \"a\"\ntenants = \"b\"",
            "line 6: `providers.it`: unknown key `tenants`: did you mean `tenant`?",
        ),
        (
            "kind = \"acme\"\ntenant = \"a\"\naction = \"deactivate\"",
            "line 6: `providers.it.action`: acme cannot deactivate: expected delete",
        ),
        (
            "kind = \"acme\"\ntenant = \"a\"\ntoken_url = \"https://example.com\"",
            "line 6: `providers.it`: unknown key `token_url`",
        ),
        (
            "kind = \"broken\"",
            "line 3: `providers.it`: providers/broken.toml:24: `remove.delete.user.0`: unknown variable `{user}`",
        ),
        ("kind = \"acm\"", "line 3: `providers.it`: unknown kind `acm`"),
        ("kind = \"../acme\"", "line 3: `providers.it`: unknown kind `../acme`"),
        ("kind = \"slack\"", "line 3: `providers.it`: `canary` is missing: slack needs it"),
        (
            "kind = \"scim\"\ncanary = \"ops@example.com\"",
            "line 3: `providers.it`: `base_url` is missing: scim needs it",
        ),
        (
            "kind = \"datadog_user\"\nsite = \"datadog.eu\"",
            "line 5: `providers.it`: `site`: unknown value `datadog.eu`: did you mean `datadoghq.eu`?",
        ),
    ];
    let mut wrong = Vec::new();
    for (index, (keys, expected)) in cases.into_iter().enumerate() {
        let files = [("acme.toml", GOOD), ("broken.toml", broken.as_str())];
        let said = configured(&format!("wrong{index}"), &files, keys).err().unwrap_or_default();
        if !said.lines().any(|line| line.starts_with(expected)) {
            wrong.push(format!("{keys}\nexpected {expected}\ngot\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
