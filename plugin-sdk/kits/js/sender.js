// my-sender: tells notifications by a POST of JSON. Change it into yours.

import { check, delivered, plainText, webUrl } from './mag/sdk.js';

export const about = {
  name: 'my-sender',
  version: '0.1.0',
  description: 'Posts notifications as JSON.',
  // What may stand under `config` in mag.toml, as JSON Schema: mag shows each mistake at its line.
  config: {
    properties: {
      url: { type: 'string', description: 'Where notifications are posted.' },
      max_chars: { type: 'integer', description: 'The longest text that is posted; 4000 unless set.' },
    },
    required: ['url'],
  },
  secrets: [{ name: 'token', required: false, uses: ['header'], description: 'sent as a bearer token' }],
};

// Mistakes that a schema cannot express, each with a JSON pointer. Offline.
export function mistakes(config) {
  return webUrl(config.url) ? [] : [{ pointer: '/url', message: 'a URL like https://example.org/in is needed' }];
}

// The origins that the config makes this sender want.
export function origins(config) {
  return [{ origin: new URL(config.url).origin, methods: ['POST'], why: 'the url of the config' }];
}

// Tells one notification. `secrets.token` is a placeholder: mag puts the value in when the request leaves.
export function send({ config, secrets, notification, http, now }) {
  const headers = { 'idempotency-key': notification.id };
  if (secrets.token) headers.authorization = `Bearer ${secrets.token}`;
  const json = { text: plainText(notification, config.max_chars ?? 4000) };
  check(http({ method: 'POST', url: config.url, headers, json }), now);
  return delivered();
}
