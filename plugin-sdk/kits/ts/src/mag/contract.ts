// The contract `mag:sender@1.0.0` as types; `wit/sender.wit` says what each field means.

export interface Label { name: string; value: string }
export interface Link { rel: string; title: string; url: string }
export type Severity = 'trace' | 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical';

/** Generic in the type of what the contract counts in 64 bits: bigint there, number in a sender. */
export interface GroupOf<N> {
  id: string; route: string; kind: string; source?: string; text: string; severity?: Severity;
  labels: Label[]; annotations: Label[]; count: N; total: N; firstSeen: N; lastSeen: N; opened: N; closed: N;
  samples: string[]; reason: string; state: string; resolved: boolean; links: Link[]; extra: string;
}

export interface NotificationOf<N> {
  id: string; attempt: number; sender: string; kind: string; reason: string; periodMs: N; title: string; body?: string;
  groups: GroupOf<N>[]; omittedGroups: N; omittedMessages: N; sentAt: N; timeoutMs: number;
  intent: 'post' | 'update' | 'reply'; previous?: Uint8Array; progress?: Uint8Array; links: Link[]; extra: string;
}

export type Group = GroupOf<number>;
export type Notification = NotificationOf<number>;

export interface Delivered { receipt?: Uint8Array; updatedInPlace: boolean; extra: string }
export type FailureKind = 'retry' | 'rate-limited' | 'permanent' | 'misconfigured';
export interface FailureOf<N> {
  kind: FailureKind; code: string; message: string; afterMs?: N; maybeDelivered: boolean; progress?: Uint8Array; extra: string;
}
export type Failure = FailureOf<number>;

export interface ConfigError { pointer: string; message: string }
export interface Egress { origin: string; methods: string[]; why: string }
export interface Secret { name: string; required: boolean; uses: string[]; description: string }
export interface Manifest {
  name: string; version: string; description: string; configSchema: string; secrets: Secret[];
  markup: 'none' | 'markdown' | 'mrkdwn' | 'html'; updatesInPlace: boolean; replies: boolean; maxGroups?: number;
  overflow: 'summarize' | 'split'; extra: string;
}
