;; Table elements without end.
;; in: send
;; fails: tables
(table $t 1 funcref)
(func $send (param i32) (result i32)
    (loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 9999)) (i32.const -1))))
    unreachable)
