;; A million things to wait for.
;; in: send
;; fails: resources
(func $send (param i32) (result i32)
    (loop (drop (call $sleep (i64.const -1))) (br 0))
    unreachable)
