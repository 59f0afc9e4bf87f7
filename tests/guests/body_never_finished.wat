;; A body that is begun and never ends.
;; in: send
;; timeout: 30ms
;; fails: timeout
(func $send (param i32) (result i32)
    (local $request i32)
    (local.set $request (call $request (call $fields) (global.get $receiver) (global.get $receiver_len)))
    (call $body (local.get $request) (i32.const 512))
    (call $body_stream (i32.load (i32.const 516)) (i32.const 512))
    (call $write (i32.load (i32.const 516)) (i32.const 4096) (i32.const 4096) (i32.const 512))
    (call $answer (call $ask (local.get $request))))
