;; Reaches for what it may not, and says that it was somebody else.
;; in: send
;; fails: forbidden-origin
(func $send (param i32) (result i32)
    (local $future i32)
    (local.set $future (call $ask (call $request (call $fields) (global.get $canary) (global.get $canary_len))))
    (call $block (call $subscribe (local.get $future)))
    (call $get (local.get $future) (i32.const 512))
    (call $refused))
