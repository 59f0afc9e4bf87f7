;; A host behind a user name that looks like one.
;; in: send
;; fails: forbidden-url
(func $send (param i32) (result i32)
    (local $at i32) (local $len i32)
    (local.set $len (i32.add (global.get $receiver_len) (i32.add (global.get $canary_len) (i32.const 1))))
    (local.set $at (call $bump (i32.const 1) (local.get $len)))
    (memory.copy (local.get $at) (global.get $receiver) (global.get $receiver_len))
    (i32.store8 (i32.add (local.get $at) (global.get $receiver_len)) (i32.const 64))
    (memory.copy
        (i32.add (local.get $at) (i32.add (global.get $receiver_len) (i32.const 1)))
        (global.get $canary) (global.get $canary_len))
    (call $answer (call $ask (call $request (call $fields) (local.get $at) (local.get $len)))))
