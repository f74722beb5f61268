//! A look-up of a product as data, and the removal of what it shows: what its file says, done.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    answer::Reading,
    list::{End, List, Page},
    spec::{CallKind, Find, Step},
    template::{EMAIL, ID, JOB, PAGE, Values},
    vendor::Vendor,
};
use crate::{
    outbound::{Http, Response},
    outcome::{Failure, FailureKind, Outcome},
    person::{Email, Identity},
    providers::{Account, Hold, LookUp, Provider, Removal},
    source::pointer::Pointer,
};

/// The first and the longest wait before a job is asked about again.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One look-up of a product, and the removal of what it shows.
#[derive(Debug)]
pub(super) struct DataProduct {
    pub(super) vendor: Arc<Vendor>,
    pub(super) find: &'static Find,
    /// The calls of a removal, in order.
    pub(super) steps: &'static [Step],
    /// What a removal makes of an account.
    pub(super) makes: Outcome,
    /// The look-up that shows the canary, if this one cannot.
    pub(super) canary: Option<Arc<Self>>,
}

#[async_trait]
impl Provider for DataProduct {
    fn look_up(&self) -> Option<&dyn LookUp> {
        Some(self)
    }

    async fn remove(&self, http: &Http, account: &Account) -> Result<Removal, Failure> {
        let values = Values::from_table(&self.vendor.settings);
        let values = values.with(ID, Some(&account.id)).with(EMAIL, account.email.as_deref());
        let mut removal = match self.makes {
            Outcome::Deactivated => Removal::deactivated(),
            _ => Removal::deleted(),
        };
        let mut job: Option<String> = None;
        for step in self.steps {
            if job.is_none() && step.asks_about_job() {
                continue;
            }
            match self.step(http, step, &values.clone().with(JOB, job.as_deref())).await? {
                Done::Gone => return Ok(Removal::absent()),
                Done::Taken { request_id, job: begun } => {
                    removal = removal.request_id(request_id);
                    job = begun.or(job);
                }
            }
        }
        Ok(removal)
    }

    fn makes(&self) -> Outcome {
        self.makes
    }
}

#[async_trait]
impl LookUp for DataProduct {
    async fn find(&self, http: &Http, person: Identity<'_>) -> Result<Vec<Account>, Failure> {
        let Identity::Email(email) = person else {
            return Err(Failure::new(FailureKind::Rejected, "unusable_identity"));
        };
        match &self.find.object {
            Some(_) => self.object(http, email).await,
            None => self.list(http, email).await,
        }
    }

    fn lists_everybody(&self, _: Identity<'_>) -> bool {
        !self.find.call().variables_used().any(|variable| variable.name == EMAIL)
    }

    fn shows_canary(&self) -> Option<&dyn LookUp> {
        self.canary.as_deref().map(|other| other as &dyn LookUp)
    }
}

impl DataProduct {
    async fn list(&self, http: &Http, email: &Email) -> Result<Vec<Account>, Failure> {
        let find = self.find;
        let (mut list, mut accounts) = (List::new(find.page.as_ref()), Vec::new());
        loop {
            let page = list.page().map(str::to_owned);
            let values = self.vendor.values(email).with(PAGE, page.as_deref());
            let reading =
                self.vendor.reading(CallKind::Find, &find.expect, find.r#where.as_ref(), find.graphql.is_some());
            let read = |response: &Response| {
                let body = reading.accepted(response)?;
                let (keys, accounts) = self.items(email, &body)?;
                Ok((Page::read(find.page.as_ref(), keys, response, &body)?, accounts))
            };
            let (page, more) = self.vendor.send(http, &find.call(), &values, read).await?;
            accounts.extend(more);
            if list.add(page)? == End::Reached {
                return Ok(accounts);
            }
        }
    }

    /// The items of a page: what tells them apart, and those that are accounts.
    fn items(&self, email: &Email, body: &Value) -> Result<(Vec<String>, Vec<Account>), Failure> {
        let find = self.find;
        let paths = find.items.as_ref();
        let left_out = find.left_out && paths.is_some_and(|paths| paths.are_missing(body));
        let items = if left_out { Some(Vec::new()) } else { paths.and_then(|paths| paths.elements(body)) };
        let items = items.ok_or_else(|| Failure::not_understood("an answer without the list of accounts"))?;
        let (mut keys, mut accounts) = (Vec::new(), Vec::new());
        for item in items {
            keys.push(find.id.find(item).unwrap_or(item).to_string());
            accounts.extend(self.account(email, item)?);
        }
        Ok((keys, accounts))
    }

    async fn object(&self, http: &Http, email: &Email) -> Result<Vec<Account>, Failure> {
        let find = self.find;
        let values = self.vendor.values(email);
        let reading = self.vendor.reading(CallKind::Find, &find.expect, find.r#where.as_ref(), find.graphql.is_some());
        let read = |response: &Response| {
            if Reading::is_any(response, &find.absent) {
                return Ok(None);
            }
            let body = reading.accepted(response)?;
            let object = find.object.as_ref().and_then(|pointer| pointer.find(&body)).filter(|value| value.is_object());
            let object = object.ok_or_else(|| Failure::not_understood("an answer without the account"))?;
            self.account(email, object)
        };
        Ok(self.vendor.send(http, &find.call(), &values, read).await?.into_iter().collect())
    }

    /// The account that an item is; `None` if it is none.
    fn account(&self, asked: &Email, item: &Value) -> Result<Option<Account>, Failure> {
        let find = self.find;
        let is_set = |pointer: &Pointer| pointer.find(item).is_some_and(|value| !value.is_null());
        if find.skip.as_ref().is_some_and(|skip| skip.hold(item)) || find.skip_set.iter().any(is_set) {
            return Ok(None);
        }
        let id = find.id.find(item).and_then(id).ok_or_else(|| Failure::not_understood("an account without an id"))?;
        if find.reserved.contains(&id) {
            return Err(Failure::not_understood("an account whose id means something else"));
        }
        let addressed = self.addressed(asked, item)?;
        let inactive = find.inactive.as_ref().is_some_and(|inactive| inactive.hold(item));
        let blocked = find.blocked.iter().find(|rule| rule.r#where.hold(item));
        let external_id = find.external_id.as_ref().and_then(|pointer| pointer.find(item)).and_then(Value::as_str);
        let account = Account {
            id,
            secret_id: find.secret_id,
            external_id: external_id.filter(|id| !id.is_empty()).map(str::to_owned),
            hold: blocked.map(|rule| Hold { reason: &rule.reason, detail: &rule.detail }),
            inactive: inactive && self.makes == Outcome::Deactivated,
            ..addressed
        };
        if find.object.is_some() && !account.is_of(Identity::Email(asked)) {
            // One was asked for, so this is no list without the person: whether they are there is not known.
            return Err(Failure::not_understood("another account than the one asked for"));
        }
        Ok(Some(account))
    }

    /// An account with the addresses of an item.
    fn addressed(&self, asked: &Email, item: &Value) -> Result<Account, Failure> {
        let is_address = |text: &str| Email::parse(text).is_some();
        let mut own = self.find.email.single(item);
        own.retain(|text| is_address(text));
        let mut listed = self.find.email.listed(item);
        listed.retain(|(text, _)| is_address(text));
        if own.is_empty() {
            // Without a primary one, any may be its own.
            let has_primary = listed.iter().any(|(_, is_primary)| *is_primary);
            own = listed.iter().filter(|(_, is_primary)| *is_primary || !has_primary).map(|(text, _)| *text).collect();
        }
        let alias = self.find.alias.iter().flat_map(|paths| paths.single(item)).filter(|text| is_address(text));
        let aliases = listed.iter().map(|(text, _)| *text).chain(alias).map(str::to_owned).collect();
        // The one that was asked for may stand in a removal.
        own.sort_by_key(|address| !asked.is(address));
        let mut own = own.into_iter().map(str::to_owned);
        let email = own.next().ok_or_else(|| Failure::not_understood("an account without an e-mail address"))?;
        Ok(Account { email: Some(email), further: own.collect(), aliases, ..Account::default() })
    }

    /// Makes one call of a removal; again and again, if it asks about a job that goes on.
    async fn step(&self, http: &Http, step: &'static Step, values: &Values<'_>) -> Result<Done, Failure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let read = |response: &Response| self.done(step, values, response);
            match self.vendor.send(http, &step.call(), values, read).await? {
                Some(done) => return Ok(done),
                // The vendor took the removal: the second look decides.
                None if Instant::now() + pause >= http.deadline() => {
                    return Ok(Done::Taken { request_id: None, job: None });
                }
                None => sleep(pause).await,
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// What the answer to a step says; `None` if its job goes on.
    fn done(&self, step: &'static Step, values: &Values<'_>, response: &Response) -> Result<Option<Done>, Failure> {
        let says = step.r#where.as_ref();
        let reading = self.vendor.reading(CallKind::Remove, &step.expect, says, step.graphql.is_some());
        if Reading::is_any(response, &step.gone) {
            return Ok(Some(Done::Gone));
        }
        if let Some(running) = &step.running
            && (Reading { r#where: None, ..reading }).accepted(response).is_ok_and(|body| running.hold(&body))
        {
            return Ok(None);
        }
        let body = reading.accepted(response)?;
        let request_id = reading.request_id(response);
        if step.has.iter().any(|pointer| pointer.find(&body).is_none()) {
            return Err(Failure::not_understood("a success without what the vendor promises"));
        }
        let named = step.id.as_ref().map(|pointer| pointer.find(&body).and_then(id));
        if named.is_some_and(|named| response.status() != 204 && named.as_deref() != values.id()) {
            return Err(Failure::not_understood("somebody else was removed").request_id(request_id));
        }
        let job = step.job.as_ref().and_then(|pointer| pointer.find(&body)).and_then(id);
        Ok(Some(Done::Taken { request_id, job }))
    }
}

/// What a step of a removal came to.
enum Done {
    /// The account was gone.
    Gone,
    /// The vendor took it.
    Taken { request_id: Option<String>, job: Option<String> },
}

/// A text or a whole number.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}
