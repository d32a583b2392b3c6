---@meta

--- `peri.http.fetch`: one request to anywhere, and its whole answer. The calling task waits; whatever ends the task
--- ends the request, and its socket, at once.
---
---     local answer, why, code = peri.http.fetch {
---       url = "https://api.example.com/v1/models",
---       headers = { authorization = "Bearer " .. token },
---       timeout_ms = 2000,
---     }
---     if not answer then return nil, why end
---     if answer.status == 200 then use(peri.json.decode(answer.body)) end
---
--- Any status is an answer, redirects too: none is followed. Nothing is decompressed and no cookie kept.
---
--- In a policy only addresses of the public internet are reached, asked after name resolution: others give "EDENIED". An
--- answer may have 8 MiB at most, and 64 fetches may be open in one worker.
---@class perilune.http
local http = {}

---@class perilune.http.fetch.options
---@field url string absolute, http or https, without user name or fragment
---@field method? string "GET", or "POST" when there is a body
---@field headers? table<string, string|number> at most 64; framing is ours: no content-length, connection …
---@field body? string
---@field timeout_ms? integer for all of it, 10000; a policy may ask for 60000 at most, others for 0: none
---@field connect_ms? integer name, connection and TLS, 5000
---@field first_byte_ms? integer from the start to the answer's head; none
---@field idle_ms? integer without a byte after the head; none
---@field max_bytes? integer of the answer's body: 1 MiB in a policy, else 64 MiB
---@field http2? boolean offer HTTP/2, https only
---@field on_chunk? fun(bytes: string): boolean? trusted scripts: called with the body as it comes, may wait (the sender is held back meanwhile), and ends the request by returning false; `body` is then what it did not get
---@field insecure? boolean trusted scripts: do not check the certificate
---@field ca_file? string trusted scripts: PEM file of authorities instead of the system's
---@field unix? string trusted scripts: path of a socket to connect to instead of the URL's host

---@class perilune.http.answer
---@field status integer
---@field headers table<string, string> by lower-case name; repeated ones are joined by ", "
---@field body string

---@param options perilune.http.fetch.options
---@return perilune.http.answer? answer nil when there is none that is whole
---@return string? why
---@return string? code "EINVAL", "EDNS", "ECONNECT", "ETLS", "EDENIED", "ETIMEOUT", "ESTALL", "ECLOSED", "ETRUNCATED", "EPROTO", "ETOOBIG", "EFULL", "ENOMEM"
function http.fetch(options) end
