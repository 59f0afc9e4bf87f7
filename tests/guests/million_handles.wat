;; A million handles.
;; in: send
;; fails: resources
(func $send (param i32) (result i32)
    (local $n i32)
    (loop
        (drop (call $fields))
        (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000))))
    unreachable)
