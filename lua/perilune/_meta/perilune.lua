---@meta

--- What `require "perilune"` gives. Policies get all of it but what is marked "trusted scripts only"; specs, simulations
--- and tools, run by an interpreter or by the program, get everything.
---
--- A function that waits gives the thread to other requests meanwhile. It raises where nothing could resume it: outside of a
--- task, inside a coroutine of the script's own, and in a function that another one calls (`table.sort`, `string.gsub`). Of a
--- policy's hooks `request` and `route` are tasks and may wait; the others, its chunk and `check` may not.
---
--- Failures of the world come as `nil, sentence, code`, with codes as in `"ETIMEOUT"`; mistakes of the caller raise.
---@class perilune
---@field json perilune.json
---@field log perilune.log
---@field clock perilune.clock
---@field shared perilune.shared
---@field hash perilune.hash
---@field encode perilune.encode
---@field gonka perilune.gonka policies only
---@field sandbox perilune.sandbox trusted scripts only
---@field testbed perilune.testbed trusted scripts only
local peri = {}

--- Wait. Other requests go on.
---@param ms number milliseconds, 0 to 86400000
function peri.sleep(ms) end

--- A number drawn evenly from 0 up to but not including 1.
---@return number
function peri.rand() end

--- An integer drawn evenly from 0 to n - 1.
---@param n integer
---@return integer
function peri.rand_below(n) end

--- Trusted scripts only: turn the loop until a function has ended, and give what it returns or raise what it raises. The
--- function runs as a task: it may wait. What it spawned and did not wait for is cancelled at its end.
---
---     local answer = peri.run(function() peri.sleep(10) return 42 end)
---@param f function
---@param ... any its arguments
---@return any ...
function peri.run(f, ...) end

--- Trusted scripts only, inside `peri.run`: start a function as a task beside the calling one. It begins in the loop's
--- next turn. If it fails and nobody waits for it, the run fails.
---@param f function
---@param ... any its arguments
---@return perilune.task
function peri.spawn(f, ...) end

---@class perilune.task
local task = {}

--- Wait for a task's end: gives what its function returned, or raises what it raised.
---@return any ...
function task:wait() end

--- End a task that waits; a task that waits for it gets an error. Nothing happens to one that is over.
function task:cancel() end

--- Time, in two kinds.
---@class perilune.clock
local clock = {}

--- Monotonic milliseconds of the present loop turn: all that is decided in one turn sees the same moment.
---@return integer
function clock.now_ms() end

--- Monotonic nanoseconds, right now.
---@return integer
function clock.now_ns() end

--- Nanoseconds since 1970, for stamps only: it may step.
---@return integer
function clock.wall_ns() end

--- JSON lines in the router's log. Fields are texts, numbers and truths; of anything else the type is written. At most 32
--- fields, texts are cut at 4096 bytes, fields beyond 64 KiB of one line are left out. Names are cut at 63 bytes, and what
--- is no ASCII letter, digit or "." in them becomes "_". What a line says of itself stays so: `ts`, `level`, `component`
--- and `msg` are written as `ts_` and so on, and a name that stands in the line already gets another "_". Lines of policies
--- are of the component `policy`; they do not say which policy or request wrote them. Without a log they do nothing.
---@class perilune.log
local log = {}

---@param text string
---@param fields? table<string, string|number|boolean>
function log.trace(text, fields) end

---@param text string
---@param fields? table<string, string|number|boolean>
function log.debug(text, fields) end

---@param text string
---@param fields? table<string, string|number|boolean>
function log.info(text, fields) end

---@param text string
---@param fields? table<string, string|number|boolean>
function log.warn(text, fields) end

---@param text string
---@param fields? table<string, string|number|boolean>
function log.error(text, fields) end

--- What all workers and all generations of policies remember together: values under names of 1 to 256 bytes, texts of at
--- most 4096. It survives a reload, not a restart. Names are one space for all policies, but each policy's file has a
--- share of 16 MiB: what it stored last counts to it, and when its share is full only its own writes are refused.
---
---     if peri.shared.add("strikes." .. provider.id, 1, 60000) > 3 then … end
---@class perilune.shared
local shared = {}

---@alias perilune.shared.value boolean|number|string

---@param key string
---@return perilune.shared.value? value nil when there is none or its time is over
function shared.get(key) end

---@param key string
---@param value perilune.shared.value? nil deletes
---@param ttl_ms? number how long it is kept; 0 or nothing: for good
---@return true? done nil when the policy's share is full
---@return string? why
---@return string? code "EFULL", "ENOMEM"
function shared.set(key, value, ttl_ms) end

---@param key string
---@return true
function shared.delete(key) end

--- Add to a number, which begins at 0, in one step. Only the call that creates it sets its time: a counter ends a fixed time
--- after its first use.
---@param key string
---@param n number
---@param ttl_ms? number
---@return number? sum nil when what is there is no number, or the policy's share is full
---@return string? why
---@return string? code "EINVAL", "EFULL", "ENOMEM"
function shared.add(key, n, ttl_ms) end

--- Store a value if the present one is the expected one; nil stands for "none" in both places.
---
---     local is_mine = peri.shared.swap("refresh.lock", nil, true, 5000)
---@param key string
---@param expected perilune.shared.value?
---@param value perilune.shared.value?
---@param ttl_ms? number
---@return boolean? is_set
---@return string? why
---@return string? code "EFULL", "ENOMEM"
function shared.swap(key, expected, value, ttl_ms) end

--- Digests, as bytes and as lower-case hexadecimal.
---@class perilune.hash
local hash = {}

---@param text string
---@return string bytes 32 of them
function hash.sha256(text) end

---@param text string
---@return string hex
function hash.sha256_hex(text) end

---@param text string
---@return string bytes 20 of them
function hash.ripemd160(text) end

---@param text string
---@return string hex
function hash.ripemd160_hex(text) end

--- Keccak-256 as Ethereum uses it, which is not SHA3-256.
---@param text string
---@return string bytes 32 of them
function hash.keccak256(text) end

---@param text string
---@return string hex
function hash.keccak256_hex(text) end

--- Bytes as text. Reading is strict: one text for one value, no white space.
---@class perilune.encode
local encode = {}

---@param bytes string
---@return string hex lower case
function encode.hex(bytes) end

---@param hex string either case, no prefix
---@return string? bytes
---@return string? why
---@return string? code "EMALFORMED"
function encode.unhex(hex) end

---@param bytes string
---@return string text RFC 4648 section 4, with padding
function encode.base64(bytes) end

---@param text string
---@return string? bytes
---@return string? why
---@return string? code "EMALFORMED"
function encode.unbase64(text) end

--- Trusted scripts only: a policy's sandbox, to try things in.
---@class perilune.sandbox
local sandbox = {}

---@class perilune.sandbox.options
---@field cpu_ms? integer milliseconds of CPU time it may use, 50; 0: no limit
---@field steps? integer instructions it may take, no limit; counted exactly when given
---@field heap_bytes? integer memory it may hold, 16777216
---@field search? string[] directories that its `require` looks in
---@field seed? integer of its random numbers; 0: drawn

--- Run a piece of Lua in a fresh sandbox. It cannot wait.
---
---     peri.sandbox.run("return type(io)")  --> "nil"
---@param source string
---@param options? perilune.sandbox.options
---@return nil|boolean|number|string result its first
---@return string? why
---@return string? code "EPOLICY", "EBUDGET", "ENOMEM"
function sandbox.run(source, options) end

return peri
