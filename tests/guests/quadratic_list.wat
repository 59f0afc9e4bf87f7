;; 4,000 mistakes in its config, each with the same text of 1 MiB: 4 GB of what takes it 1 MB.
;; in: start
;; fails: transfer
(func $validate (param i32 i32) (result i32)
    (local $text i32) (local $list i32) (local $n i32) (local $at i32)
    (local.set $text (call $bump (i32.const 1) (i32.const 0x100000)))
    (memory.fill (local.get $text) (i32.const 97) (i32.const 0x100000))
    (local.set $list (call $bump (i32.const 4) (i32.const 64000)))
    (loop
        (local.set $at (i32.add (local.get $list) (i32.mul (local.get $n) (i32.const 16))))
        (i32.store (local.get $at) (local.get $text))
        (i32.store offset=4 (local.get $at) (i32.const 0x100000))
        (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 4000))))
    (i32.store (i32.const 1024) (i32.const 1))
    (i32.store (i32.const 1028) (local.get $list))
    (i32.store (i32.const 1032) (i32.const 4000))
    (i32.const 1024))
