;; Has a name of 5 MiB.
;; in: start
;; fails: transfer
(func $describe (result i32)
    (i32.store (i32.const 1024) (call $bump (i32.const 1) (i32.const 0x500000)))
    (i32.store (i32.const 1028) (i32.const 0x500000))
    (i32.const 1024))
