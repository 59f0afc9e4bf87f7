;; Asks for folders.
;; in: send
;; fails: refused
(func $send (param i32) (result i32)
    (call $directories (i32.const 512))
    (if (i32.load (i32.const 516)) (then unreachable))
    (call $refused))
