"""SDKs that one generator makes: their types are lenient, and are made strict here."""

import anthropic
import cloudflare
import openai

from exchange import Account
from product import Product, defaults

THEN = "2026-01-01T00:00:00Z"
NO_RETRY = {"max_retries": 0}


def strict(model):
    """The same model, all of whose fields must be there and of their types, and no other."""
    checked = type(model).model_validate(model.to_dict())
    assert not checked.model_extra, f"{type(model).__name__} has no {sorted(checked.model_extra)}"
    return checked


class Stainless(Product):
    @staticmethod
    def status(error):
        return error.status_code


class Anthropic(Stainless):
    kind, error = "anthropic", anthropic.APIStatusError
    refusals = ("look_up_not_found", "key_refused")
    allowed = {
        # The page of the API shows the key in a header of its own; the SDK sends it as a bearer token.
        "header x-api-key: nothing, not sk-ant-admin-1234",
        # The version that the page shows; the SDK knows a later one.
        "header anthropic-version: 2026-10-21, not 2023-06-01",
    }
    hosts = [anthropic.Anthropic(api_key="key").base_url.host]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.api = anthropic.Anthropic(api_key=self.secret["admin_key"], base_url=self.url, **NO_RETRY).organization

    def invitations(self, email):
        return [Account(each.id, each.email) for each in map(strict, self.api.invites.list(email=email))]

    def find(self, email):
        return [Account(each.id, each.email) for each in map(strict, self.api.users.list(email=email, limit=1000))]

    def remove_invitation(self, id):
        gone = strict(self.api.invites.delete(id))
        return (gone.id, gone.type) == (id, "invite_deleted")

    def remove(self, id):
        gone = strict(self.api.users.remove(id))
        return (gone.id, gone.type) == (id, "user_deleted")

    @staticmethod
    def complete(answer):
        for item in answer.get("data", []):
            if item["type"] == "invite":
                defaults(item, invited_at=THEN, expires_at=THEN, rbac_group_ids=[], role="user")
            else:
                defaults(item, added_at=THEN, name="Ann")


class OpenAi(Stainless):
    kind, error = "openai", openai.APIStatusError
    refusals = ("look_up_not_found", "key_refused")
    hosts = [openai.OpenAI(admin_api_key="key").base_url.host]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        client = openai.OpenAI(admin_api_key=self.secret["admin_key"], base_url=self.url + "/v1", **NO_RETRY)
        self.api = client.admin.organization

    def invitations(self, email):
        return [Account(each.id, each.email) for each in map(strict, self.api.invites.list(limit=100))]

    def find(self, email):
        return [Account(each.id, each.email) for each in map(strict, self.api.users.list(limit=100))]

    def remove_invitation(self, id):
        gone = strict(self.api.invites.delete(id))
        return gone.id == id and gone.deleted

    def remove(self, id):
        gone = strict(self.api.users.delete(id))
        return gone.id == id and gone.deleted

    @staticmethod
    def complete(answer):
        defaults(answer, object=f"organization.{'invite' if answer.get('id', '').startswith('inv') else 'user'}.deleted")
        for item in answer.get("data", []):
            invitation = item["object"] == "organization.invite"
            defaults(item, **({"created_at": 1, "projects": [], "role": "reader"} if invitation else {"added_at": 1}))


class CloudflareMembers(Stainless):
    kind, error = "cloudflare_members", cloudflare.APIStatusError
    refusals = ("look_up_not_found", "token_refused")
    # The reference describes an empty object; the SDK sends none, so the API takes both.
    allowed = {"body /: nothing, not {}"}
    hosts = [cloudflare.Cloudflare(api_token="key").base_url.host]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        client = cloudflare.Cloudflare(api_token=self.secret["api_token"], base_url=self.url + "/client/v4", **NO_RETRY)
        self.api, self.account = client.accounts.members, self.settings["account_id"]

    def find(self, email):
        found = self.api.list(account_id=self.account, page=1, per_page=50)
        return [Account(each.id, each.user.email) for each in map(strict, found)]

    def remove(self, id):
        return strict(self.api.delete(id, account_id=self.account)).id == id
