;; Reads an answer that has no end.
;; in: send
;; fails: answer-size
(data (i32.const 4096) "/endless")
(func $send (param i32) (result i32)
    (local $request i32) (local $stream i32)
    (local.set $request (call $request (call $fields) (global.get $receiver) (global.get $receiver_len)))
    (drop (call $set_path (local.get $request) (i32.const 1) (i32.const 4096) (i32.const 8)))
    (call $consume (call $answer (call $ask (local.get $request))) (i32.const 512))
    (call $answer_stream (i32.load (i32.const 516)) (i32.const 512))
    (local.set $stream (i32.load (i32.const 516)))
    (loop
        (global.set $heap (i32.const 1048576))
        (call $read (local.get $stream) (i64.const 65536) (i32.const 512))
        (br_if 0 (i32.eqz (i32.load8_u (i32.const 512)))))
    unreachable)
