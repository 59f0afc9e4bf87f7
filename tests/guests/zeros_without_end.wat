;; Asks for 4 GiB of zeros on standard output.
;; in: send
;; fails: trap
(func $send (param i32) (result i32)
    (call $write_zeroes (call $stdout) (i64.const 0x100000000) (i32.const 512))
    unreachable)
