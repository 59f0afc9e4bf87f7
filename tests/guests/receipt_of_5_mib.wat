;; Gives back a receipt of 5 MiB, which it really has.
;; in: send
;; fails: transfer
(func $send (param i32) (result i32)
    (i32.store8 (i32.const 1032) (i32.const 1))
    (i32.store (i32.const 1036) (call $bump (i32.const 1) (i32.const 0x500000)))
    (i32.store (i32.const 1040) (i32.const 0x500000))
    (i32.const 1024))
