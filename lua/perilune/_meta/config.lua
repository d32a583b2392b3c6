---@meta
-- The table that perilune.lua returns. Generated: `perilune check --stub`.

--- A token for a secret; its bytes never enter Lua.
---@class perilune.secret

--- The value of a variable, `default` when it is not set.
---@param name string
---@param default? string
---@return string?
function env(name, default) end

--- The text of a file without its last newline.
---@param path string
---@return string
function file(path) end

--- A secret from "env:NAME", "file:PATH" or "cred:NAME".
---@param source string
---@return perilune.secret
function secret(source) end

--- What another configuration file returns.
---@param path string
---@return any
function include(path) end

---@class perilune.config.price
---@field input? number Currency units for a million input tokens.
---@field output? number Currency units for a million output tokens.

---@class perilune.config.model
---@field upstream? string The provider's own name for the model; the public one when not given.
---@field aliases? string|string[] More public names for it, with this provider.
---@field context_tokens? integer What the model can read and write together; longer requests are not sent there.
---@field max_output_tokens? integer What the model can write.
---@field capabilities? string|string[] What it can do: "tools", "vision", "audio", "video", "files", and words for policies such as "reasoning"; requests with what is not named are not sent there. None: they all are.
---@field price? perilune.config.price What it costs.

---@class perilune.config.log_levels
---@field server? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for start and end, addresses, the fleet.
---@field config? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for reloads and what they could not change.
---@field request? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for one line for each request.
---@field attempt? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for attempts at providers that failed, what a network's refusal means.
---@field policy? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for what policies say, and how they fail.
---@field network? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for networks, their hosts, webhooks.
---@field catalog? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for lists of models read from providers.
---@field admin? "trace"|"debug"|"info"|"warn"|"error"|"off" As `log.level`, for the operator's API.

---@class perilune.config.log
---@field level? "trace"|"debug"|"info"|"warn"|"error"|"off" What is written: lines of this level and above. Default: info.
---@field file? string File for log lines, "-" for standard error. Default: -.
---@field levels? perilune.config.log_levels Levels of single components, whose names stand in their lines.

---@class perilune.config.limits
---@field header_bytes? integer|string Largest head of a request, at most 80 KiB. Default: 32KiB.
---@field header_lines? integer Most header lines of a request. Default: 100.
---@field uri_bytes? integer|string Longest path with its query. Default: 8KiB.
---@field body_bytes? integer|string Largest body of a request. Default: 32MiB.
---@field connections? integer Connections of clients open at once on one worker. Default: 16384.
---@field answer_bytes? integer|string Largest whole answer, and of a streamed one the largest event and what may come before its content. Default: 64MiB.
---@field request_memory? integer|string What policies may take for one request, beside its body: answers of theirs, headers and attempts; and how much longer than the client's a body may become. Default: 32MiB.

---@class perilune.config.timeouts
---@field connect? integer|string Until a connection to a provider stands, TLS included. Default: 5s.
---@field first_byte? integer|string Until the head of a streamed answer; 0: no limit. A whole answer has `total` alone. Default: 60s.
---@field first_token? integer|string Until the first content token of a streamed answer; 0: no limit. Default: 120s.
---@field idle? integer|string Between two bytes of an answer; 0: no limit. Default: 60s.
---@field total? integer|string A whole request with every attempt; 0: no limit. Default: 10m.
---@field header? integer|string From the first byte of a client's head to its last. Default: 10s.
---@field body? integer|string A client's body without a byte. Default: 30s.
---@field keepalive_idle? integer|string A client's connection without a request. Default: 75s.
---@field write? integer|string A client that takes no byte while some are waiting. Default: 60s.

---@class perilune.config.retry
---@field attempts? integer How often a request is tried again where it failed, within `max_attempts`. Default: 2.
---@field backoff? integer|string Wait before the first of these tries; twice as long before each next one. Default: 200ms.
---@field jitter? integer Per cent of a wait that are drawn at random, so that requests that failed together do not come again together. Default: 50.
---@field wait? integer|string Longest Retry-After that a request waits for; the client is told of longer ones. Default: 2s.
---@field statuses? integer[] Answers after which a request is tried again; none given: 408, 409, 425, 429 and 5xx.

---@class perilune.config.route
---@field max_attempts? integer Tries for one request, of all providers together. Default: 3.
---@field retry? perilune.config.retry Trying again at a provider that had a bad moment, when no other can be asked.
---@field overflow? boolean A lower tier takes requests that the tiers above have no slot for. Default: true.
---@field rate_limit_cooldown? integer|string As `failure_cooldown`, where the last of these failures was a 429 without a Retry-After. Default: 60s.
---@field failure_cooldown? integer|string Rest of a provider that failed several times in a row; twice as long after each trial that fails, up to eight times. Default: 15s.
---@field failures? integer Failed requests in a row after which a provider, or its model, rests. Default: 3.
---@field failure_percent? integer Share of failures among at least 20 results within `failure_window` after which a provider rests, too; 0: not looked at. Default: 50.
---@field failure_window? integer|string How long results count for `failure_percent`. Default: 30s.
---@field quarantine? integer|string Rest of a key that a provider refuses (401, 402), and of a model or an endpoint that it does not have. Default: 5m.

---@class perilune.config.queue
---@field max? integer Requests that may wait for a slot. Default: 1000.
---@field wait? integer|string How long one waits. Default: 10s.
---@field discovery? integer|string How long after a start requests for models that nobody has wait for the networks' first discovery; 0: not at all. Default: 10s.

---@class perilune.config.provider_timeouts
---@field connect? integer|string As `timeouts.connect`, for this provider.
---@field first_byte? integer|string As `timeouts.first_byte`, for this provider.
---@field first_token? integer|string As `timeouts.first_token`, for this provider.
---@field idle? integer|string As `timeouts.idle`, for this provider.
---@field total? integer|string As `timeouts.total`, for one attempt at this provider.

---@class perilune.config.provider_retry
---@field attempts? integer As `route.retry.attempts`, for this provider.
---@field backoff? integer|string As `route.retry.backoff`, for this provider.
---@field jitter? integer As `route.retry.jitter`, for this provider.
---@field wait? integer|string As `route.retry.wait`, for this provider.
---@field statuses? integer[] As `route.retry.statuses`, for this provider.

---@class perilune.config.provider
---@field network? "gonka" A decentralised network whose hosts are discovered; without it the provider is one URL. "0g" is not supported by this version.
---@field id string its name in policies, logs and headers, one of a kind
---@field url? string Base URL up to and with the version, such as "https://api.openai.com/v1"; an endpoint's path at its end is taken off, a query goes with every request.
---@field key? string|perilune.secret The key that is sent; with network "gonka" or "0g" the private key of the wallet.
---@field keys? string|perilune.secret|(string|perilune.secret)[] Several keys, at most 8, instead of `key`: requests are spread over them, and one that is refused or limited rests alone. With a network private keys, one a wallet.
---@field auth? "none"|"bearer"|"header" How the key is sent: "bearer" when there is a key, "header" when `auth_header` names one.
---@field auth_header? string Header that carries the key, such as "x-api-key".
---@field headers? table<string, string|perilune.secret> Sent with every request: name to text or secret.
---@field models? string[]|table<string, string|perilune.config.model> What it serves: a list of names, or public name to the provider's name or to a table; none: every model. A name with a '*' ("claude-*") stands for all of that form, and is sent as the client wrote it, or as what the star stands for where the provider's name is "*".
---@field discover_models? boolean Read the provider's own list (GET url/models), for what it serves when `models` are not given, and for spellings, context and abilities of those that are. Until it was read, it is as if it were not asked for. When not given, it is read where `models` are not given or have a '*', and what it lacks is asked for all the same, after the providers that list it.
---@field discover_interval? integer|string Between two looks at that list. Default: 10m.
---@field tier? integer Tier 1 is tried first, then 2, and so on. Default: 1.
---@field weight? integer Share of the requests among providers of one tier. Default: 100.
---@field max_concurrent? integer Requests under way at once; 0: no limit. Default: 0.
---@field adaptive_concurrency? boolean A provider that answers that it is overloaded (429, 529, 503) has its limit halved, to one at least, and raised by one after every ten good answers, up to what is configured. With a network each host has its own. Default: false.
---@field timeouts? perilune.config.provider_timeouts The general ones where not given.
---@field retry? perilune.config.provider_retry As `route.retry` where not given.
---@field empty_answers? "fail"|"pass" What an answer is that says nothing (no text, no reasoning, no call): a failure, after which the next provider is asked, or an answer that is passed on. Default: fail.
---@field http2? boolean Offer HTTP/2 to an https URL. Default: false.
---@field insecure? boolean Do not check the provider's certificate. Default: false.
---@field ca_file? string PEM file of the authorities to believe instead of the system's.
---@field broker? "gonka" The provider is a broker of this network, or a gateway in front of it: its refusals are read in the words of the network's servers. Without it their status and the API's own codes alone tell.
---@field tags? string|string[] Words for policies to look at; a list is joined with commas.
---@field sources? string|string[] Where hosts are discovered, in order of preference: nodes of the chain, for 0G its RPC.
---@field source? string|string[] Where hosts are discovered, in order of preference: nodes of the chain, for 0G its RPC.
---@field endpoints? string|string[] Fixed hosts: "url;address" with network "gonka", "address" or "address;priority" with "0g".
---@field private_key? string|perilune.secret|(string|perilune.secret)[] Private key of the wallet, or a list, one a wallet: 64 hexadecimal digits, with or without 0x.
---@field prefix? string Of the ids of the hosts found; "gonka:" or "0g:" when not given.
---@field refresh_interval? integer|string Between two looks at the network. Default: 60s.
---@field refresh? boolean Follow the epochs of the network. Default: true.
---@field address? string Requester address to send; derived from the key when not given.
---@field default_max_concurrent? integer Requests under way at once at one host; 0: no limit. Default: 0.
---@field max_concurrent_of? table<string, integer> Other limits: by a host's address instead of the default, and by a model's name for each host that lists it, within the host's own; 0: no limit.
---@field verify_proofs? boolean Believe a list of participants only with its proof. Default: false.
---@field trust_height? integer Height of trust_block, at most two weeks old: the chain is followed from there, signature by signature; 0: trust_block is the block of the list itself. Default: 0.
---@field trust_block? string Hash of the block that a proof must lead to: 64 hexadecimal digits.
---@field trust_validators? string File with the validator set whose signatures a proof must carry, as a node's /chain-rpc/validators gives it.
---@field trust_chain? string Chain id that proofs must be of. Default: gonka-mainnet.
---@field damping? "none"|"sqrt"|"log"|"equal" How weights on the chain become shares: as they are, their square root, their logarithm, all the same. Default: none.
---@field weight_of? table<string, integer> Weights of hosts by their addresses, instead of what the chain and `damping` give them.
---@field allow? string|string[] Addresses of the only hosts to use; none: every one.
---@field deny? string|string[] Addresses of hosts not to use.
---@field legacy_signing? boolean Sign by the formula of servers before v0.2.6. Default: false.
---@field verify_signatures? boolean Check each signature before it is sent, against faults of the machine: a faulty one can tell a stranger the key. A signature costs two and a half times as much then. Default: false.
---@field file_sources? boolean Sources may be files, too: "file:///path/participants.json", as a node answers them. For development: nothing but the file says who is called. Default: false.
---@field private_hosts? boolean Call hosts in private networks, too: for test networks. Default: false.
---@field epoch_webhook? string|perilune.secret URL that is told, by a POST of JSON, of each change of the network's epoch or hosts. It may lead anywhere, and is not shown.
---@field epoch_webhook_key? string|perilune.secret Bearer key sent with it.
---@field chain_id? integer Of the chain; 0: the RPC is asked. Default: 0.
---@field ledger? string Address of the ledger contract; by chain id when not given.
---@field inference? string Address of the inference contract; by chain id when not given.

---@class perilune.config.policy
---@field budget? integer|string CPU time of one entry into a policy. Default: 50ms.
---@field budget_per_mib? integer|string What each MiB of a request's body, and of the answer or event it looks at, adds to that. Default: 25ms.
---@field request_budget? integer|string CPU time of all entries into one policy for one request; it grows as `budget` does, and by 1ms an event. Then the policy is left out of the rest of that request. Default: 500ms.
---@field second_budget? integer|string CPU time of all entries into one policy in a second of one worker, beside what bodies add. Then the policy is left out until the second is over; of one request, when it used half for that. Default: 250ms.
---@field instructions? integer Lua instructions of one entry into a policy. Default: 10000000.
---@field memory? integer|string What the policies of one worker may hold. Default: 64MiB.
---@field failures? integer In so many requests in a row a policy's hook fails, without having worked before, until the policy goes back to its last text that worked or, without one, is left out until its file changes. 0: it stays. Default: 5.
---@field watch? boolean Load a policy again when its file changes. Default: true.

---@class perilune.config.cors
---@field origins? string|string[] Origins such as "https://app.example.com", "*" for all; none: no page may.
---@field credentials? boolean Their requests may carry cookies and what else a browser keeps; only with origins that are named. Keys in headers need it not. Default: false.

---@class perilune.config.admin
---@field listen? string|string[] Addresses of the admin API, such as "127.0.0.1:9001"; none: there is none.
---@field key? string|perilune.secret Bearer key of the admin API; none: anyone on this machine, and only on loopback.

---@class perilune.config
---@field listen? string|string[] Addresses clients connect to: "127.0.0.1:9000", "[::1]:0", "unix:/path". Default: 127.0.0.1:9000.
---@field workers? integer Threads that serve; 0: one a core. Default: 0.
---@field log? perilune.config.log The log.
---@field limits? perilune.config.limits How much is taken in.
---@field timeouts? perilune.config.timeouts How long is waited.
---@field drain? integer|string What requests under way get when the router is told to stop. Default: 30s.
---@field keepalive? integer|string Quiet time before a `: keepalive` comment to a streaming client; 0: never. Default: 0.
---@field route? perilune.config.route Retries and rests.
---@field queue? perilune.config.queue Waiting for a slot, and for the hosts of networks to be known.
---@field state_dir? string Folder where what was learnt of networks is kept over a restart; empty: nowhere.
---@field default_model? string For requests that name none; empty: such a request is an error.
---@field models? table<string, string|string[]> Public model name to other names clients may use for it; one with a '*' stands for all of that form.
---@field providers? perilune.config.provider[] The providers that answer.
---@field policies? (string|{ file: string, options?: table })[] Lua files that decide, in the order they are asked; paths start at the configuration file.
---@field policy? perilune.config.policy What a policy may use.
---@field keys? (string|perilune.secret|{ id?: string, secret: string|perilune.secret })[] Bearer keys of clients; none: anyone, and only on loopback addresses.
---@field cors? perilune.config.cors Pages of other origins that may ask from a browser.
---@field admin? perilune.config.admin The operator's API.
---@field seed? integer Of random choices, to repeat a run; 0: from the system. Default: 0.
