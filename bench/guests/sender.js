// What `bench sender` measures: nothing, or one POST.

import { check, delivered, plainText } from './mag/sdk.js';

export const about = {
  name: 'bench', version: '0.1.0', description: 'Does nothing, or posts.', config: { properties: { url: { type: 'string' } } },
};

export function origins(config) {
  return config.url ? [{ origin: new URL(config.url).origin, methods: ['POST'], why: 'to measure it' }] : [];
}

export function send({ config, notification, http, now }) {
  if (config.url) check(http({ method: 'POST', url: config.url, json: { text: plainText(notification, 4000) } }), now);
  return delivered();
}
