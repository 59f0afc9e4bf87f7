;; Gives back a receipt that is claimed to have 4 GiB.
;; in: send
;; fails: trap
(func $send (param i32) (result i32)
    (i32.store8 (i32.const 1032) (i32.const 1))
    (i32.store (i32.const 1036) (i32.const 8))
    (i32.store (i32.const 1040) (i32.const -1))
    (i32.const 1024))
