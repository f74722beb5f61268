// Calls the function with events from the Lambda runtime API, as Lambda's own runtime for Node does: that one has a native
// part, which cannot be installed everywhere. One connection, kept.

import http from 'node:http';

import { handler } from './function.mjs';

const [hostname, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const call = (method, path, body) =>
  new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = http.request({ hostname, port, method, path: `/2018-06-01/runtime/${path}`, agent, headers }, (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, text: Buffer.concat(chunks).toString() }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });

for (;;) {
  const { headers, text } = await call('GET', 'invocation/next');
  const id = headers['lambda-runtime-aws-request-id'];
  try {
    await call('POST', `invocation/${id}/response`, JSON.stringify(await handler(JSON.parse(text))));
  } catch (error) {
    const body = { errorMessage: error.message, errorType: error.name };
    await call('POST', `invocation/${id}/error`, JSON.stringify(body));
  }
}
