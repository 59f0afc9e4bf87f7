;; Waits for no time at all, for ever.
;; in: send
;; fails: cpu
(func $send (param i32) (result i32)
    (local $pollable i32)
    (loop
        (local.set $pollable (call $sleep (i64.const 0)))
        (call $block (local.get $pollable))
        (call $drop_pollable (local.get $pollable))
        (br 0))
    unreachable)
