;; Traps in `send`.
;; in: send
;; fails: trap
(func $send (param i32) (result i32) unreachable)
