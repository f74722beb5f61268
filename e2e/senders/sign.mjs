// Signs and verifies with the senders' own libraries, for check.py: a request on each line of the input, an answer on
// each line of the output, both JSON. What a library throws is an answer too.

import { createInterface } from "node:readline";

import { verifyWebhook } from "@clerk/backend/webhooks";
import * as octokit from "@octokit/webhooks-methods";
import { ScalekitClient } from "@scalekit-sdk/node";
import { WorkOS } from "@workos-inc/node";
import * as jose from "jose";

const workos = new WorkOS("sk_test_check").webhooks;
const scalekit = new ScalekitClient("https://check.example.com", "client", "secret");

// A secret as a text, or a key as a JWK.
const key = (given, alg) => (typeof given === "string" ? new TextEncoder().encode(given) : jose.importJWK(given, alg));

const actions = {
  "octokit sign": ({ secret, body }) => octokit.sign(secret, body),
  "octokit verify": ({ secret, body, signature }) => octokit.verify(secret, body, signature),

  // WorkOS signs a body as JavaScript writes it, and its libraries write it anew to verify it.
  "workos sign": async ({ secret, body, timestamp }) => {
    const payload = JSON.parse(body);
    const signature = await workos.signatureProvider.computeSignature(timestamp, payload, secret);
    return { header: `t=${timestamp}, v1=${signature}`, body: JSON.stringify(payload) };
  },
  "workos verify": async ({ secret, body, signature }) =>
    (await workos.constructEvent({ payload: JSON.parse(body), sigHeader: signature, secret })).event,

  "clerk verify": async ({ secret, body, headers }) => {
    const request = new Request("https://check.example.com", { method: "POST", headers, body });
    return (await verifyWebhook(request, { signingSecret: secret })).type;
  },
  "scalekit verify": ({ secret, body, headers }) => scalekit.verifyWebhookPayload(secret, headers, body),

  "jose keys": async ({ alg }) => {
    const pair = await jose.generateKeyPair(alg, { extractable: true });
    const [publicKey, privateKey] = [await jose.exportJWK(pair.publicKey), await jose.exportJWK(pair.privateKey)];
    const kid = await jose.calculateJwkThumbprint(publicKey);
    const pem = await jose.exportPKCS8(pair.privateKey);
    return { public: { ...publicKey, kid, alg, use: "sig" }, private: privateKey, pem };
  },
  "jose sign": async ({ header, claims, secret }) =>
    header.alg === "none"
      ? new jose.UnsecuredJWT(claims).encode()
      : new jose.SignJWT(claims).setProtectedHeader(header).sign(await key(secret, header.alg)),
  "jose verify": async ({ token, secret, keys, options }) => {
    const verified = await jose.jwtVerify(token, keys ? jose.createLocalJWKSet({ keys }) : await key(secret), options);
    return { claims: verified.payload, header: verified.protectedHeader };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { action, ...given } = JSON.parse(line);
  let answer;
  try {
    answer = { value: await actions[action](given) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
