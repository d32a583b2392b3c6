---@meta

--- `require "perilune.testing"`: specs for policies, run by `perilune test`.
---
--- Each test gets a real router: the policies run in their sandbox under their budget, through the same route, attempt,
--- relay and HTTP as in service. Only the world around it is not real: its providers answer as they are told, no socket
--- leaves the process, and time stands still. It moves by `t:advance`, or, while somebody waits for an answer, straight
--- to whatever happens next; so a test of a timeout of a minute takes a millisecond. The same seed gives the same run.
---
---     local testing = require "perilune.testing"
---
---     testing.test("falls back when the first provider is silent", function(t)
---       local router = t:router { policies = { "fallback.lua" }, providers = {
---         { id = "a", tier = 1, answers = { testing.stall() } },
---         { id = "b", tier = 2, answers = { testing.stream { "he", 200, "llo" } } } } }
---       local got = router:chat { stream = true }
---       t:equal(got.text, "hello")
---       t:equal(got.tried, { "a", "b" })
---     end)
---
--- A test fails by its first claim that does not hold, also when its error is caught; by an error; by a policy that fails
--- (unless expected); by claiming nothing; by taking more processor time than `--budget` or longer than `--timeout`; and
--- when its process ends. Each file runs in a process of its own, so the other tests run in any case. What is called beside
--- providers (a policy's `peri.http.fetch`, a network's webhook) is answered by `testing.http`; without it, with "EDENIED".
---@class perilune.testing
local testing = {}

--- One test. Its name says what is so.
---@param name string
---@param fn fun(t: perilune.testing.t)
function testing.test(name, fn) end

--- What a provider does with one request.
---@class perilune.testing.answer

---@class perilune.testing.answer_options
---@field headers? table<string, string|number>
---@field wait? number milliseconds before the answer's head
---@field usage? table
---@field finish_reason? string
---@field tool_calls? { id?: string, name: string, arguments?: string }[]
---@field reasoning? string
---@field model? string

--- A complete answer: streamed word by word to a request for a stream, else whole.
---
---     testing.chat("hello", { usage = { prompt_tokens = 3, completion_tokens = 1 }, wait = 150 })
---@param text? string
---@param options? perilune.testing.answer_options
---@return perilune.testing.answer
function testing.chat(text, options) end

--- A stream of its own making. A text is one event of content, a number a wait in milliseconds, a table a delta;
--- `testing.cut()`, `stall()`, `error_frame(…)` and `frame(…)` happen at their place.
---
---     testing.stream { "he", 200, "llo", testing.cut() }
---@param pieces (string|number|table|perilune.testing.answer)[]
---@param options? perilune.testing.answer_options
---@return perilune.testing.answer
function testing.stream(pieces, options) end

--- A status, with an error of the OpenAI shape unless a body (text, or a table for JSON) is given.
---
---     testing.status(429, { headers = { ["retry-after"] = 30 } })
---@param status integer 200 to 599
---@param options? { headers?: table<string, string|number>, wait?: number, body?: string|table }
---@return perilune.testing.answer
function testing.status(status, options) end

--- Nothing comes: no answer at all, or in a stream nothing from here on.
---@return perilune.testing.answer
function testing.stall() end

--- The connection closes: without an answer, or in a stream at this place.
---@return perilune.testing.answer
function testing.cut() end

--- Nobody listens there.
---@return perilune.testing.answer
function testing.refuse() end

--- In a stream: an event that says an error.
---@param message string
---@param fields? table such as { code = "overloaded" }
---@return perilune.testing.answer
function testing.error_frame(message, fields) end

--- In a stream: bytes as they are, such as ": comment\n\n".
---@param bytes string
---@return perilune.testing.answer
function testing.frame(bytes) end

--- What others answer: URLs that a router calls beside its providers, such as what a policy fetches and where a network's
--- webhook leads. https goes without TLS, names without a resolver; addresses in private networks are denied as in service.
--- A URL without an answer fails the test.
---
---     local guard = testing.http { ["https://guard.example/check"] = function(request)
---       return testing.status(200, { body = { allow = not request.body:find "secret" } })
---     end }
---     local router = t:router { policies = { "guard.lua" }, providers = { { id = "a" } }, http = guard }
---     router:chat()
---     t:equal(#guard.requests, 1)
---@param answers table<string, perilune.testing.answer|perilune.testing.answer[]|perilune.testing.responder>|perilune.testing.responder
--- by URL without a query, or a function for all of them
---@return perilune.testing.web
function testing.http(answers) end

---@alias perilune.testing.responder fun(request: perilune.testing.request, n: integer): perilune.testing.answer

---@class perilune.testing.web
---@field requests perilune.testing.request[] in order; `url` is the one of the table, `host` as it was called

---@class perilune.testing.gonka_options
---@field hosts? integer|{ name: string, models?: string[], weight?: integer, capacity?: integer, is_preserved?: boolean|string[] }[]
--- how many, 3: they are called h1, h2, … and weigh 100, 200, …; or which
---@field models? string[] that they serve, { "test-model" }
---@field wallets? integer accounts that pay, 1 to 3
---@field shape? "numbers"|"strings"|"golden"|"early" in which nodes write documents
---@field scheme? perilune.gonka_scheme in which hosts want signatures
---@field provider? table its other options of the configuration: id, tier, prefix, damping, epoch_webhook, …

--- A Gonka network, to stand among the `providers` of a router. Its node tells of epochs and hosts, and the router
--- discovers them and follows them in virtual time; its hosts check every signature, and refuse in a node's words. The first
--- request waits for that discovery only when no other provider has its model: `t:advance(0)` before it has the hosts known.
---
---     local net = testing.gonka { hosts = 3 }
---     local router = t:router { policies = { "gonka.lua" }, providers = { net, { id = "broker", tier = 2 } } }
---     net:at(60000, function() net:epoch { "h1", "h3" } end)
---     t:advance(130000)
---     t:equal(net:name_of(router:chat().provider), "h3")
---@param options? perilune.testing.gonka_options
---@return perilune.testing.network
function testing.gonka(options) end

--- Orders take effect at once: the router sees what they change when it looks next, at its interval or by `router:refresh()`.
---@class perilune.testing.network
---@field url string of its node
---@field hosts table<string, { url: string, address: string }> by name
local network = {}

--- The same network with other options of the configuration: for another router, say.
---@param options table
---@return table entry for `providers`
function network:provider(options) end

--- The next epoch is the current one.
---@param hosts? string[] names; all of them
---@param more? { weights?: table<string, integer>, excluded?: string[] }
function network:epoch(hosts, more) end

--- A window in which machines compute proofs opens or moves on; "Inference" ends it, with the next epoch.
---@param phase "PoCGenerate"|"PoCGenerateWindDown"|"PoCValidate"|"PoCValidateWindDown"|"Inference"
function network:phase(phase) end

--- A confirmation of proofs: 1 grace, 2 generation, 3 validation, 4 completed, 0 none.
---@param phase integer
function network:confirmation(phase) end

--- A host changes.
---
---     net:host("h1", { default = "status=503" })         -- behaves as perilune.simnet.behaviour says
---     net:host("h2", { down = true })                    -- nobody answers there; false: it is back
---     net:host("h3", { models = { "m" }, weight = 7, preserved = true, capacity = 2 })
---@param name string
---@param wanted table
function network:host(name, wanted) end

--- The chain changes: closed, allowed, developers, clock_offset, params, shape, lie, … (perilune.simnet.gonka).
---@param wanted table
function network:chain(wanted) end

--- The node fails, is slow, or has another clock; {}: all is well again.
---@param wanted { status?: integer, delay_ms?: integer, date?: string }
function network:node(wanted) end

---@param wanted { address: string, balance?: integer, published?: boolean }
function network:account(wanted) end

--- Have something happen at a time of the router's clock.
---@param ms number
---@param fn fun()
function network:at(ms, fn) end

--- How often its node was read.
---@return integer
function network:reads() end

--- What a host was asked, in order.
---@param name string
---@return { path: string, status: integer?, body: string, headers: table<string, string>, at_ms: integer, outcome: string, tokens: integer }[]
function network:requests(name) end

--- How many requests for inference a host gave that status.
---@param name string
---@param status? integer 200
---@return integer
function network:answered(name, status) end

--- The id of a host as provider.
---@param name string
---@return string
function network:id_of(name) end

--- The name of the host that is provider of that id; of a list of ids a list. What is no host of this network stays.
---@param id string|string[]
---@return string|string[]
function network:name_of(id) end

--- A test under way.
---@class perilune.testing.t
local t = {}

---@class perilune.testing.provider_options: perilune.config.provider
---@field answers? perilune.testing.answer[]|fun(request: perilune.testing.request, n: integer): perilune.testing.answer
--- in order, the last one again and again; without any "hello from ID"

--- A router in a world of its own: its configuration, with `answers` in the place of each provider's `url`. Policies
--- are looked for in the test file's folder, then from where the program was started.
---@param options table `providers`, `policies`, `http` and any other option of the configuration
---@return perilune.testing.router
function t:router(options) end

--- Let time pass.
---@param ms number
function t:advance(ms) end

--- They are the same, tables member by member.
---@param got any
---@param want any
---@param what? string said before the sentence of a failure
function t:equal(got, want, what) end

--- The text matches a Lua pattern.
---@param text string
---@param pattern string
---@param what? string
function t:match(text, pattern, what) end

--- It is neither nil nor false.
---@param value any
---@param what? string
function t:ok(value, what) end

--- The numbers are at most `within` apart.
---@param got number
---@param want number
---@param within number
---@param what? string
function t:near(got, want, within, what) end

--- The function raises an error whose text matches the pattern.
---@param fn fun()
---@param pattern? string
function t:raises(fn, pattern) end

---@param sentence string
function t:fail(sentence) end

--- To have come this far is the claim: for tests that have no other.
function t:pass() end

--- Ask `n` times and claim each provider's share of the answers, by default within four standard deviations.
---
---     t:distribution(router, 400, { large = 0.75, small = 0.25 })
---@param router perilune.testing.router
---@param n integer
---@param shares table<string, number>
---@param options? { within?: number, body?: table, headers?: table<string, string> }
---@return table<string, integer> counts
function t:distribution(router, n, shares, options) end

--- A policy is to fail in this test, with a message that matches the pattern.
---@param pattern? string
function t:expect_policy_error(pattern) end

---@class perilune.testing.router
---@field providers table<string, { requests: perilune.testing.request[], asked: integer }> asked: with those refused
local router = {}

--- What a provider was sent.
---@class perilune.testing.request
---@field method string
---@field path string without the query
---@field query string
---@field body string its bytes
---@field json any the body as plain tables
---@field headers table<string, string> by lower-case name
---@field at_ms integer since the router was made
---@field left boolean the router went away before the answer was complete

--- Ask and wait for the whole answer. A table is the body; `model` and `messages` are filled in where they are missing, a
--- `prompt` or `input` asks the other endpoints. Text is sent as it is.
---@param body? table|string
---@param options? { headers?: table<string, string>, path?: string, method?: string }
---@return perilune.testing.got
function router:chat(body, options) end

--- Ask without waiting.
---@param body? table|string
---@param options? { headers?: table<string, string>, path?: string, method?: string }
---@return perilune.testing.pending
function router:ask(body, options) end

--- How its networks stand: what `GET /admin/networks` says of each.
---@return { id: string, epoch: integer, phase: string, usable: integer, listed: integer, age_ms: integer?, failures: integer }[]
function router:network_status() end

--- Look at the networks now.
function router:refresh() end

--- What it has logged so far.
---@param msg? string only lines with this message
---@return table[]
function router:log(msg) end

---@class perilune.testing.pending
local pending = {}

--- Wait until it is over.
---@return perilune.testing.got
function pending:answer() end

--- The bytes that have come so far.
---@return string
function pending:peek() end

--- The client leaves.
function pending:hang_up() end

--- What a client got.
---@class perilune.testing.got
---@field status? integer nil when no answer came
---@field headers table<string, string> by lower-case name
---@field body string
---@field text string the content, of a stream put together
---@field reasoning? string
---@field tool_calls? { id?: string, name?: string, arguments: string }[]
---@field finish_reason? string
---@field usage? table
---@field error? table the error that it was told
---@field json? any of an answer that is no stream
---@field events? string[] of a stream
---@field complete boolean a stream said that it is complete, and nothing was cut
---@field why? string what broke the connection
---@field provider? string who answered
---@field route? string "policy@generation"
---@field tried? string[] ids in order; nil when other requests were under way
---@field elapsed_ms integer of the virtual clock

--- `peri.testbed`: what perilune.testing stands on. For trusted scripts only.
---@class perilune.testbed
local testbed = {}

---@class perilune.testbed.header
---@field name string
---@field value string

---@class perilune.testbed.event
---@field kind "dial"|"request"|"gone"|"head"|"bytes"|"done"|"due"
---@field id integer of the exchange ("request", "gone"), the client's call ("head", "bytes", "done") or the time ("due")
---@field port integer "dial": of the provider's address 192.0.2.1; 0: another address, or a name
---@field peer? string "dial", "request": of that connection
---@field method? string
---@field path? string without the query
---@field query? string without "?"
---@field body? string
---@field headers? perilune.testbed.header[]
---@field status? integer
---@field bytes? string
---@field code? string "done": "ETRUNCATED", …; nil when the answer was complete
---@field why? string

--- A router on a test bed.
---
---     local bed = assert(peri.testbed.open(config_json, function(event) return event.kind == "dial" end))
---@param config string JSON; providers are addresses http://192.0.2.1:PORT
---@param tell fun(event: perilune.testbed.event): boolean? called while the bed turns; for "dial": whether somebody answers
---@return perilune.bed? bed
---@return string? why
---@return string? code
function testbed.open(config, tell) end

--- Call a function that may not take longer, whatever it catches: for that the globals pcall, xpcall and coroutine.* become
--- ones that do not outlast a limit. What stays in a C function of Lua's own (a pattern that backtracks) is not stopped.
--- Not inside another one.
---
---     local ok, err, trace, code = peri.testbed.limit(1000, fn)
---@param ms integer 1 to 3600000
---@param fn fun(...): ...
---@return boolean ok
---@return any ... its results; or the error, a trace of where, and "EBUDGET" or "EPOLICY"
function testbed.limit(ms, fn, ...) end

--- Call a function in a process of its own, a copy of this one, and wait for its end. Not while other threads run.
---
---     local ok, why = peri.testbed.isolate(60000, function(send) send "a line" end, print)
---@param ms integer 1 to 86400000: a process that sends nothing for so long is killed
---@param fn fun(send: fun(line: string))
---@param on_line fun(line: string) called here for every line it sends
---@return true? ok it returned; errors it raised stand on its stderr
---@return string? why
function testbed.isolate(ms, fn, on_line) end

---@class perilune.bed
local bed = {}

--- A client of the router asks; paths under /admin/ lead to its admin API, where one is configured.
---@param path string
---@param body string
---@param headers? perilune.testbed.header[]
---@param method? string "POST" when not given
---@return integer id
function bed:ask(path, body, headers, method) end
---@param id integer of a client's call
function bed:hang_up(id) end
--- The head of a provider's answer; false when the router has left or it has started.
---@param id integer of an exchange
---@param status integer
---@param headers? perilune.testbed.header[]
---@param length? integer of the body; without it the answer is chunked
---@return boolean
function bed:start(id, status, headers, length) end
---@return boolean
function bed:write(id, bytes) end
---@return boolean
function bed:finish(id) end
---@return boolean
function bed:cut(id) end
--- Have an event "due" after a while.
---@param ms number
---@return integer id
function bed:after(ms) end
--- Everything that can happen without time passing.
function bed:settle() end
---@param ms number
function bed:advance(ms) end
---@return integer? ms until something may happen by itself
function bed:next_ms() end
---@return integer
function bed:now_ms() end
---@return string lines of JSON
function bed:log() end
function bed:close() end

return testing
