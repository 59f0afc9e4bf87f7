;; Says that it wants to reach nothing, and then reaches for something.
;; in: send
;; fails: forbidden-origin
(func $send (param i32) (result i32)
    (call $answer (call $ask (call $request (call $fields) (global.get $canary) (global.get $canary_len)))))
