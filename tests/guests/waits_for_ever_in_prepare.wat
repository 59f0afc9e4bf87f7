;; Sleeps until the end of the world while it signs in.
;; in: prepare
;; timeout: 30ms
;; fails: timeout
(func $prepare (param i32 i32) (result i32) (call $block (call $sleep (i64.const -1))) unreachable)
