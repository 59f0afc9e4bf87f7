// What every sender needs and no network does: the contract's four functions, what an answer means, and text that cannot
// act. Plain functions, so that `node --test` runs them.

/** A failure; `throw` it. Kinds: 'retry', 'rate-limited', 'permanent', 'misconfigured'. */
export function failure(kind, code, message, more = {}) {
  return { kind, code, message, afterMs: undefined, maybeDelivered: false, progress: undefined, extra: '', ...more };
}

/** Told. `{ receipt: bytes }` keeps what is needed to change the message later. */
export function delivered(more = {}) {
  return { receipt: undefined, updatedInPlace: false, extra: '', ...more };
}

/** Throws the failure that fits an answer's status; 2xx is delivered. */
export function check({ status, headers }, now) {
  const code = String(status);
  const afterMs = retryAfterMs(headers['retry-after'], now);
  const throws = (kind, says, more) => {
    throw failure(kind, code, `${status} ${says}`, more);
  };
  if (status >= 200 && status < 300) return;
  if (status === 429) throws('rate-limited', 'too many requests', { afterMs });
  if (status === 408 || status === 425 || status >= 500) throws('retry', 'the destination cannot take it now', { afterMs });
  if (status >= 300 && status < 400) throws('misconfigured', 'the destination has moved: redirects are not followed');
  if (status === 401 || status === 403) throws('misconfigured', 'the destination does not accept the credentials');
  if (status === 404 || status === 410) throws('misconfigured', 'the destination is not there');
  throws('permanent', 'the destination refuses this notification');
}

/** `Retry-After` in milliseconds, seconds or a date, between 1 s and 1 h; undefined for what is neither. */
export function retryAfterMs(value, now) {
  if (!value) return undefined;
  const ms = /^\s*\d+\s*$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 1000), 3_600_000);
}

// Control characters, what turns text round, what nobody sees, and line ends that are not called so.
const ACTING = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** The parts of an `http` or `https` URL; undefined for anything else. */
export function webUrl(text) {
  try {
    const url = new URL(text);
    return ['http:', 'https:'].includes(url.protocol) ? url : undefined;
  } catch {
    return undefined;
  }
}

/** One line of plain text: what could act in it is replaced. Escape it further for your destination's markup. */
export function plainLine(text) {
  return text.replace(ACTING, (c) => (c === '\n' || c === '\t' ? ' ' : '\ufffd'));
}

/** The whole notification as plain text of at most `most` characters; what does not fit is counted. */
export function plainText(notification, most) {
  if (notification.body !== undefined) return cut(notification.body, most);
  const groups = [...notification.groups].sort((a, b) => b.count - a.count || a.firstSeen - b.firstSeen);
  const lines = notification.reason === 'escalated' ? [cut(escalated(notification), most / 2)] : [];
  let room = most - 100 - [...lines.join('')].length;
  let [left, messages] = [notification.omittedGroups, notification.omittedMessages];
  for (const group of groups) {
    const longest = groups.length === 1 ? room - 1 : Math.min(500, most / 2);
    const line = sentence(group, longest);
    room -= [...line].length + 1;
    if (room < 0) {
      left += 1;
      messages += group.count;
    } else {
      lines.push(line);
    }
  }
  if (left > 0) lines.push(`and ${left} more group${left === 1 ? '' : 's'}, ${messages} message${messages === 1 ? '' : 's'}`);
  return lines.join('\n');
}

/** One line about a group: `Message "disk full" was repeated 30 time(s).` */
export function sentence(group, most = 500) {
  const text = cut(plainLine(group.text), Math.max(most - 100, 1));
  const seconds = Math.max(1, Math.round((group.closed - group.opened) / 1000));
  const period = group.reason === 'time' ? ` for last ${seconds} second${seconds === 1 ? '' : 's'}` : '';
  if (group.state === 'overflow') return `${group.count} ${text}${period}.`;
  if (group.resolved) return `Resolved: "${text}".`;
  if (group.kind === 'monitor') return text;
  return `Message "${text}" was repeated ${group.count} time(s)${period}.`;
}

function escalated(notification) {
  const { sender = '', error = '' } = JSON.parse(notification.extra || '{}').escalated_from ?? {};
  return plainLine(`Escalated: sender ${sender}: ${error}`);
}

function cut(text, most) {
  const characters = [...text];
  return characters.length <= most ? text : `${characters.slice(0, Math.max(Math.floor(most) - 1, 0)).join('')}…`;
}

/** What does not fit a schema of the kind that `about.config` is: unknown keys, missing keys, wrong types. */
export function schemaMistakes({ properties = {}, required = [] }, config) {
  const mistakes = [];
  for (const key of Object.keys(config)) {
    if (!Object.hasOwn(properties, key)) {
      mistakes.push({ pointer: pointer(key), message: `unknown key, expected one of ${Object.keys(properties).join(', ')}` });
    }
  }
  for (const key of required) {
    if (!Object.hasOwn(config, key)) mistakes.push({ pointer: pointer(key), message: 'is missing' });
  }
  for (const [key, { type }] of Object.entries(properties)) {
    if (Object.hasOwn(config, key) && !isA(config[key], type)) mistakes.push({ pointer: pointer(key), message: `expected: ${type}` });
  }
  return mistakes;
}

const pointer = (key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;

function isA(value, type) {
  if (type === undefined) return true;
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === type;
}

/** Joins a sender's module to the contract: what the component exports. */
export function component({ about, mistakes, origins, prepare, send }, http) {
  const schema = { type: 'object', additionalProperties: false, ...about.config };
  const call = (json) => {
    const { secrets = {}, ...config } = JSON.parse(json);
    return { config, secrets, http, now: Date.now() };
  };
  return {
    describe: () => ({
      secrets: [], markup: 'none', updatesInPlace: false, replies: false, maxGroups: undefined, overflow: 'summarize', extra: '',
      ...about,
      configSchema: JSON.stringify(schema),
    }),
    validate: (json) => {
      const { config, secrets } = call(json);
      const wrong = schemaMistakes(schema, config);
      try {
        if (wrong.length === 0) wrong.push(...(mistakes?.(config, secrets) ?? []));
        if (wrong.length === 0) return origins?.(config, secrets) ?? [];
      } catch (error) {
        wrong.push({ pointer: '', message: bug(error) });
      }
      throw wrong;
    },
    prepare: (json) => {
      const { state = new Uint8Array(), validForMs } = contractual(() => prepare?.(call(json)) ?? {});
      return { state, validForMs: validForMs === undefined ? undefined : BigInt(validForMs) };
    },
    send: (json, state, notification) => {
      // A little less than the call has, so that the sender can still say what happened.
      const timeoutMs = Math.floor(notification.timeoutMs * 0.9);
      const timed = (request) => http({ timeoutMs, ...request });
      return contractual(() => send({ ...call(json), state, notification: numbers(notification), http: timed }));
    },
  };
}

// Numbers that the contract counts in 64 bits are plain ones in a sender.
function numbers(value) {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(numbers);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, numbers(field)]));
}

// Failures leave with the contract's types; anything else that was thrown is a mistake in the code, and says so.
function contractual(run) {
  try {
    return run();
  } catch (thrown) {
    const told = typeof thrown?.kind === 'string' ? thrown : failure('retry', 'exception', bug(thrown));
    throw { ...told, afterMs: told.afterMs === undefined ? undefined : BigInt(Math.round(told.afterMs)) };
  }
}

// In full on standard error, which mag logs.
function bug(error) {
  console.error(error?.stack ?? error);
  return `a mistake in the sender: ${error}`;
}

/** A group for tests. */
export function group(text, count) {
  const times = { firstSeen: 0n, lastSeen: 0n, opened: 0n, closed: 0n };
  return {
    id: text, route: 'root', kind: 'default', source: undefined, text, severity: undefined, labels: [], annotations: [],
    count: BigInt(count), total: BigInt(count), ...times, samples: [], reason: 'count', state: 'firing', resolved: false,
    links: [], extra: '',
  };
}

/** A notification for tests. */
export function notification(groups) {
  return {
    id: '01890a5d-ac96-774b-bcce-b302099a8057', attempt: 1, sender: 'test', kind: 'default', reason: 'count', periodMs: 0n,
    title: groups[0]?.text ?? '', body: undefined, groups, omittedGroups: 0n, omittedMessages: 0n, sentAt: 0n,
    timeoutMs: 10_000, intent: 'post', previous: undefined, progress: undefined, links: [], extra: '',
  };
}
