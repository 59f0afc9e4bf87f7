;; Asks for a terabyte of random bytes.
;; in: send
;; fails: trap
(func $send (param i32) (result i32) (call $random (i64.const 0x10000000000) (i32.const 512)) unreachable)
