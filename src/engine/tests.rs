use std::sync::atomic::{AtomicUsize, Ordering};

use time::macros::datetime;

use super::*;
use crate::{
    config::Pattern,
    ledger::{Ledger, Protection, ProtectionAction, memory::Memory},
    outcome::{Failure, FailureKind, Proof},
    person::{Email, Identity},
    providers::{Account, LookUp, Product, Provider, Removal, Tenant},
    secrets::SecretError,
};

const ADDRESS: &str = "ann@example.com";

/// What a scripted product does when an account is removed.
#[derive(Clone, Copy, Debug)]
enum Script {
    Panic,
    Hang,
    QuoteToken,
    RefuseCredentials,
    UntilDeadline,
    Call,
    Deactivate,
    Remove,
}

/// A product with one account, which stands under every address, until it is removed.
#[derive(Debug)]
struct Scripted {
    script: Script,
    searchable: bool,
    removals: AtomicUsize,
}

/// Scripted products share their state through this.
#[derive(Clone, Debug)]
struct Shared(Arc<Scripted>);

#[async_trait::async_trait]
impl Provider for Scripted {
    fn look_up(&self) -> Option<&dyn LookUp> {
        self.searchable.then_some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        self.removals.fetch_add(1, Ordering::Relaxed);
        match self.script {
            Script::Panic => panic!("while removing {}", account.id),
            Script::Hang => std::future::pending().await,
            Script::QuoteToken => {
                let _ = http.post(&["x"]).bearer(&"granted-token-1".into());
                Err(Failure::new(FailureKind::Blocked, "granted-token-1"))
            }
            Script::RefuseCredentials => Err(Failure::new(FailureKind::Unauthorized, "http_401")),
            Script::UntilDeadline => {
                tokio::time::sleep_until(http.deadline()).await;
                Ok(Removal::deleted())
            }
            Script::Call => http.delete(&["x"]).read(|_| Ok(Removal::deleted())).await,
            Script::Deactivate => Ok(Removal::deactivated()),
            Script::Remove => Ok(Removal::deleted()),
        }
    }
}

#[async_trait::async_trait]
impl LookUp for Scripted {
    async fn find(&self, _: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let Identity::Email(email) = person else { return Ok(Vec::new()) };
        let gone = self.removals.load(Ordering::Relaxed) > 0;
        let inactive = gone && matches!(self.script, Script::Deactivate);
        let account = Account { id: "1".into(), email: Some(email.expose().into()), inactive, ..Account::default() };
        Ok(if gone && !inactive { Vec::new() } else { vec![account] })
    }
}

impl Product for Shared {
    fn connect(&self, _: &Secret) -> Result<Vec<Tenant>, SecretError> {
        Ok(vec![Tenant { scope: None, base_url: "http://127.0.0.1:9".into(), provider: self.0.clone() }])
    }
}

fn scripted(script: Script, searchable: bool) -> Shared {
    Shared(Arc::new(Scripted { script, searchable, removals: AtomicUsize::new(0) }))
}

/// An engine with three providers, the second of which is `provider`; the others cannot be reached.
fn engine(provider: Shared) -> (Engine, Arc<Secrets>) {
    let table = |name: &str| {
        format!(
            "[providers.{name}]\nkind = \"instaply\"\nbase_url = \"http://127.0.0.1:9\"\nsecret = \"s\"\nattempts = 1\n"
        )
    };
    let text = format!("[sources.s]\nkind = \"workos\"\n{}{}{}", table("a"), table("b"), table("c"));
    let mut config = Config::parse(&text, None).unwrap();
    config.providers[1].settings = Box::new(provider);
    let engine = Engine::new(&mut config, Client::new(None, false).unwrap());
    (engine, Arc::new(Secrets::holding("s", r#"{"token": "instaply-token"}"#)))
}

fn assignment(targets: &[(&str, AddressStatus)]) -> Assignment {
    let target = |(email, status): &(&str, AddressStatus)| Target {
        identity: OwnedIdentity::Email(Email::parse(email).unwrap()),
        status: *status,
    };
    Assignment {
        targets: targets.iter().map(target).collect(),
        source: "s".into(),
        action: Action::Remove,
        released: Default::default(),
        protected: Default::default(),
        begun: BTreeSet::new(),
    }
}

fn current() -> Assignment {
    assignment(&[(ADDRESS, AddressStatus::Current)])
}

/// Every provider's outcome and reason.
async fn outcomes(script: Script, searchable: bool, timeout: Duration) -> Vec<(String, Outcome, Option<String>)> {
    let (engine, secrets) = engine(scripted(script, searchable));
    let results = engine.execute(&secrets, current(), Instant::now() + timeout).await;
    results.into_iter().map(|result| (result.provider, result.worst.outcome, result.worst.reason)).collect()
}

const TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn provider_that_panics_is_an_outcome_and_costs_no_other() {
    let unreachable = |name: &str| (name.to_owned(), Outcome::Unavailable, Some("no_connection".to_owned()));
    let panicked = ("b".to_owned(), Outcome::Rejected, Some("internal_error".to_owned()));
    assert_eq!(outcomes(Script::Panic, false, TIMEOUT).await, [unreachable("a"), panicked, unreachable("c")]);
}

#[tokio::test]
async fn provider_that_never_ends_is_left_behind() {
    let ended = outcomes(Script::Hang, false, Duration::from_millis(300)).await;
    assert_eq!(ended[1], ("b".to_owned(), Outcome::Unavailable, Some("deadline".to_owned())));
}

#[tokio::test]
async fn token_that_is_in_no_secret_is_not_shown() {
    let ended = outcomes(Script::QuoteToken, false, TIMEOUT).await;
    assert_eq!(ended[1], ("b".to_owned(), Outcome::Blocked, Some("[secret]".to_owned())));
}

#[tokio::test]
async fn credentials_that_could_not_be_read_afresh_are_not_called_refused() {
    let ended = outcomes(Script::RefuseCredentials, false, TIMEOUT).await;
    assert_eq!(ended[1], ("b".to_owned(), Outcome::Unavailable, Some("secret_store".to_owned())));
}

#[tokio::test]
async fn removal_without_time_for_a_second_look_is_unconfirmed() {
    let ended = outcomes(Script::UntilDeadline, true, Duration::from_millis(200)).await;
    assert_eq!(ended[1], ("b".to_owned(), Outcome::Unconfirmed, Some("deadline".to_owned())));
}

#[tokio::test]
async fn deactivated_account_is_proven_by_its_status() {
    let (engine, secrets) = engine(scripted(Script::Deactivate, true));
    let results = engine.execute(&secrets, current(), Instant::now() + TIMEOUT).await;
    let account = &results[1].worst;
    assert_eq!((account.outcome, account.proof), (Outcome::Deactivated, Some(Proof::Status)));
}

#[tokio::test]
async fn account_whose_own_address_is_protected_is_not_removed() {
    let provider = scripted(Script::Remove, true);
    let (mut engine, secrets) = engine(provider.clone());
    engine.policy.protected = vec![ADDRESS.to_owned().try_into().unwrap()];
    let results = engine.execute(&secrets, current(), Instant::now() + TIMEOUT).await;
    let account = &results[1].worst;
    assert_eq!((account.outcome, account.reason.as_deref()), (Outcome::Protected, Some("protected")));
    assert_eq!(provider.0.removals.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn account_whose_own_address_operators_protect_is_not_removed() {
    let (now, pattern) = (datetime!(2026-01-31 12:00 UTC), Pattern::try_from("*@example.com".to_owned()).unwrap());
    let ledger = Ledger::new(Arc::new(Memory::default()));
    let (action, address) = (ProtectionAction::Protect { until: None }, pattern.masked());
    let decision = Protection { action, address, at: now, who: "arn:ann".into(), reason: None };
    ledger.decide_protection(&pattern, &decision, Duration::ZERO).await.unwrap();
    let protected = ledger.protected().await.unwrap().at(now);
    let provider = scripted(Script::Remove, true);
    let (engine, secrets) = engine(provider.clone());
    let assignment = Assignment { protected, ..current() };
    let results = engine.execute(&secrets, assignment, Instant::now() + TIMEOUT).await;
    let account = &results[1].worst;
    let detail = Some("on the list `offboard protect`");
    assert_eq!(
        (account.outcome, account.reason.as_deref(), account.detail.as_deref()),
        (Outcome::Protected, Some("protected"), detail)
    );
    assert_eq!(provider.0.removals.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn masked_address_finds_nobody_and_does_not_say_that_nobody_is_there() {
    let (engine, secrets) = engine(scripted(Script::Remove, true));
    for masked in ["a***n@example.com", "a…@example.com"] {
        let targets = [(masked, AddressStatus::Current)];
        let results = engine.execute(&secrets, assignment(&targets), Instant::now() + TIMEOUT).await;
        let worst = &results[1].worst;
        assert_eq!((worst.outcome, worst.reason.as_deref()), (Outcome::Unidentified, Some("no_identity")), "{masked}");
    }
}

#[tokio::test]
async fn account_under_a_current_and_a_former_address_is_one_account() {
    let (engine, secrets) = engine(scripted(Script::Remove, true));
    let targets = [("ann.former@example.com", AddressStatus::Former), (ADDRESS, AddressStatus::Current)];
    let results = engine.execute(&secrets, assignment(&targets), Instant::now() + TIMEOUT).await;
    let result = &results[1];
    assert_eq!((result.worst.outcome, result.worst.proof), (Outcome::Deleted, Some(Proof::SecondLook)));
    assert_eq!(result.accounts, []);
}

/// Runs provider `b` alone, and answers what it asks with `decide`; what it asked, and its outcome.
async fn asked(
    searchable: bool,
    decide: impl Fn(Ask),
) -> (Vec<(String, String)>, Vec<String>, Outcome, Option<String>, usize) {
    let provider = scripted(Script::Remove, searchable);
    let (engine, secrets) = engine(provider.clone());
    let (barrier, mut asks) = Barrier::new();
    let mut run = engine.begin(&secrets, current(), Instant::now() + TIMEOUT, &barrier, |name| name == "b");
    drop(barrier);
    assert_eq!(run.unfinished(), ["b"]);
    let mut seen = Vec::new();
    let mut still_looking = Vec::new();
    while let Some(ask) = asks.recv().await {
        seen.push((ask.provider.clone(), ask.account_id.clone()));
        tokio::task::yield_now().await;
        still_looking = run.unfinished();
        decide(ask);
    }
    let result = run.next().await.unwrap();
    let removals = provider.0.removals.load(Ordering::Relaxed);
    (seen, still_looking, result.worst.outcome, result.worst.reason, removals)
}

#[tokio::test]
async fn removal_that_is_granted_takes_place() {
    let grant = |ask: Ask| drop(ask.answer.send(Permission::Granted));
    let (seen, still_looking, outcome, _, removals) = asked(true, grant).await;
    assert_eq!((seen, still_looking), (vec![("b".to_owned(), "1".to_owned())], Vec::new()));
    assert_eq!((outcome, removals), (Outcome::Deleted, 1));
}

#[tokio::test]
async fn removal_without_look_up_asks_before_each_removal_and_shows_no_address() {
    let grant = |ask: Ask| drop(ask.answer.send(Permission::Granted));
    let (seen, _, outcome, reason, removals) = asked(false, grant).await;
    assert_eq!(seen, vec![("b".to_owned(), "a…@example.com".to_owned()); 2]);
    assert_eq!((outcome, reason.as_deref(), removals), (Outcome::Unconfirmed, Some("still_listed"), 2));
}

#[tokio::test]
async fn removal_that_is_denied_does_not_take_place() {
    let deny = |ask: Ask| drop(ask.answer.send(Permission::Denied("paused".to_owned())));
    let (_, _, outcome, reason, removals) = asked(true, deny).await;
    assert_eq!((outcome, reason.as_deref(), removals), (Outcome::NotAttempted, Some("paused"), 0));
}

#[tokio::test]
async fn call_of_a_removal_asks_again_immediately_before_it_is_sent() {
    let (engine, secrets) = engine(scripted(Script::Call, true));
    let (barrier, mut asks) = Barrier::new();
    let mut run = engine.begin(&secrets, current(), Instant::now() + TIMEOUT, &barrier, |name| name == "b");
    let answers = [Permission::Granted, Permission::Denied("held".to_owned())];
    for answer in answers {
        asks.recv().await.unwrap().answer.send(answer).unwrap();
    }
    let result = run.next().await.unwrap();
    assert_eq!((result.worst.outcome, result.worst.reason.as_deref()), (Outcome::NotAttempted, Some("held")));
    assert_eq!(result.attempts, 0);
}

#[tokio::test]
async fn removal_that_is_not_decided_does_not_take_place() {
    let (_, _, outcome, reason, removals) = asked(true, drop).await;
    assert_eq!((outcome, reason.as_deref(), removals), (Outcome::NotAttempted, Some("not_recorded"), 0));
}

#[tokio::test]
async fn removal_at_a_barrier_without_receiver_does_not_take_place() {
    let provider = scripted(Script::Remove, true);
    let (engine, secrets) = engine(provider.clone());
    let (barrier, asks) = Barrier::new();
    drop(asks);
    let mut run = engine.begin(&secrets, current(), Instant::now() + TIMEOUT, &barrier, |name| name == "b");
    let account = run.next().await.unwrap().worst;
    assert_eq!((account.outcome, account.reason.as_deref()), (Outcome::NotAttempted, Some("not_recorded")));
    assert_eq!((provider.0.removals.load(Ordering::Relaxed), run.unfinished()), (0, Vec::new()));
}

#[tokio::test]
async fn resolving_leaves_out_providers_where_nothing_was_begun() {
    let provider = scripted(Script::Remove, true);
    let (engine, secrets) = engine(provider.clone());
    let resolve = Assignment { action: Action::Resolve, begun: ["b".to_owned()].into(), ..current() };
    let results = engine.execute(&secrets, resolve, Instant::now() + TIMEOUT).await;
    let [result] = &results[..] else { panic!("one provider: {results:?}") };
    assert_eq!((result.provider.as_str(), result.worst.outcome), ("b", Outcome::NotAttempted));
    assert_eq!(result.worst.reason.as_deref(), Some("held"));
    assert_eq!(provider.0.removals.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn external_id_of_another_source_is_not_used() {
    let text = "[sources.hr]\nkind = \"workos\"\n[sources.crew]\nkind = \"workos\"\n[providers.f]\nkind = \"flashduty\"\n\
                base_url = \"http://127.0.0.1:9\"\nsecret = \"s\"\nattempts = 1\nmatch = \"external_id\"\nsources = [\"hr\"]\n";
    let engine = Engine::new(&mut Config::parse(text, None).unwrap(), Client::new(None, false).unwrap());
    let secrets = Arc::new(Secrets::holding("s", r#"{"app_key": "app-key"}"#));
    for (source, expected) in [
        ("hr", (Outcome::Unavailable, Some("no_connection"))),
        ("crew", (Outcome::Unidentified, Some("external_id_of_another_source"))),
    ] {
        let identity = OwnedIdentity::ExternalId("8931".to_owned());
        let targets = vec![Target { identity, status: AddressStatus::Current }];
        let assignment = Assignment { targets, source: source.to_owned(), ..current() };
        let account = engine.execute(&secrets, assignment, Instant::now() + TIMEOUT).await.remove(0).worst;
        assert_eq!((account.outcome, account.reason.as_deref()), expected, "{source}");
    }
}
