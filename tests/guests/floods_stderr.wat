;; Writes line after line on standard error without end.
;; in: send
;; fails: cpu
(data (i32.const 4096) "a\nb\nc\nd\n")
(func $send (param i32) (result i32)
    (local $out i32)
    (local.set $out (call $stderr))
    (loop (call $write (local.get $out) (i32.const 4096) (i32.const 8) (i32.const 512)) (br 0))
    unreachable)
