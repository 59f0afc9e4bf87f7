;; A body without end.
;; in: send
;; fails: request-size
(func $send (param i32) (result i32)
    (local $request i32) (local $stream i32)
    (local.set $request (call $request (call $fields) (global.get $receiver) (global.get $receiver_len)))
    (call $body (local.get $request) (i32.const 512))
    (call $body_stream (i32.load (i32.const 516)) (i32.const 512))
    (local.set $stream (i32.load (i32.const 516)))
    (drop (call $ask (local.get $request)))
    (loop
        (call $write (local.get $stream) (i32.const 4096) (i32.const 4096) (i32.const 512))
        (br_if 0 (i32.eqz (i32.load8_u (i32.const 512)))))
    unreachable)
