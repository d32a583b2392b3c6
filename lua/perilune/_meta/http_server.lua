---@meta

--- `peri.http.serve`: an HTTP server whose handler is Lua. For trusted scripts only: simulations, specs, tools.
--- It serves while `peri.run` runs; every request gets a task of its own, so a handler may wait.
---
---     local server = peri.http.serve { listen = "127.0.0.1:0", handler = function(x)
---       x:reply(200, { ["content-type"] = "text/plain" }, "you asked for " .. x.path)
---     end }
---@class perilune.http
local http = {}

---@class perilune.http.serve.options
---@field listen string "127.0.0.1:9000", "[::1]:0", "unix:/path"; port 0 takes any
---@field handler fun(x: perilune.http_exchange) runs once per request
---@field reuse_port? boolean several servers share the address
---@field header_bytes? integer of a request's head, 32768
---@field header_lines? integer 100
---@field uri_bytes? integer 8192
---@field body_bytes? integer 33554432
---@field connections? integer open at once, 16384
---@field header_ms? integer first byte of a head to its last, 10000
---@field body_ms? integer without a body byte, 30000
---@field idle_ms? integer keep-alive, 75000
---@field write_ms? integer without progress while bytes wait to be sent, 60000
---@field write_high? integer bytes unsent at which `write` waits, 262144
---@field write_low? integer bytes unsent at which it goes on, 65536
---@field allow_half_close? boolean a client that only reads is served on

--- Listen and serve.
---
---     local server = assert(peri.http.serve { listen = "127.0.0.1:0", handler = handler })
---@param options perilune.http.serve.options
---@return perilune.http_server? server nil when the address cannot be had
---@return string? why
---@return string? code "EINVAL", "EIO", "ENOMEM"
function http.serve(options) end

---@class perilune.http_server
---@field port integer 0 for a unix socket
---@field connections integer open now
---@field exchanges integer handed to handlers and not over
local server = {}

--- Stop accepting at once; in the next turn every connection closes, and handlers that wait in their exchange go on
--- with `nil, why, "ECLOSED"`.
---@return boolean? ok
---@return string? why
---@return string? code
function server:close() end

--- One request and its answer. When the handler returns, an open exchange is ended; when it fails before the answer
--- has started, the client gets status 500. Once the client has left, every method gives `nil, why, "ECLOSED"`.
---@class perilune.http_exchange
---@field method string
---@field path string without the query
---@field query string without "?"; "" when absent
---@field body string
---@field peer string "127.0.0.1:51234"
---@field headers table<string, string> by lower-case name; repeated ones are joined by ", "
---@field is_gone boolean the client left before the answer was complete
---@field is_over boolean ended, or gone
---@field sent integer body bytes written so far; 0 when it is over
local exchange = {}

--- A header, whatever its case.
---@param name string
---@return string?
function exchange:header(name) end

--- A whole answer; the exchange is over.
---
---     x:reply(404, { ["content-type"] = "application/json" }, '{"error":null}')
---@param status integer
---@param headers? table<string, string|number>
---@param body? string
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:reply(status, headers, body) end

--- Status and headers of an answer whose body follows. Without a length it is chunked.
---@param status integer
---@param headers? table<string, string|number>
---@param length? integer
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:start(status, headers, length) end

--- Body bytes. Waits while the client reads too slowly.
---@param bytes string
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:write(bytes) end

--- Bytes as they are, past all framing, for broken answers; the connection closes after the exchange.
---@param bytes string
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:raw(bytes) end

--- Send the head now rather than with the first bytes.
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:flush() end

--- The answer is complete. One that is shorter than its announced length is cut.
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:finish() end

--- Close the connection in the middle of the answer; with `reset` by a TCP reset.
---@param options? { reset?: boolean }
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:cut(options) end

--- Sleep, but only as long as the client stays.
---@param ms number
---@return boolean? ok true after the time, nil when the client left first
---@return string? why
---@return string? code
function exchange:wait(ms) end

--- Have a function called, with the exchange, when the client leaves before the answer is complete.
---@param fn fun(x: perilune.http_exchange)
---@return boolean? ok
---@return string? why
---@return string? code
function exchange:on_gone(fn) end

return http
