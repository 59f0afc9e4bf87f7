;; Asks for a clock that is finer than a millisecond.
;; in: send
;; fails: refused
(func $send (param i32) (result i32)
    (if (i64.lt_u (call $resolution) (i64.const 1000000)) (then unreachable))
    (if (i64.ne (i64.rem_u (call $now) (i64.const 1000000)) (i64.const 0)) (then unreachable))
    (call $wall_now (i32.const 512))
    (if (i32.rem_u (i32.load (i32.const 520)) (i32.const 1000000)) (then unreachable))
    (call $refused))
