;; Gives its result back, and hangs where it may free it.
;; in: send
;; fails: cpu
(func (export "cabi_post_mag:sender/sender@1.0.0#send") (param i32) (loop (br 0)))
