;; CONNECT, to where it may reach: what comes after it nobody could check.
;; in: send
;; fails: forbidden-method
(func $send (param i32) (result i32)
    (local $request i32)
    (local.set $request (call $request (call $fields) (global.get $receiver) (global.get $receiver_len)))
    (drop (call $set_method (local.get $request) (i32.const 5) (i32.const 0) (i32.const 0)))
    (call $answer (call $ask (local.get $request))))
