// Calls the vendors' SDKs for Node: one JSON line in, one JSON line out.
import { createInterface } from "node:readline";

import { LinearClient } from "@linear/sdk";
import { UsersS2SAuthClient } from "@zoom/rivet/users";
import axios from "axios";

const account = (each) => ({ id: each.id, email: each.email });

function linear({ url, secret }) {
  const client = new LinearClient({ apiKey: secret.api_key, apiUrl: `${url}/graphql` });
  const invitations = async () => (await client.organizationInvites({ first: 50 })).nodes.map(account);
  return {
    invitations,
    find: async ({ email }) => {
      const filter = { email: { eqIgnoreCase: email } };
      const users = await client.users({ filter, includeDisabled: true, first: 50 });
      return users.nodes.map((each) => ({ ...account(each), inactive: !each.active }));
    },
    remove: async ({ id }) => (await client.suspendUser(id)).success,
    remove_invitation: async ({ id }) => (await client.deleteOrganizationInvite(id)).success,
  };
}

// Where tokens are issued is not a setting of the SDK.
const issuer = { url: undefined };
axios.interceptors.request.use((request) => {
  request.url = request.url.replace(/^https:\/\/zoom\.us/, issuer.url);
  return request;
});

function zoom({ url, secret, settings }) {
  issuer.url = url;
  const { client_id: clientId, client_secret: clientSecret } = secret;
  const options = { clientId, clientSecret, accountId: settings.account_id, baseUrl: `${url}/v2`, disableReceiver: true };
  const { users } = new UsersS2SAuthClient(options).endpoints;
  return {
    find: async ({ email }) => {
      const { data } = await users.getUser({ path: { userId: email } });
      return [{ ...account(data), inactive: data.status === "inactive" }];
    },
    remove: async ({ id }) => {
      const { statusCode } = await users.updateUserStatus({ path: { userId: id }, body: { action: "deactivate" } });
      return statusCode === 204;
    },
  };
}

const vendors = { linear, zoom };
const clients = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { kind, action, ...given } = JSON.parse(line);
  let answer;
  try {
    if (!clients.has(given.url)) clients.set(given.url, vendors[kind](given));
    answer = { value: await clients.get(given.url)[action](given) };
  } catch (error) {
    // Zoom's SDK names the status in the text alone: [404/1001]: "…".
    const status = error.status ?? Number(/\[(\d{3})[/\]]/.exec(error.message)?.[1]);
    answer = { error: { name: error.constructor.name || error.name, status, text: String(error.message) } };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
