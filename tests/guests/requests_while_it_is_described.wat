;; Uses the network where there is none.
;; in: start
;; fails: offline
(func $describe (result i32) (drop (call $post)) unreachable)
