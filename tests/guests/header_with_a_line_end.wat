;; A header field whose value ends the line and begins another one, and one whose name does.
;; in: send
;; fails: refused
(data (i32.const 4096) "x-a")
(data (i32.const 4112) "b\r\nevil: yes")
(func $send (param i32) (result i32)
    (local $fields i32)
    (local.set $fields (call $fields))
    (call $append (local.get $fields) (i32.const 4096) (i32.const 3) (i32.const 4112) (i32.const 12) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable))
    (call $append (local.get $fields) (i32.const 4112) (i32.const 12) (i32.const 4096) (i32.const 3) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable))
    (drop (call $answer
        (call $ask (call $request (local.get $fields) (global.get $receiver) (global.get $receiver_len)))))
    (call $refused))
