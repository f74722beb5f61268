//! A product as data, connected: what its file says, done.

use std::collections::BTreeMap;

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    answer::Reading,
    call::Call,
    list::{End, List, Page},
    spec::{CallKind, Find, Spec, Statuses, Step},
    template::{EMAIL, ID, PAGE, Values, asks_for_no_page},
};
use crate::{
    oauth::Tokens,
    outbound::{Http, Request, Response},
    outcome::{Failure, FailureKind, Outcome},
    person::{Email, Identity},
    providers::{Account, Action, Hold, LookUp, Provider, Removal},
    source::pointer::Pointer,
};

/// A product, connected.
#[derive(Debug)]
pub(super) struct DataProduct {
    pub(super) spec: &'static Spec,
    pub(super) action: Action,
    pub(super) settings: BTreeMap<String, String>,
    pub(super) headers: Vec<(&'static str, SecretString)>,
    pub(super) login: Login,
}

/// How calls are authorized.
#[derive(Debug)]
pub(super) enum Login {
    Headers,
    Bearer(SecretString),
    Basic(String, SecretString),
    Oauth(Tokens),
}

#[async_trait]
impl Provider for DataProduct {
    fn look_up(&self) -> Option<&dyn LookUp> {
        Some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        let steps = self.spec.remove.get(&self.action).and_then(|steps| steps.get(account.look_up));
        let (Some(find), Some(steps)) = (self.spec.find.get(account.look_up), steps) else {
            return Err(Failure::new(FailureKind::Rejected, "no_steps"));
        };
        let values =
            Values::from_table(&self.settings).with(ID, Some(&account.id)).with(EMAIL, account.email.as_deref());
        let mut removal = match self.spec.makes(self.action, find) {
            Outcome::Deactivated => Removal::deactivated(),
            _ => Removal::deleted(),
        };
        for step in steps {
            match self.step(http, step, &values).await? {
                Some(request_id) => removal = removal.request_id(request_id),
                None => return Ok(Removal::absent()),
            }
        }
        Ok(removal)
    }

    fn makes(&self) -> Outcome {
        match self.action {
            Action::Deactivate => Outcome::Deactivated,
            Action::Delete => Outcome::Deleted,
        }
    }
}

#[async_trait]
impl LookUp for DataProduct {
    /// All look-ups, until one shows the person: what the others show is removed when this account is gone.
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let Identity::Email(email) = person else {
            return Err(Failure::new(FailureKind::Rejected, "unusable_identity"));
        };
        let mut all = Vec::new();
        for (name, find) in &self.spec.find {
            let accounts = match &find.object {
                Some(_) => self.object(http, name, find, email).await?,
                None => self.list(http, name, find, email).await?,
            };
            if accounts.iter().any(|account| account.is_of(person)) {
                return Ok(accounts);
            }
            all.extend(accounts);
        }
        Ok(all)
    }

    fn lists_everybody(&self, _: Identity<'_>) -> bool {
        !self.spec.find.values().any(|find| find.call().variables_used().any(|variable| variable.name == EMAIL))
    }
}

impl DataProduct {
    async fn list(
        &self,
        http: &Http,
        name: &'static str,
        find: &'static Find,
        email: &Email,
    ) -> Result<Vec<Account>, Failure> {
        let (mut list, mut accounts) = (List::new(find.page.as_ref()), Vec::new());
        loop {
            let page = list.page().map(str::to_owned);
            let values = self.values(email).with(PAGE, page.as_deref());
            let reading = self.reading(CallKind::Find, &OK, find.r#where.as_ref(), find.graphql.is_some());
            let read = |response: &Response| {
                let body = reading.accepted(response)?;
                let (keys, accounts) = self.items(name, find, email, &body)?;
                Ok((Page::read(find.page.as_ref(), keys, response, &body)?, accounts))
            };
            let (page, more) = self.send(http, &find.call(), &values, read).await?;
            accounts.extend(more);
            if list.add(page)? == End::Reached {
                return Ok(accounts);
            }
        }
    }

    /// The items of a page: what tells them apart, and those that are accounts.
    fn items(
        &self,
        name: &'static str,
        find: &'static Find,
        email: &Email,
        body: &Value,
    ) -> Result<(Vec<String>, Vec<Account>), Failure> {
        let items = find.items.as_ref().and_then(|items| items.elements(body));
        let items = items.ok_or_else(|| Failure::not_understood("an answer without the list of accounts"))?;
        let (mut keys, mut accounts) = (Vec::new(), Vec::new());
        for item in items {
            keys.push(find.id.find(item).unwrap_or(item).to_string());
            accounts.extend(self.account(name, find, email, item)?);
        }
        Ok((keys, accounts))
    }

    async fn object(
        &self,
        http: &Http,
        name: &'static str,
        find: &'static Find,
        email: &Email,
    ) -> Result<Vec<Account>, Failure> {
        let values = self.values(email);
        let reading = self.reading(CallKind::Find, &OK, find.r#where.as_ref(), find.graphql.is_some());
        let read = |response: &Response| {
            if Reading::is_any(response, &find.absent) {
                return Ok(None);
            }
            let body = reading.accepted(response)?;
            let object = find.object.as_ref().and_then(|pointer| pointer.find(&body)).filter(|value| value.is_object());
            let object = object.ok_or_else(|| Failure::not_understood("an answer without the account"))?;
            let account = self.account(name, find, email, object)?;
            if account.as_ref().is_some_and(|account| !account.is_of(Identity::Email(email))) {
                // One was asked for, so this is no list without the person: whether they are there is not known.
                return Err(Failure::not_understood("another account than the one asked for"));
            }
            Ok(account)
        };
        Ok(self.send(http, &find.call(), &values, read).await?.into_iter().collect())
    }

    /// The account that an item is; `None` if it is none, or can no longer be used and that is all that is wanted.
    fn account(
        &self,
        name: &'static str,
        find: &'static Find,
        email: &Email,
        item: &Value,
    ) -> Result<Option<Account>, Failure> {
        let is_set = |pointer: &Pointer| pointer.find(item).is_some_and(|value| !value.is_null());
        if find.skip.as_ref().is_some_and(|skip| skip.hold(item)) || find.skip_set.iter().any(is_set) {
            return Ok(None);
        }
        let id = find.id.find(item).and_then(id).ok_or_else(|| Failure::not_understood("an account without an id"))?;
        if find.reserved.contains(&id) {
            return Err(Failure::not_understood("an account whose id means something else"));
        }
        let addresses = find.email.texts(item).into_iter().filter(|text| Email::parse(text).is_some());
        let addresses: Vec<_> = addresses.collect();
        let own = addresses.iter().find(|address| email.is(address)).or(addresses.first());
        let own = own.ok_or_else(|| Failure::not_understood("an account without an e-mail address"))?;
        let inactive = find.inactive.as_ref().is_some_and(|inactive| inactive.hold(item));
        if inactive && self.spec.makes(self.action, find) == Outcome::Deactivated {
            // It must be the person's all the same where one object was asked for.
            let other = find.object.is_some() && !email.is(own);
            return if other {
                Err(Failure::not_understood("another account than the one asked for"))
            } else {
                Ok(None)
            };
        }
        let blocked = find.blocked.iter().find(|rule| rule.r#where.hold(item));
        let external_id = find.external_id.as_ref().and_then(|pointer| pointer.find(item)).and_then(Value::as_str);
        Ok(Some(Account {
            id,
            email: Some((*own).to_owned()),
            external_id: external_id.filter(|id| !id.is_empty()).map(str::to_owned),
            hold: blocked.map(|rule| Hold { reason: &rule.reason, detail: &rule.detail }),
            managed_elsewhere: false,
            look_up: name,
        }))
    }

    /// Makes one call of a removal. `None` if the account was gone.
    async fn step(&self, http: &Http, step: &Step, values: &Values<'_>) -> Result<Option<Option<String>>, Failure> {
        let reading = self.reading(CallKind::Remove, &step.expect, step.r#where.as_ref(), step.graphql.is_some());
        let read = |response: &Response| {
            if Reading::is_any(response, &step.gone) {
                return Ok(None);
            }
            let body = reading.accepted(response)?;
            if step.has.iter().any(|pointer| pointer.find(&body).is_none()) {
                return Err(Failure::not_understood("a success without what the vendor promises"));
            }
            let named = step.id.as_ref().map(|pointer| pointer.find(&body).and_then(id));
            match named {
                Some(named) if response.status() != 204 && named.as_deref() != values.id() => {
                    Err(Failure::not_understood("somebody else was removed").request_id(reading.request_id(response)))
                }
                _ => Ok(Some(reading.request_id(response))),
            }
        };
        self.send(http, &step.call(), values, read).await
    }

    fn reading<'a>(
        &'a self,
        call: CallKind,
        expect: &'a Statuses,
        r#where: Option<&'a crate::source::rules::Conditions>,
        graphql: bool,
    ) -> Reading<'a> {
        Reading { spec: self.spec, call, expect, r#where, graphql, oauth: matches!(self.login, Login::Oauth(_)) }
    }

    fn values<'a>(&'a self, email: &'a Email) -> Values<'a> {
        Values::from_table(&self.settings).with(EMAIL, Some(email.expose()))
    }

    /// Sends a call and reads its answer.
    async fn send<T: Send>(
        &self,
        http: &Http,
        call: &Call<'_>,
        values: &Values<'_>,
        read: impl Fn(&Response) -> Result<T, Failure> + Send + Sync,
    ) -> Result<T, Failure> {
        let request = self.request(http, call, values)?;
        match &self.login {
            Login::Headers => request.read(read).await,
            Login::Bearer(token) => request.bearer(token).read(read).await,
            Login::Basic(user, password) => request.basic(user, password).read(read).await,
            Login::Oauth(tokens) => tokens.read(http, request, read).await,
        }
    }

    fn request<'h>(&self, http: &'h Http, call: &Call<'_>, values: &Values<'_>) -> Result<Request<'h>, Failure> {
        let Some((method, path)) = call.methods.first() else {
            return Err(Failure::new(FailureKind::Rejected, "no_steps"));
        };
        let mut segments = path.segments(values)?;
        // Where a path ends in a slash, its last segment is empty.
        let slash = path.ends_with_slash() && segments.pop().is_some();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let request = http.call(method.clone(), &segments);
        let mut request = if slash { request.trailing_slash() } else { request };
        for (name, template) in call.query {
            if !asks_for_no_page(template, values) {
                request = request.query(name, &template.render(values)?);
            }
        }
        request = match (call.graphql, call.json) {
            (Some(document), _) => {
                let variables = call.variables.map_or(Ok(json!({})), |variables| variables.render(values))?;
                request.json(&json!({ "query": document, "variables": variables }))
            }
            (None, Some(body)) => request.json(&body.render(values)?),
            (None, None) => request,
        };
        let has_body = call.graphql.is_some() || call.json.is_some();
        for (name, value) in self.headers.iter().filter(|(name, _)| has_body || *name != "content-type") {
            request = request.secret_header(name, value);
        }
        Ok(request.large_response())
    }
}

/// A look-up that does not answer with this has failed.
static OK: std::sync::LazyLock<Statuses> = std::sync::LazyLock::new(|| Statuses(vec![200]));

/// A text or a whole number.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}
