//! A look-up of a product as data, and the removal of what it shows: what its file says, done.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use super::{
    answer::Reading,
    list::{End, List, Page},
    spec::{CallKind, Find, Statuses, Step},
    template::{EMAIL, ID, PAGE, Values},
    vendor::Vendor,
};
use crate::{
    outbound::{Http, Response},
    outcome::{Failure, FailureKind, Outcome},
    person::{Email, Identity},
    providers::{Account, Hold, LookUp, Provider, Removal},
    source::pointer::Pointer,
};

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
        for step in self.steps {
            match self.step(http, step, &values).await? {
                Some(request_id) => removal = removal.request_id(request_id),
                None => return Ok(Removal::absent()),
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
            let reading = self.vendor.reading(CallKind::Find, &OK, find.r#where.as_ref(), find.graphql.is_some());
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
        let items = find.items.as_ref().and_then(|items| items.elements(body));
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
        let reading = self.vendor.reading(CallKind::Find, &OK, find.r#where.as_ref(), find.graphql.is_some());
        let read = |response: &Response| {
            if Reading::is_any(response, &find.absent) {
                return Ok(None);
            }
            let body = reading.accepted(response)?;
            let object = find.object.as_ref().and_then(|pointer| pointer.find(&body)).filter(|value| value.is_object());
            let object = object.ok_or_else(|| Failure::not_understood("an answer without the account"))?;
            let account = self.account(email, object)?;
            if account.as_ref().is_some_and(|account| !account.is_of(Identity::Email(email))) {
                // One was asked for, so this is no list without the person: whether they are there is not known.
                return Err(Failure::not_understood("another account than the one asked for"));
            }
            Ok(account)
        };
        Ok(self.vendor.send(http, &find.call(), &values, read).await?.into_iter().collect())
    }

    /// The account that an item is; `None` if it is none, or can no longer be used and that is all that is wanted.
    fn account(&self, email: &Email, item: &Value) -> Result<Option<Account>, Failure> {
        let find = self.find;
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
        if inactive && self.makes == Outcome::Deactivated {
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
        }))
    }

    /// Makes one call of a removal. `None` if the account was gone.
    async fn step(&self, http: &Http, step: &Step, values: &Values<'_>) -> Result<Option<Option<String>>, Failure> {
        let reading =
            self.vendor.reading(CallKind::Remove, &step.expect, step.r#where.as_ref(), step.graphql.is_some());
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
        self.vendor.send(http, &step.call(), values, read).await
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
