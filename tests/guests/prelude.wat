;; What every guest here may call, and helpers to do it. The runner adds `$receiver` and `$canary` (pointer and length of
;; their addresses), `$memory`, and what a guest does not define itself of its four exports.
(import "wasi:http/types@0.2.12" "[constructor]fields" (func $fields (result i32)))
(import "wasi:http/types@0.2.12" "[method]fields.append" (func $append (param i32 i32 i32 i32 i32 i32)))
(import "wasi:http/types@0.2.12" "[constructor]outgoing-request" (func $new_request (param i32) (result i32)))
(import "wasi:http/types@0.2.12" "[method]outgoing-request.set-method" (func $set_method (param i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.2.12" "[method]outgoing-request.set-scheme" (func $set_scheme (param i32 i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.2.12" "[method]outgoing-request.set-authority" (func $set_authority (param i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.2.12" "[method]outgoing-request.set-path-with-query" (func $set_path (param i32 i32 i32 i32) (result i32)))
(import "wasi:http/types@0.2.12" "[method]outgoing-request.body" (func $body (param i32 i32)))
(import "wasi:http/types@0.2.12" "[method]outgoing-body.write" (func $body_stream (param i32 i32)))
(import "wasi:http/types@0.2.12" "[method]future-incoming-response.subscribe" (func $subscribe (param i32) (result i32)))
(import "wasi:http/types@0.2.12" "[method]future-incoming-response.get" (func $get (param i32 i32)))
(import "wasi:http/types@0.2.12" "[resource-drop]future-incoming-response" (func $drop_future (param i32)))
(import "wasi:http/types@0.2.12" "[method]incoming-response.consume" (func $consume (param i32 i32)))
(import "wasi:http/types@0.2.12" "[method]incoming-body.stream" (func $answer_stream (param i32 i32)))
(import "wasi:http/outgoing-handler@0.2.12" "handle" (func $handle (param i32 i32 i32 i32)))
(import "wasi:io/streams@0.2.12" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
(import "wasi:io/streams@0.2.12" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
(import "wasi:io/streams@0.2.12" "[method]output-stream.write-zeroes" (func $write_zeroes (param i32 i64 i32)))
(import "wasi:io/poll@0.2.12" "[method]pollable.block" (func $block (param i32)))
(import "wasi:io/poll@0.2.12" "[resource-drop]pollable" (func $drop_pollable (param i32)))
(import "wasi:io/poll@0.2.12" "poll" (func $poll (param i32 i32 i32)))
(import "wasi:clocks/monotonic-clock@0.2.12" "now" (func $now (result i64)))
(import "wasi:clocks/monotonic-clock@0.2.12" "resolution" (func $resolution (result i64)))
(import "wasi:clocks/monotonic-clock@0.2.12" "subscribe-duration" (func $sleep (param i64) (result i32)))
(import "wasi:clocks/wall-clock@0.2.12" "now" (func $wall_now (param i32)))
(import "wasi:random/random@0.2.12" "get-random-bytes" (func $random (param i64 i32)))
(import "wasi:cli/environment@0.2.12" "get-environment" (func $environment (param i32)))
(import "wasi:cli/environment@0.2.12" "get-arguments" (func $arguments (param i32)))
(import "wasi:cli/stdout@0.2.12" "get-stdout" (func $stdout (result i32)))
(import "wasi:cli/stderr@0.2.12" "get-stderr" (func $stderr (result i32)))
(import "wasi:cli/exit@0.2.12" "exit" (func $exit (param i32)))
(import "wasi:filesystem/preopens@0.2.12" "get-directories" (func $directories (param i32)))
(import "wasi:sockets/tcp-create-socket@0.2.12" "create-tcp-socket" (func $tcp (param i32 i32)))
(import "wasi:sockets/udp-create-socket@0.2.12" "create-udp-socket" (func $udp (param i32 i32)))
(import "wasi:sockets/instance-network@0.2.12" "instance-network" (func $network (result i32)))
(import "wasi:sockets/ip-name-lookup@0.2.12" "resolve-addresses" (func $resolve (param i32 i32 i32 i32)))

;; Memory: results of host calls from 512, zeros from 1024, a failure at 2048, addresses from 3072, data of guests from
;; 4096, and from 65536 what the host hands in.
(global $heap (mut i32) (i32.const 65536))

(func $bump (param $align i32) (param $len i32) (result i32)
    (local $at i32) (local $pages i32)
    (local.set $at (i32.and
        (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $len)))
    (local.set $pages (i32.sub
        (i32.shr_u (i32.add (global.get $heap) (i32.const 65535)) (i32.const 16))
        (memory.size)))
    (if (i32.gt_s (local.get $pages) (i32.const 0))
        (then (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then unreachable))))
    (local.get $at))

;; A POST to `http://AUTHORITY/`, not sent yet.
(data (i32.const 4008) "/")
(func $request (param $fields i32) (param $authority i32) (param $len i32) (result i32)
    (local $request i32)
    (local.set $request (call $new_request (local.get $fields)))
    (drop (call $set_method (local.get $request) (i32.const 2) (i32.const 0) (i32.const 0)))
    (drop (call $set_scheme (local.get $request) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
    (drop (call $set_path (local.get $request) (i32.const 1) (i32.const 4008) (i32.const 1)))
    (if (call $set_authority (local.get $request) (i32.const 1) (local.get $authority) (local.get $len))
        (then unreachable))
    (local.get $request))

;; Sends a request; traps when it is refused at once.
(func $ask (param $request i32) (result i32)
    (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 512))
    (if (i32.load8_u (i32.const 512)) (then unreachable))
    (i32.load (i32.const 520)))

;; Waits for an answer: its handle; traps when there is none.
(func $answer (param $future i32) (result i32)
    (call $block (call $subscribe (local.get $future)))
    (call $get (local.get $future) (i32.const 512))
    (if (i32.load8_u (i32.const 528)) (then unreachable))
    (i32.load (i32.const 536)))

;; A request without a body to the receiver, and its answer.
(func $post (result i32)
    (call $answer (call $ask (call $request (call $fields) (global.get $receiver) (global.get $receiver_len)))))

;; A failure with the word at `$code`, of this length, as `prepare` and `send` give it back.
(func $fail (param $code i32) (param $len i32) (result i32)
    (i32.store (i32.const 2048) (i32.const 1))
    (i32.store (i32.const 2060) (local.get $code))
    (i32.store (i32.const 2064) (local.get $len))
    (i32.const 2048))

;; What a guest says that found every door closed.
(data (i32.const 4000) "refused")
(func $refused (result i32) (call $fail (i32.const 4000) (i32.const 7)))
