// The part of wasi:http that http.ts uses.

declare module 'wasi:http/outgoing-handler@0.2.12' {
  import type { FutureIncomingResponse, OutgoingRequest, RequestOptions } from 'wasi:http/types@0.2.12';
  export function handle(request: OutgoingRequest, options: RequestOptions | undefined): FutureIncomingResponse;
}

declare module 'wasi:http/types@0.2.12' {
  export interface Tagged { tag: string; val?: unknown }
  type Result<T> = { tag: 'ok'; val: T } | { tag: 'err'; val: Tagged };
  export class Fields {
    static fromList(entries: [string, Uint8Array][]): Fields;
    entries(): [string, Uint8Array][];
  }
  export class OutputStream {
    blockingWriteAndFlush(bytes: Uint8Array): void;
    [Symbol.dispose](): void;
  }
  export class InputStream {
    blockingRead(length: bigint): Uint8Array;
  }
  export class OutgoingBody {
    write(): OutputStream;
    static finish(body: OutgoingBody, trailers: Fields | undefined): void;
  }
  export class OutgoingRequest {
    constructor(headers: Fields);
    setMethod(method: Tagged): void;
    setScheme(scheme: Tagged): void;
    setAuthority(authority: string): void;
    setPathWithQuery(path: string): void;
    body(): OutgoingBody;
  }
  export class RequestOptions {
    setConnectTimeout(nanos: bigint): void;
    setFirstByteTimeout(nanos: bigint): void;
    setBetweenBytesTimeout(nanos: bigint): void;
  }
  export class IncomingBody {
    stream(): InputStream;
  }
  export class IncomingResponse {
    status(): number;
    headers(): Fields;
    consume(): IncomingBody;
  }
  export class FutureIncomingResponse {
    subscribe(): { block(): void };
    get(): Result<Result<IncomingResponse>> | undefined;
  }
}
