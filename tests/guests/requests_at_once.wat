;; More requests under way at a time than it may have.
;; in: send
;; requests_at_once: 2
;; fails: requests-at-once
(func $send (param i32) (result i32) (loop (drop (call $post)) (br 0)) unreachable)
