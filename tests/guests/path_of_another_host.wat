;; A path that is a whole URL, and one that ends the line.
;; in: send
;; fails: refused
(data (i32.const 4096) "http://evil.example/")
(data (i32.const 4128) "/ HTTP/1.1\r\nevil: yes")
(func $send (param i32) (result i32)
    (local $request i32)
    (local.set $request (call $request (call $fields) (global.get $receiver) (global.get $receiver_len)))
    (if (i32.eqz (call $set_path (local.get $request) (i32.const 1) (i32.const 4096) (i32.const 20))) (then unreachable))
    (if (i32.eqz (call $set_path (local.get $request) (i32.const 1) (i32.const 4128) (i32.const 21))) (then unreachable))
    (call $refused))
