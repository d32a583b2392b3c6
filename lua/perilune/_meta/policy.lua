---@meta
-- What a policy gets beside the module `perilune`: the objects that its hooks are called with.

--- One request. Good until its `done` hooks have run, which may only look at it; afterwards every use raises "request is
--- finished".
---@class perilune.Request
---@field id string "req_" and 24 hexadecimal digits
---@field model string public model name; `req.model = "other"` in `request` or `route` asks for another one, whose providers
---   become the candidates, and raises when nobody serves it
---@field stream boolean the client asked for a stream
---@field endpoint "chat"|"completions"|"embeddings"
---@field key? string id of the client's key, nil when none is asked for
---@field headers table<string, string> looked up without case: `req.headers["x-team"]`; without the one that the client's
---   key came in, or any that repeats the key: `key` names it
---@field body table the lossless document: `req.body.max_tokens = 4096`; see perilune.json. Its `model` and `stream` can not
---   be changed: set `req.model`; whether the answer is streamed is the client's choice. nil in `done` when what the client
---   sent was no JSON.
---@field attempts integer providers asked so far
---@field elapsed_ms number since the request began
local Request = {}

--- Providers that can serve the request, lowest tier first: those of its model, without those known to be unable to
--- take it as it now stands (longer than their `context_tokens`, with images or tools where none are taken).
--- Example: `for _, p in ipairs(req:providers()) do … end`
---@return perilune.Provider[]
function Request:providers() end

--- The built-in choice: weighted among those of `req:providers` that take requests now and were not tried, lowest tier
--- first. With "EUNFIT" there is nobody for a request like this: without another answer the client is told why.
--- Example: `local provider = req:pick()`
---@param options? { overflow?: boolean } overflow: a lower tier takes what the tiers above have no slot for
---@return perilune.Provider? provider
---@return string? why
---@return "EFULL"|"ENOPROVIDER"|"EUNFIT"? code
function Request:pick(options) end

--- Ask one provider; waits. Gives an answer at its first content token, or once it is whole: return it from `route`.
--- When a hook ends and returns none of the answers it got, they are let go, and a warning tells its file and line once.
--- Example: `local answer, why, code, status = req:try(provider, { first_token_ms = 2000 })`
---@param provider perilune.Provider|string
---@param options? { first_token_ms?: integer, total_ms?: integer, model?: string } model: for this try another than req.model
---@return perilune.Answer? answer
---@return string? why sentence for people
---@return string? code "ETIMEOUT", "EUPSTREAM", "ERATELIMIT", "EREJECTED", "EAUTH", "EEMPTY" (see Attempt:expect_content;
---   this provider may be asked once more), "EUNFIT" (too long for this provider, others are known to read more), …
---   "ENOMODEL" (no provider with that id, or it does not serve the model), "ENOPROVIDER" (it takes no request now)
---@return integer? status of the provider's answer, 0 when none came, nil when it was not asked
function Request:try(provider, options) end

--- Answer with JSON of one's own.
--- Example: `req:reply(200, { object = "list", data = {} })`
---@param status integer 200 to 599
---@param json table|string
function Request:reply(status, json) end

--- Answer with an error of the OpenAI shape.
--- Example: `req:fail(403, "this key may not use " .. req.model, "model_not_allowed", "model")`
---@param status integer 200 to 599
---@param message string
---@param code? string
---@param param? string
function Request:fail(status, message, code, param) end

--- One header of the request, nil when absent, and for the one that the client's key came in.
--- Example: `local team = req:header("x-team")`
---@param name string
---@return string?
function Request:header(name) end

--- A header for the answer; the newest of a name wins, over the router's own `retry-after` and `cache-control`, too. Raises
--- for what can not stand in a header (RFC 9110: a token; a value without control characters, at most 8192 bytes) and for
--- names that the router writes itself: those of framing, `content-type`, `content-encoding`, `date`, `x-request-id` and
--- `x-perilune-…` that tell how the request was answered.
--- Example: `req:set_header("x-team", "research")`
---@param name string
---@param value string
function Request:set_header(name, value) end

--- What `req:try` gives: return it from `route`.
---@class perilune.Answer
---@field status integer

--- One provider; read-only. Credentials are not here.
---@class perilune.Provider
---@field id string
---@field url string
---@field tier integer
---@field weight integer
---@field max_concurrent integer 0: no limit
---@field concurrency_limit integer the same as it is just now: less while `adaptive_concurrency` found less; 0: no limit
---@field in_flight integer requests under way, of all workers
---@field healthy boolean it does not rest; one of its models or endpoints may
---@field admissible boolean healthy, and a slot is free
---@field reduced boolean a host that serves little of all its models just now: its network computes proofs
---@field cooling_ms integer how long it rests; 0 when healthy
---@field first_token_ms? number moving average
---@field latency_ms? number moving average of whole answers
---@field success integer
---@field failed integer
---@field rate_limited integer
---@field failures integer in a row
---@field models string[] public names; empty: every model
---@field network string "" for a plain provider, "gonka"
---@field address string of the host on its network
---@field tags string
local Provider = {}

--- What is configured for one of its models, or was read from it; nil when it does not serve that model.
--- Example: `local limits = provider:model(req.model)  if limits and not limits.lacks.vision then … end`
---@param name string public name
---@return perilune.ProviderModel?
function Provider:model(name) end

--- A model at one provider. What is not known is nil.
---@class perilune.ProviderModel
---@field upstream string the provider's name for it
---@field context_tokens? integer
---@field max_output_tokens? integer
---@field lacks table<perilune.Ability, true> what it is known not to take
---@field capabilities string[] as configured

--- One try before it is sent.
---@class perilune.Attempt
---@field body table this provider's version of the request's body: edits stay with this attempt. Its `stream` can not be
---   changed.
---@field headers table<string, string> `attempt.headers["x-name"] = "value"`
---@field provider perilune.Provider
---@field model string the provider's name for the model
---@field number integer 1 for the first
---@field previous? string why the request's attempt before this one failed: "EUPSTREAM", "EEMPTY", …; nil: none did
---@field context_tokens? integer
---@field max_output_tokens? integer
local Attempt = {}

--- A header for the provider; it stands in place of a configured one of that name, and of the one with the provider's key.
--- Raises for what can not stand in a header, and for names that the router sets itself: those of framing
--- (`content-length`, `transfer-encoding`, `te`, `connection`, `keep-alive`, `upgrade`, `trailer`, `expect`, `host`),
--- `proxy-…`, `content-type`, `content-encoding`, `accept-encoding`, and those of a network's signature.
--- Example: `attempt:set_header("x-tenant", "blue")`
---@param name string
---@param value string
function Attempt:set_header(name, value) end

--- A header for the client, should it get this attempt's answer or be told why this one failed. Raises as
--- `req:set_header` does.
--- Example: `attempt:set_answer_header("x-shortened", "yes")`
---@param name string
---@param value string
function Attempt:set_answer_header(name, value) end

--- Do not send it. Another provider may be asked; when none answers, the client gets this.
--- Example: `attempt:refuse(400, "images are not served here", "unsupported_content", "messages")`
---@param status integer 400 to 599
---@param message string
---@param code? string
---@param param? string
function Attempt:refuse(status, message, code, param) end

--- Should the answer be empty, the attempt fails with "EEMPTY": tokens were spent, and nothing was said but blanks and
--- reasoning. The provider's health does not change, and it may be tried again in the same request; ask differently then,
--- gateways cache by the body. A stream whose reasoning the client has seen is served as it is.
--- Example: `if attempt.previous ~= "EEMPTY" then attempt:expect_content() else attempt.body.max_tokens = 8192 end`
function Attempt:expect_content() end

--- One streamed event. Edit `json`, or drop or replace the event.
---@class perilune.Event
---@field data string JSON text, or "[DONE]"
---@field name string usually ""
---@field json? table editable document of data; nil when it is no JSON
local Event = {}

--- Leave it out.
function Event:drop() end

--- Send this instead; call again to send more.
--- Example: `event:replace(event.json) event:replace{ object = "note" }`
---@param json table|string one line of JSON, or "[DONE]"; anything else raises, with the place of the fault
function Event:replace(json) end

--- The whole answer of a request that is not streamed.
---@class perilune.WholeAnswer
---@field body table editable document
---@field status integer

--- One provider that was asked for a request.
---@class perilune.AttemptRecord
---@field provider string
---@field model string public name of the model it was asked for
---@field account? string of the wallet that signed
---@field key? integer which of the provider's keys, from 1; nil: it has none
---@field status? integer of its answer; nil: none came
---@field err string "OK" when its answer was complete; "ECANCELED", "EDEADLINE", "ESTOPPING": the request ended first
---@field served boolean the client got its answer, or the beginning of it
---@field started_ms number since the request began
---@field first_token_ms? number since it was asked; nil: none came
---@field total_ms number since it was asked
---@field bytes integer of its answer, as they came
---@field input_tokens? integer as it reported
---@field output_tokens? integer
---@field cached_tokens? integer
---@field reasoning_tokens? integer

--- How a request ended.
---@class perilune.Outcome
---@field status integer 499: the client left
---@field err string "OK" when the answer was complete
---@field provider string that served it, else that was being asked when it ended, else that failed last; may be empty
---@field model string
---@field route string "policy@generation" of the policy that chose or replied; without one that of the first policy, or
---   "default" when one failed or there is none
---@field attempts perilune.AttemptRecord[] the providers that were asked, in that order
---@field stream boolean
---@field first_token_ms? number
---@field total_ms number
---@field overhead_ms number
---@field bytes integer
---@field input_tokens? integer as the provider reported
---@field output_tokens? integer
---@field cached_tokens? integer
---@field reasoning_tokens? integer
---@field discarded_input_tokens? integer of tries whose answer nobody saw; not part of the counts above
---@field discarded_output_tokens? integer
---@field cut_tool_args? true arguments of a tool call were begun and never closed: the output limit cut them

--- What changed in a network. Lists of addresses.
---@class perilune.EpochChange
---@field network string id of the configured provider
---@field old integer
---@field new integer
---@field added string[]
---@field removed string[]
---@field changed string[]

--- A policy is a table. Every hook is optional; one that is absent costs nothing. Members that are no hooks and none of
--- these are the policy's own; misspelt hooks, `networks` and `on_failure` are refused at load.
---
--- `request`, `attempt`, `event`, `answer` and `done` run for every policy, in the order configured; `route` until one returns
--- an answer or replies. Only `request` and `route` may wait (`req:try` only in `route` gives an answer that is served).
---
--- Every call of a hook runs under a budget: options `policy.budget`, `budget_per_mib`, `instructions`, `memory`; all calls
--- for one request under `policy.request_budget` and `limits.request_memory`, all calls of a second under
--- `policy.second_budget`. A hook that outruns one of these fails, as one that raises does: see `on_failure`. The log's line
--- "policy failed" has `policy`, `hook`, `at` (file:line), `error` ("EPOLICY", "EBUDGET", "ENOMEM"), `detail`, `generation`,
--- `request_id`, and `held_back`: how many lines alike were left out before it. "policy went back to its last generation that
--- worked" has `failures` and `back_to`.
---
--- `require "name"` looks in the policy's own folder (`a.b` is a/b.lua there), then among the program's modules. A file is run
--- once for all policies, and what it returns is read-only for them, inner tables too; what a module keeps in its locals it may
--- change itself. Modules are not watched: a changed one is read with the next reload, by SIGHUP or when a policy is saved.
---@class perilune.Policy
---@field name? string
---@field options? table<string, { default: any, doc?: string }> declared; at run time `policy.options.x` is the value
---@field networks? string[] whose providers' attempts, events and answers it wants to see, and the end of requests that
---   had one of them; absent or empty: all. Lua is not entered for others. `check` may set it from an option.
---@field check? fun(config: { options: table, providers: { id: string, tier: integer, weight: integer }[] }): boolean?, string?
---   at load: false or nil refuses the configuration, the second value says why, and an error refuses it, too; any other
---   value, and returning nothing at all, accepts it
---@field on_failure? "skip"|"refuse" what a hook that raises or uses up its budget means. What it changed in that call is taken
---   back, what other policies changed stays. "skip", the default: the request goes on without it. "refuse": the client gets
---   500 `policy_failed`, or an error frame when its stream has begun; after a failed `done` or `epoch` it hears nothing.
---   `check` may set it from an option. After five failures in a row of a hook that has not worked since the file was loaded,
---   nor on the sample requests that it is tried on then (`policy.failures`), counted by requests, the policy goes back to its last text that worked; without one it is left out,
---   or, with "refuse", every request is refused (of the networks it is for), until its file is saved again. The log says each
---   once, at level error. A hook that has worked fails for the one request only, unless it reaches the memory cap.
---@field request? fun(req: perilune.Request)
---@field route? fun(req: perilune.Request): perilune.Answer?
---@field attempt? fun(req: perilune.Request, attempt: perilune.Attempt)
---@field event? fun(req: perilune.Request, event: perilune.Event)
---@field answer? fun(req: perilune.Request, answer: perilune.WholeAnswer)
---@field done? fun(req: perilune.Request, outcome: perilune.Outcome)
---@field epoch? fun(change: perilune.EpochChange)

---@class perilune.ProviderFilter
---@field model? string
---@field takes? perilune.Ability|perilune.Ability[]
---@field context_tokens? integer
---@field healthy? boolean
---@field network? string
---@field tier? integer

---@alias perilune.Ability "tools"|"vision"|"audio"|"video"|"files"

---@class perilunelib
local peri = {}

--- The providers of the present fleet. `takes` and `context_tokens` leave out those whose model is known not to take that,
--- or so much; what is not known is no reason to. They go with `model`.
--- Example: `peri.providers{ model = req.model, healthy = true, takes = { "vision", "tools" }, context_tokens = 90000 }`
---@param filter? perilune.ProviderFilter
---@return perilune.Provider[]
function peri.providers(filter) end

--- The account of a Gonka network's wallet. Keys go by the id of the configured provider; policies never see them.
--- Example: `local payer = peri.address("gonka")`
---@param id string
---@param which? integer wallet, counted from 1
---@return string? address
---@return string? why
---@return string? code "ENOTFOUND"
function peri.address(id, which) end

--- Sign a request that the policy itself sends to a Gonka node (with peri.http.fetch), by the next wallet of the network.
--- Requests of clients are signed without it.
--- Example: `local headers = peri.sign("gonka", body, host.address)`
---@param id string
---@param body string exactly the bytes that are sent
---@param node string address of the node that is called
---@return table<string, string>? headers Authorization, X-Requester-Address, X-Timestamp
---@return string? why
---@return string? code "ENOTFOUND", "EAUTH" every wallet rests
function peri.sign(id, body, node) end

---@class perilune.gonka
peri.gonka = {}

--- The current hosts of every Gonka network.
--- Example: `#peri.gonka.participants()`
---@return perilune.Provider[]
function peri.gonka.participants() end

--- The epoch of the first network and its phase; nil when there is none.
--- Example: `local epoch, phase = peri.gonka.epoch()`
---@return integer? epoch
---@return string? phase "Inference", "PoCGenerate", …
function peri.gonka.epoch() end

--- How a network stands, as of the last look at it: what `GET /admin/networks` says, too.
---@class perilune.NetworkStatus
---@field id string of the configured provider
---@field epoch integer 0: not known yet
---@field phase? string "Inference", "PoCGenerate", …
---@field height integer of the newest block heard of, 0 when none was
---@field usable integer hosts that get requests
---@field listed integer hosts the network lists
---@field proven boolean the list came with a proof that held
---@field age_ms? integer since the last look that succeeded; nil: none has
---@field next_ms? integer until the next one; nil: one is under way, or none is planned
---@field refreshes integer looks that succeeded
---@field failures integer looks that failed
---@field clock_offset_ms integer what signatures add to this machine's clock
---@field last_error? string why the last look failed; nil: it did not

--- The status of one network; without an id of the first. It costs a look at memory and may be asked in every request.
--- Example: `local s = peri.gonka.status()  if s and (s.age_ms or 0) > 600000 then … end`
---@param id? string of the configured provider
---@return perilune.NetworkStatus? status
---@return string? why
---@return string? code "ENOTFOUND"
function peri.gonka.status(id) end

--- Look at the networks now; does not wait for the result.
---@return boolean? ok
---@return string? why
---@return string? code
function peri.gonka.refresh() end
