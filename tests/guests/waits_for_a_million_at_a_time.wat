;; One call that names the same thing to wait for a million times.
;; in: send
;; fails: transfer
(func $send (param i32) (result i32)
    (local $at i32) (local $end i32) (local $pollable i32)
    (local.set $pollable (call $sleep (i64.const -1)))
    (local.set $at (call $bump (i32.const 4) (i32.const 8000000)))
    (local.set $end (i32.add (local.get $at) (i32.const 8000000)))
    (loop
        (local.set $end (i32.sub (local.get $end) (i32.const 4)))
        (i32.store (local.get $end) (local.get $pollable))
        (br_if 0 (i32.gt_u (local.get $end) (local.get $at))))
    (call $poll (local.get $at) (i32.const 2000000) (i32.const 512))
    unreachable)
