;; Fails with a text that is no UTF-8.
;; in: send
;; fails: trap
(data (i32.const 4096) "\ff\fe\c0\80")
(func $send (param i32) (result i32) (call $fail (i32.const 4096) (i32.const 4)))
