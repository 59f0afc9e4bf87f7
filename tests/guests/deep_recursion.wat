;; Calls itself without end.
;; in: send
;; fails: stack
(func $deep (call $deep) (call $deep))
(func $send (param i32) (result i32) (call $deep) unreachable)
