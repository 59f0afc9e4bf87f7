;; Asks for the environment and for arguments.
;; in: send
;; fails: refused
(func $send (param i32) (result i32)
    (call $environment (i32.const 512))
    (if (i32.load (i32.const 516)) (then unreachable))
    (call $arguments (i32.const 512))
    (if (i32.load (i32.const 516)) (then unreachable))
    (call $refused))
