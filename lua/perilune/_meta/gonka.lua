---@meta

--- `peri.gonka` for trusted scripts (simulations, specs, tools): the node's side of Gonka's signatures, and wallets from
--- key files. Private keys stay in C; a script says where one is. What policies find under the same name is in
--- policy.lua.
---@class perilune.gonka_tools
local gonka = {}

---@alias perilune.gonka_scheme "hashed"|"raw_body"|"body_only"

--- Whether a node would take the signature.
---
---     peri.gonka.check { authorization = x:header "authorization", body = x.body, node = "gonka1…",
---       timestamp = x:header "x-timestamp", public_key = account.public_key }
---@param request { authorization: string, body: string, timestamp: string, node: string, public_key: string, scheme: perilune.gonka_scheme? }
---@return boolean
function gonka.check(request) end

--- The account of a compressed public key.
---@param public_key string 33 bytes
---@return string? address
---@return string? why
---@return string? code
function gonka.address(public_key) end

--- A new private key in a new file of mode 0600.
---@param path string
---@return boolean? ok
---@return string? why
---@return string? code "EINVAL" when the file is there already
function gonka.keygen(path) end

--- Who the owner of a key is.
---@param source string "file:PATH", "env:NAME" or "cred:NAME"
---@return { address: string, public_key: string }? wallet
---@return string? why
---@return string? code
function gonka.wallet(source) end

--- The headers of one signed request.
---
---     local headers = peri.gonka.sign { key = "file:payer.key", body = "{}", node = "gonka1…", timestamp = peri.clock.wall_ns() }
---@param request { key: string, body: string, node: string, timestamp: integer, scheme: perilune.gonka_scheme? }
---@return table<string, string>? headers authorization, x-timestamp, x-requester-address
---@return string? why
---@return string? code
function gonka.sign(request) end

--- The ed25519 public key of a simulated validator.
---@param seed string 32 bytes
---@return string public_key 32 bytes
function gonka.validator_public(seed) end

--- What that validator says to a message.
---@param seed string 32 bytes
---@param message string
---@return string signature 64 bytes
function gonka.validator_sign(seed, message) end

return gonka
