;; Sleeps until the end of the world.
;; in: send
;; timeout: 30ms
;; fails: timeout
(func $send (param i32) (result i32) (call $block (call $sleep (i64.const -1))) unreachable)
