;; Speaks UTF-16, and fails with half of a character.
;; in: send
;; encoding: utf16
;; fails: trap
(data (i32.const 4096) "\00\d8\41\00")
(func $send (param i32) (result i32) (call $fail (i32.const 4096) (i32.const 2)))
