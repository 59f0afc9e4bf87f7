;; Memory without end, every page of which is written.
;; in: send
;; fails: memory
(func $send (param i32) (result i32)
    (local $before i32)
    (loop
        (local.set $before (memory.grow (i32.const 16)))
        (if (i32.eq (local.get $before) (i32.const -1)) (then unreachable))
        (memory.fill (i32.shl (local.get $before) (i32.const 16)) (i32.const 7) (i32.const 1048576))
        (br 0))
    unreachable)
