;; Gives back a receipt of 1 GiB.
;; in: send
;; fails: trap
(func $send (param i32) (result i32)
    (i32.store8 (i32.const 1032) (i32.const 1))
    (i32.store (i32.const 1036) (i32.const 0))
    (i32.store (i32.const 1040) (i32.const 0x40000000))
    (i32.const 1024))
