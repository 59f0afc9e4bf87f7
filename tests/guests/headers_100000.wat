;; 100,000 header fields.
;; in: send
;; fails: header-size
(data (i32.const 4096) "x")
(func $send (param i32) (result i32)
    (local $fields i32) (local $n i32)
    (local.set $fields (call $fields))
    (loop
        (call $append (local.get $fields) (i32.const 4096) (i32.const 1) (i32.const 4096) (i32.const 1) (i32.const 512))
        (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
    unreachable)
