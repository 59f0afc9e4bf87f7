;; Memory without end.
;; in: send
;; fails: memory
(func $send (param i32) (result i32)
    (loop (br_if 0 (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
    unreachable)
