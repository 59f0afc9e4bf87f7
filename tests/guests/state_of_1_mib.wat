;; Signs in with a state of 1 MiB.
;; in: prepare
;; fails: state
(func $prepare (param i32 i32) (result i32)
    (i32.store (i32.const 1032) (call $bump (i32.const 1) (i32.const 0x100000)))
    (i32.store (i32.const 1036) (i32.const 0x100000))
    (i32.const 1024))
