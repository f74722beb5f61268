// The Node contestant: what offboard does for a departure, on undici and the AWS SDK, without its judgement. Clients and
// secrets are made ready while the function starts, connections are kept, providers are called at once.

import { createHmac, timingSafeEqual } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { BatchGetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { Agent, request } from 'undici';

const BATCH = 20; // Secrets of one call.
const JSON_BODY = { 'content-type': 'application/json' };

const dispatcher = new Agent({
  connections: 32,
  keepAliveTimeout: 300_000,
  headersTimeout: 10_000,
  bodyTimeout: 10_000,
});

// Returns secrets by their names, 20 a call, all calls at once.
const readSecrets = async (names) => {
  const manager = new SecretsManagerClient({});
  const batches = [];
  for (let at = 0; at < names.length; at += BATCH) batches.push(names.slice(at, at + BATCH));
  const answers = await Promise.all(
    batches.map((SecretIdList) => manager.send(new BatchGetSecretValueCommand({ SecretIdList }))),
  );
  return new Map(
    answers.flatMap((answer) => answer.SecretValues.map((value) => [value.Name, JSON.parse(value.SecretString)])),
  );
};

class Provider {
  constructor(config, secret) {
    Object.assign(this, config, { secret });
  }

  async call(method, path, { accepted = [200, 204], headers, body } = {}) {
    const options = { dispatcher, method, headers: body ? { ...JSON_BODY, ...headers } : headers };
    if (body) options.body = JSON.stringify(body);
    const answer = await request(this.url + path, options);
    const text = await answer.body.text();
    if (!accepted.includes(answer.statusCode)) throw new Error(`status ${answer.statusCode}`);
    return { status: answer.statusCode, json: text ? JSON.parse(text) : undefined };
  }

  remove(email) {
    return this[this.kind](email);
  }

  async aerospike_cloud(email) {
    const grant = { ...this.secret, grant_type: 'client_credentials' };
    this.token ??= this.call('POST', '/oauth/token', { body: grant });
    const headers = { authorization: `Bearer ${(await this.token).json.access_token}` };
    const path = '/v2/organization/members';
    await this.gone(
      async () => {
        const { json } = await this.call('GET', path, { headers });
        return json.members.filter((member) => member.email === email).map((member) => member.id);
      },
      (id) => this.call('DELETE', `${path}/${id}`, { headers }),
    );
  }

  async cloudflare_access(email) {
    const headers = { authorization: `Bearer ${this.secret.api_token}` };
    const path = `/client/v4/accounts/${this.account}/access/users`;
    const query = new URLSearchParams({ email, page: '1', per_page: '100' });
    await this.gone(
      async () => {
        const { json } = await this.call('GET', `${path}?${query}`, { headers });
        return json.result.filter((user) => user.email === email).map((user) => user.id);
      },
      (id) => this.call('DELETE', `${path}/${id}`, { headers }),
    );
  }

  async flashduty(email) {
    const query = new URLSearchParams({ app_key: this.secret.app_key });
    await this.gone(
      async () => {
        const body = { p: 1, limit: 100, query: email };
        const { json } = await this.call('POST', `/member/list?${query}`, { body });
        return json.data.items.filter((item) => item.email === email).map((item) => item.member_id);
      },
      (id) => this.call('POST', `/member/delete?${query}`, { body: { member_id: id, is_force: false } }),
    );
  }

  async instaply(email) {
    const options = { headers: { token: this.secret.token }, body: { email } };
    await this.call('POST', '/api/user/delete-by-email', options);
    await this.call('POST', '/api/user/delete-by-email', { ...options, accepted: [404] });
  }

  async stytch_b2b(email) {
    const credentials = Buffer.from(`${this.secret.project_id}:${this.secret.secret}`).toString('base64');
    const headers = { authorization: `Basic ${credentials}` };
    const path = `/v1/b2b/organizations/${this.organization}`;
    const query = new URLSearchParams({ email_address: email });
    await this.gone(
      async () => {
        const { status, json } = await this.call('GET', `${path}/member?${query}`, { headers, accepted: [200, 404] });
        return status === 200 && json.member.status !== 'deleted' ? [json.member_id] : [];
      },
      (id) => this.call('DELETE', `${path}/members/${id}`, { headers }),
    );
  }

  // Finds one account, deletes it, and looks again.
  async gone(find, remove) {
    const found = await find();
    if (found.length !== 1) throw new Error('not one account');
    await remove(found[0]);
    if ((await find()).length > 0) throw new Error('still there');
  }
}

// Departures in DynamoDB: one write before the work, one after it.
class Ledger {
  constructor(table, { DynamoDBClient, UpdateItemCommand }) {
    this.table = table;
    this.client = new DynamoDBClient({});
    this.Update = UpdateItemCommand;
  }

  begin(id) {
    return this.client.send(
      new this.Update({
        TableName: this.table,
        Key: { id: { S: id } },
        UpdateExpression: 'SET #state = :state',
        ConditionExpression: 'attribute_not_exists(#state)',
        ExpressionAttributeNames: { '#state': 'state' },
        ExpressionAttributeValues: { ':state': { S: 'pending' } },
      }),
    );
  }

  end(id, providers) {
    return this.client.send(
      new this.Update({
        TableName: this.table,
        Key: { id: { S: id } },
        UpdateExpression: 'SET #state = :state, #outcomes = :outcomes',
        ExpressionAttributeNames: { '#state': 'state', '#outcomes': 'outcomes' },
        ExpressionAttributeValues: { ':state': { S: 'done' }, ':outcomes': { S: JSON.stringify(providers) } },
      }),
    );
  }
}

const config = JSON.parse(await readFile(process.env.BENCH_CONFIG, 'utf8'));
const secrets = await readSecrets([config.secret, ...config.providers.map((one) => one.secret)]);
const key = secrets.get(config.secret).signing_secret;
const providers = config.providers.map((one) => new Provider(one, secrets.get(one.secret)));
// Read only where it is used: a function without a table would not have it.
const ledger = config.table ? new Ledger(config.table, await import('@aws-sdk/client-dynamodb')) : undefined;

const isAuthentic = (body, signature) => {
  const expected = Buffer.from(`sha256=${createHmac('sha256', key).update(body).digest('hex')}`);
  const received = Buffer.from(signature ?? '');
  return expected.length === received.length && timingSafeEqual(expected, received);
};

const outcome = async (provider, email) => {
  try {
    await provider.remove(email);
    return { provider: provider.name, outcome: 'deleted' };
  } catch (error) {
    return { provider: provider.name, outcome: 'failed', reason: error.message };
  }
};

// Removes one person everywhere, all providers at once.
const remove = async ({ id, email }) => {
  try {
    await ledger?.begin(id);
  } catch (error) {
    if (error.name !== 'ConditionalCheckFailedException') throw error;
    return { id, duplicate: true, providers: [] };
  }
  const outcomes = await Promise.all(providers.map((provider) => outcome(provider, email)));
  await ledger?.end(id, outcomes);
  return { id, providers: outcomes };
};

const deliver = async (event) => {
  const body = Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'utf8');
  if (!isAuthentic(body, event.headers['x-hr-signature'])) return [401, { error: 'the signature is wrong' }];
  const departures = await Promise.all(JSON.parse(body).events.map(remove));
  const isDone = departures.every((departure) => departure.providers.every((one) => one.outcome === 'deleted'));
  return [isDone ? 200 : 503, { departures }];
};

export const handler = async (event) => {
  const [statusCode, body] = await deliver(event);
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
};
