;; A request that is neither http nor https.
;; in: send
;; fails: refused
(data (i32.const 4096) "ftp")
(func $send (param i32) (result i32)
    (local $request i32)
    (local.set $request (call $request (call $fields) (global.get $receiver) (global.get $receiver_len)))
    (drop (call $set_scheme (local.get $request) (i32.const 1) (i32.const 2) (i32.const 4096) (i32.const 3)))
    (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable))
    (call $refused))
