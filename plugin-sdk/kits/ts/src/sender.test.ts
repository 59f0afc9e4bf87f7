import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { ConfigError, Failure } from './mag/contract.js';
import { type Answer, component, group, notification, type Request } from './mag/sdk.js';
import * as mine from './sender.js';

const config = JSON.stringify({ url: 'https://example.org/in', secrets: { token: 'PLACEHOLDER' } });

function sending(status: number, headers: Record<string, string> = {}) {
  const asked: Request[] = [];
  const answer: Answer = { status, headers, body: '', truncated: false };
  const sender = component(mine, (request) => (asked.push(request), answer));
  try {
    return { told: sender.send(config, new Uint8Array(), notification([group('disk full', 30)])), asked };
  } catch (failure) {
    return { failure: failure as Failure, asked };
  }
}

test('a notification is posted', () => {
  const { told, asked } = sending(200);
  assert.equal(told?.updatedInPlace, false);
  assert.equal(asked[0].url, 'https://example.org/in');
  assert.equal(asked[0].headers?.authorization, 'Bearer PLACEHOLDER');
  assert.deepEqual(asked[0].json, { text: 'Message "disk full" was repeated 30 time(s).' });
});

test('an answer decides what mag does next', () => {
  assert.equal(sending(404).failure?.kind, 'misconfigured');
  const limited = sending(429, { 'retry-after': '7' }).failure;
  assert.deepEqual([limited?.kind, limited?.afterMs], ['rate-limited', 7000n]);
});

test('a mistake in the config is found where it is', () => {
  const sender = component(mine, () => assert.fail('validate has no network'));
  const pointers = (config: unknown) => {
    try {
      return sender.validate(JSON.stringify(config)).map((wanted) => wanted.origin);
    } catch (mistakes) {
      return (mistakes as ConfigError[]).map((mistake) => mistake.pointer);
    }
  };
  assert.deepEqual(pointers({ url: 'https://example.org/in' }), ['https://example.org']);
  assert.deepEqual(pointers({ url: 'nowhere' }), ['/url']);
  assert.deepEqual(pointers({ urll: 'https://example.org' }), ['/urll', '/url']);
  assert.deepEqual(pointers({ url: 7, max_chars: 'many' }), ['/url', '/max_chars']);
});
