;; Ends itself as a program does, and mag with it if it could.
;; in: send
;; fails: trap
(func $send (param i32) (result i32) (call $exit (i32.const 0)) unreachable)
