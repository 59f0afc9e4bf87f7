;; 32,769 header fields with a name of their own each: one more than a map of them holds.
;; in: send
;; fails: header-size
(func $send (param i32) (result i32)
    (local $fields i32) (local $n i32)
    (local.set $fields (call $fields))
    (loop
        (i32.store (i32.const 4096) (i32.add (i32.const 0x61616161) (i32.and (local.get $n) (i32.const 7))))
        (i32.store8 (i32.const 4100) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 3)) (i32.const 15))))
        (i32.store8 (i32.const 4101) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 7)) (i32.const 15))))
        (i32.store8 (i32.const 4102) (i32.add (i32.const 97) (i32.and (i32.shr_u (local.get $n) (i32.const 11)) (i32.const 15))))
        (call $append (local.get $fields) (i32.const 4096) (i32.const 7) (i32.const 4096) (i32.const 0) (i32.const 512))
        (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 32769))))
    unreachable)
