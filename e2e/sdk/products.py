"""Vendors' official SDKs, each with the call that looks up a person and the one that removes the account.

`allowed` are the differences between what the SDK sends and what offboard sends, each with why it is right that they differ.
`complete` gives answers what the SDK's types need and the golden exchanges leave out, because offboard does not read it.
"""

import asyncio
import os
from urllib.parse import parse_qsl, urlsplit

import asana
import box_sdk_gen as box
import databricks.sdk
import datadog_api_client
import fastly
import gitlab
import launchdarkly_api
import okta.client
import pagerduty
import sendgrid
from asana.rest import ApiException as AsanaError
from databricks.sdk.errors import DatabricksError
from databricks.sdk.service import iam
from datadog_api_client.exceptions import ApiException as DatadogError
from datadog_api_client.v2.api.users_api import UsersApi as DatadogUsers
from fastly.api.customer_api import CustomerApi
from fastly.api.user_api import UserApi
from launchdarkly_api.api.account_members_api import AccountMembersApi
from okta.errors.error import Error as OktaError
from python_http_client.exceptions import HTTPError as SendgridError
from slack_sdk.scim.v1.client import SCIMClient

from exchange import Account
from node import Linear, Zoom
from product import Product, defaults
from stainless import Anthropic, CloudflareMembers, OpenAi


def datadog_sites():
    return datadog_api_client.Configuration().get_host_settings()[0]["variables"]["site"]["enum_values"]


class Datadog(Product):
    kind, error = "datadog_user", DatadogError
    refusals = ("look_up_not_found", "forbidden", "not_found")
    hosts = [f"api.{site}" for site in datadog_sites()]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        keys = {"apiKeyAuth": self.secret["api_key"], "appKeyAuth": self.secret["application_key"]}
        self.api = DatadogUsers(datadog_api_client.ApiClient(datadog_api_client.Configuration(host=self.url, api_key=keys)))

    def find(self, email):
        found = self.api.list_users(filter=email, page_number=0, page_size=100).data
        return [Account(each.id, each.attributes.email, each.attributes.disabled) for each in found]

    def remove(self, id):
        return self.api.disable_user(id) is None


class PagerDuty(Product):
    kind, error = "pagerduty_user", pagerduty.HttpError
    pages = ("two_pages",)
    allowed = {
        # The default, which offboard leaves out.
        "query total: false, not nothing",
        # The SDK asks for the size that the page before it had.
        "query limit: 1, not 100",
    }
    refusals = ("look_up_not_found", "gone_meanwhile", "on_incidents", "other_404", "read_only_key")
    hosts = [urlsplit(pagerduty.RestApiV2Client("key").url).hostname]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.api = pagerduty.RestApiV2Client(self.secret["api_key"])
        self.api._url = self.url  # its setter takes https alone

    def find(self, email):
        return [Account(each["id"], each["email"]) for each in self.api.iter_all("users", params={"query": email})]

    def remove(self, id):
        return self.api.rdelete(f"/users/{id}").status_code == 204

    @staticmethod
    def status(error):
        return error.response.status_code


class SlackError(Exception):
    """The SDK raises nothing for a refusal: its response says it."""

    def __init__(self, response):
        super().__init__(response.errors)
        self.status = response.status_code


class Slack(Product):
    kind, error = "slack", SlackError
    # Without it the answer is of the same type.
    allowed = {"header accept: nothing, not application/scim+json"}
    refusals = ("look_up_not_found", "invalid_authentication")
    hosts = [urlsplit(SCIMClient.BASE_URL).hostname]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # Version 1 is the SDK's default; offboard calls version 2, whose users differ in their schemas alone.
        self.api = SCIMClient(self.secret["token"], base_url=self.url + "/scim/v2/")

    @staticmethod
    def taken(response):
        if response.status_code >= 300:
            raise SlackError(response)
        return response

    def find(self, email):
        found = self.taken(self.api.search_users(filter=f'email eq "{email}"', count=100, start_index=1)).users
        return [Account(each.id, each.emails[0].value, not each.active) for each in found]

    def remove(self, id):
        return self.taken(self.api.delete_user(id)).status_code == 200


class Okta(Product):
    kind, error = "okta", OktaError
    # One layer of the SDK writes the space, as the API's page does, and another replaces it by this.
    allowed = {"header authorization: SSWSokta-1234, not SSWS okta-1234"}
    refusals = ("look_up_not_found", "gone_meanwhile", "no_permission")

    def __init__(self, *arguments):
        super().__init__(*arguments)
        settings = {"orgUrl": self.url, "token": self.secret["token"], "rateLimit": {"maxRetries": 0}}
        os.environ["OKTA_TESTING_TESTINGDISABLEHTTPSCHECK"] = "true"
        self.api = okta.client.Client(settings)

    @staticmethod
    def wait(call):
        *value, error = asyncio.run(call)
        if error:
            raise error
        return value[0]

    def find(self, email):
        either = f'profile.email eq "{email}" or profile.login eq "{email}"'
        found = self.wait(self.api.list_users(filter=either, limit=200))
        gone = ("DEPROVISIONED", "SUSPENDED")
        return [Account(each.id, each.profile.email, each.status.value in gone) for each in found]

    def remove(self, id):
        self.wait(self.api.deactivate_user(id, send_email=False))
        return True


class Box(Product):
    kind, error = "box", box.BoxAPIError
    # Python's way to write a boolean.
    allowed = {"query usemarker: True, not true"}
    hosts = [urlsplit(box.BaseUrls().base_url).hostname]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        config = box.CCGConfig(self.secret["client_id"], self.secret["client_secret"], enterprise_id="77")
        urls = box.BaseUrls(base_url=self.url, oauth_2_url=self.url)
        session = box.NetworkSession(base_urls=urls, retry_strategy=box.BoxRetryStrategy(max_attempts=0))
        self.api = box.BoxClient(box.BoxCCGAuth(config), network_session=session).users

    def find(self, email):
        fields = ["id", "login", "name", "status"]
        page = self.api.get_users(filter_term=email, user_type="managed", fields=fields, usemarker=True, limit=1000)
        assert page.next_marker is None
        return [Account(each.id, each.login, each.status == "inactive") for each in page.entries]

    def remove(self, id):
        changed = self.api.update_user_by_id(id, status="inactive")
        return (changed.id, changed.status) == (id, "inactive")

    @staticmethod
    def status(error):
        return error.response_info.status_code


class Asana(Product):
    kind, error = "asana", AsanaError
    pages = ("two_pages",)
    allowed = {"header content-type: application/json; charset=utf-8, not application/json"}
    refusals = ("look_up_not_found", "forbidden")
    hosts = [urlsplit(asana.Configuration().host).hostname]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        configuration = asana.Configuration()
        configuration.host, configuration.access_token = self.url + "/api/1.0", self.secret["token"]
        self.client, self.workspace = asana.ApiClient(configuration), self.settings["workspace"]

    def find(self, email):
        options = {"workspace": self.workspace, "limit": 100, "opt_fields": "email,name"}
        return [Account(each["gid"], each["email"]) for each in asana.UsersApi(self.client).get_users(options)]

    def remove(self, id):
        body = {"data": {"user": id}}
        return asana.WorkspacesApi(self.client).remove_user_for_workspace(body, self.workspace) == {}


class Databricks(Product):
    error, refusals = DatabricksError, ("look_up_not_found",)

    def find(self, email):
        found = self.api.users_v2.list(filter=f'userName eq "{email}"', count=100)
        return [Account(each.id, each.user_name, not each.active) for each in found]

    def remove(self, id):
        operations = [iam.Patch(op=iam.PatchOp.REPLACE, value={"active": False})]
        schemas = [iam.PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]
        self.api.users_v2.patch(id, operations=operations, schemas=schemas)
        return True

    @staticmethod
    def status(error):
        return 404 if isinstance(error, databricks.sdk.errors.NotFound) else None


    @staticmethod
    def extra(method, path, url):
        """Where tokens are issued, which the SDK asks for; and a page past the end, which it reads instead of the total."""
        target = urlsplit(path)
        if target.path == "/.well-known/databricks-config":
            return {"oidc_endpoint": f"{url}/oidc"}
        if target.path.endswith("/.well-known/oauth-authorization-server"):
            base = url + target.path.removesuffix("/.well-known/oauth-authorization-server")
            return {"authorization_endpoint": f"{base}/v1/authorize", "token_endpoint": f"{base}/v1/token"}
        past = method == "GET" and dict(parse_qsl(target.query)).get("startIndex", "1") != "1"
        return {"totalResults": 1, "Resources": []} if past else None


class DatabricksWorkspace(Databricks):
    kind = "databricks_workspace"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.api = databricks.sdk.WorkspaceClient(host=self.url, **self.secret)


class DatabricksAccount(Databricks):
    kind = "databricks_account"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.api = databricks.sdk.AccountClient(host=self.url, account_id=self.settings["account_id"], **self.secret)

    @staticmethod
    def extra(method, path, url):
        if path == "/.well-known/databricks-config":
            return {"oidc_endpoint": url + "/oidc/accounts/{account_id}"}
        return Databricks.extra(method, path, url)


class GitLab(Product):
    """GitLab publishes no SDK for Python; its documentation lists this one, which others write."""

    kind, error, base = "gitlab_instance", gitlab.GitlabError, "/api/v4"
    refusals = ("look_up_not_found", "gone_meanwhile")
    # The call takes no parameters.
    allowed = {"body /: {}, not nothing"}

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.api = gitlab.Gitlab(self.url, private_token=self.secret["token"]).users

    def find(self, email):
        found, page = [], 1
        while users := self.api.list(search=email, per_page=100, page=page, get_all=False):
            found += [Account(str(each.id), each.email, each.state in ("blocked", "banned")) for each in users]
            page += 1
        return found

    def remove(self, id):
        return self.api.get(int(id), lazy=True).block()

    @staticmethod
    def status(error):
        return error.response_code


class LaunchDarkly(Product):
    kind, error = "launchdarkly", launchdarkly_api.ApiException
    refusals = ("look_up_not_found", "gone_meanwhile", "scim_enabled")
    hosts = [urlsplit(each["url"]).hostname for each in launchdarkly_api.Configuration().get_host_settings()]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        configuration = launchdarkly_api.Configuration(host=self.url, api_key={"ApiKey": self.secret["token"]})
        self.api = AccountMembersApi(launchdarkly_api.ApiClient(configuration))

    def find(self, email):
        found = self.api.get_members(filter=f"email:{email}", limit=20, offset=0).items
        return [Account(each.id, each.email) for each in found]

    def remove(self, id):
        return self.api.delete_member(id) is None

    @staticmethod
    def complete(answer):
        defaults(answer, _links={})
        required = {"_pendingInvite": False, "_verified": True, "customRoles": [], "mfa": "disabled", "_lastSeen": 1}
        for item in answer["items"]:
            defaults(item, _links={}, creationDate=1, **required)


class SendGrid(Product):
    kind, error = "sendgrid", SendgridError
    refusals = ("look_up_not_found", "gone_meanwhile", "other_404")
    hosts = [urlsplit(sendgrid.SendGridAPIClient("key").host).hostname]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.api = sendgrid.SendGridAPIClient(self.secret["api_key"], host=self.url).client.teammates

    def invitations(self, email):
        return [Account(each["token"], each["email"]) for each in self.api.pending.get().to_dict["result"]]

    def find(self, email):
        found, page = [], True
        while page:
            page = self.api.get(query_params={"limit": 500, "offset": len(found)}).to_dict["result"]
            found += [Account(each["username"], each["email"]) for each in page]
        return found

    def remove_invitation(self, id):
        return self.api.pending._(id).delete().status_code == 204

    def remove(self, id):
        return self.api._(id).delete().status_code == 204

    @staticmethod
    def status(error):
        return error.status_code


class Fastly(Product):
    kind, error = "fastly_user", fastly.ApiException
    hosts = [urlsplit(fastly.Configuration().host).hostname]

    def __init__(self, *arguments):
        super().__init__(*arguments)
        configuration = fastly.Configuration(host=self.url)
        configuration.api_token = self.secret["token"]
        self.client = fastly.ApiClient(configuration)

    def find(self, email):
        found = CustomerApi(self.client).list_users(customer_id=self.settings["customer_id"])
        return [Account(each["id"], each["login"]) for each in found]

    def remove(self, id):
        return UserApi(self.client).delete_user(user_id=id)["status"] == "ok"


PRODUCTS = (
    Anthropic,
    Asana,
    Box,
    CloudflareMembers,
    DatabricksAccount,
    DatabricksWorkspace,
    Datadog,
    Fastly,
    GitLab,
    LaunchDarkly,
    Linear,
    Okta,
    OpenAi,
    PagerDuty,
    SendGrid,
    Slack,
    Zoom,
)
