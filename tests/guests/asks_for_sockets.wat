;; Asks for sockets of both kinds, and for addresses of a name.
;; in: send
;; fails: refused
(data (i32.const 4096) "localhost")
(func $send (param i32) (result i32)
    (call $tcp (i32.const 0) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable))
    (call $udp (i32.const 0) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable))
    (call $resolve (call $network) (i32.const 4096) (i32.const 9) (i32.const 512))
    (if (i32.eqz (i32.load8_u (i32.const 512))) (then unreachable))
    (call $refused))
