;; Opens requests and never reads them.
;; in: send
;; fails: too-many-requests
(func $send (param i32) (result i32) (loop (drop (call $post)) (br 0)) unreachable)
