--- router: the real router on a test bed, its scripted providers, and what came back to a client.
local peri = require "perilune"
local dialect = require "perilune.dialect"
local check_options = require "perilune.testing.options"
local gonka = require "perilune.testing.gonka"
local provider = require "perilune.testing.provider"
local web = require "perilune.testing.web"

local json = peri.json
local router = {}
local Router, Pending = {}, {}
Router.__index = Router
Pending.__index = Pending

local PATIENCE_MS = 3600000 -- of the virtual clock: what has not come in an hour does not come
local CHAT = "/v1/chat/completions"

-- ---- Opening ----

local function is_file(path)
  local file = io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

--- Policies are looked for from the test file's folder, then from where the program was started.
local function find_policies(list, folder)
  local found = json.array {}
  for i, policy in ipairs(list or {}) do
    local entry = type(policy) == "table" and policy or { file = policy }
    local path = tostring(entry.file)
    if path:sub(1, 1) ~= "/" and folder ~= "" and is_file(folder .. path) then path = folder .. path end
    found[i] = {}
    for name, value in pairs(entry) do found[i][name] = value end
    found[i].file = path
  end
  return found
end

local function read_config(self, options, setting)
  local config = { log = { level = "debug" }, seed = setting.seed, admin = { listen = "127.0.0.1:0" } }
  for name, value in pairs(options) do config[name] = value end
  config.http = nil
  config.policies = find_policies(options.policies, setting.folder)
  config.providers = json.array {}
  if type(options.providers) ~= "table" or #options.providers == 0 then
    error("a router needs `providers`, a list such as { { id = \"a\", answers = { testing.chat \"hello\" } } }", 0)
  end
  for i, given in ipairs(options.providers) do
    if gonka.is(given) then
      config.providers[i], self.networks[#self.networks + 1] = gonka.open(given, self)
    else
      local entry, site = provider.open(self, given, i)
      if entry.models == nil and entry.discover_models == nil then entry.discover_models = false end
      config.providers[i] = entry
      self.sites[i], self.providers[site.id] = site, site
    end
  end
  return json.encode(config)
end

--- Everybody else: scripted, or nobody.
local function open_web(self, http)
  if http == nil then return end
  if not web.is(http) then error("`http` must be made with testing.http { [\"https://…\"] = … }", 0) end
  http:open(self)
  self.sites[0] = http
end

--- A router in a world of its own.
---@param options table the configuration; its providers have `answers` instead of `url`, or are networks
---@param setting { seed: integer, folder: string }
function router.open(options, setting)
  local self = setmetatable({ providers = {}, networks = {}, sites = {}, by_peer = {}, playing = {}, due = {},
    exchanges = {}, pending = {}, open = 0, journal = {} }, Router)
  local config = read_config(self, options, setting)
  open_web(self, options.http)
  local why
  self.bed, why = peri.testbed.open(config, function(e) return self["on_" .. e.kind](self, e) end)
  if not self.bed then error("the router does not start: " .. why:gsub("^config_json:?%d*:? ?", ""), 0) end
  for _, network in ipairs(self.networks) do network:begin() end
  return self
end

function Router:note(form, ...)
  self.journal[#self.journal + 1] = ("%8d ms  %s"):format(self.bed:now_ms(), form:format(...))
end

-- ---- The providers' side ----

--- Who is asked counts to the request that is under way.
function Router:note_try(id)
  for _, pending in pairs(self.pending) do
    pending.tried[#pending.tried + 1] = id
    pending.is_mixed = self.open > 1
  end
end

function Router:on_dial(e)
  local site = self.sites[e.port]
  if not site or not site:dialed(e, self) then return false end
  self.by_peer[e.peer] = site
  return true
end

function Router.header_map(list)
  local map = {}
  for _, header in ipairs(list) do
    local name = header.name:lower()
    map[name] = map[name] and map[name] .. ", " .. header.value or header.value
  end
  return map
end

function Router:on_request(e) self.by_peer[e.peer]:take(e, self) end

--- Answer a request as scripted.
---@param id integer of the exchange
---@param answer table of answers.lua
---@param request table as the test sees it
---@param who string for the journal
function Router:play(id, answer, request, who)
  self.playing[id] = { steps = answer.steps(request), at = 1, request = request, who = who }
  self:play_on(id)
end

--- Go on with an answer up to its next wait.
function Router:play_on(id)
  local play, bed = self.playing[id], self.bed
  while play do
    local step = play.steps[play.at]
    if not step then return end
    play.at = play.at + 1
    if step.head then
      bed:start(id, step.head, step.headers)
    elseif step.bytes then
      bed:write(id, step.bytes)
    elseif step.wait and step.wait > 0 then
      self:after(step.wait, function() self:play_on(id) end)
      return
    elseif step.finish or step.cut then
      self.playing[id] = nil
      if step.cut then bed:cut(id) else bed:finish(id) end
      return
    end
  end
end

--- Call a function after a while.
function Router:after(ms, fn) self.due[self.bed:after(ms)] = fn end

function Router:on_due(e)
  local fn = self.due[e.id]
  self.due[e.id] = nil
  fn()
end

function Router:on_gone(e)
  local play, x = self.playing[e.id], self.exchanges[e.id]
  self.playing[e.id] = nil
  if x then x:leave() end
  if not play then return end
  play.request.left = true
  self:note("%s is left by the router", play.who)
end

-- ---- The client's side ----

function Router:on_head(e)
  local pending = self.pending[e.id]
  pending.status, pending.headers = e.status, Router.header_map(e.headers)
end

function Router:on_bytes(e)
  local pending = self.pending[e.id]
  pending.parts[#pending.parts + 1] = e.bytes
end

function Router:close_pending(pending, why)
  self.pending[pending.id] = nil
  self.open = self.open - 1
  pending.is_over, pending.why = true, why
  pending.ended_ms = self.bed:now_ms()
end

function Router:on_done(e)
  local pending = self.pending[e.id]
  self:close_pending(pending, e.code and (e.code .. ": " .. e.why))
  self:note("the client has %s%s", pending.status and "its answer, " .. pending.status or "no answer",
    e.code and ", cut: " .. e.why or "")
end

local function body_of(given)
  if type(given) == "string" then return given end
  local body = {}
  for name, value in pairs(given or {}) do body[name] = value end
  if body.model == nil then body.model = "test-model" end
  if body.messages == nil and body.prompt == nil and body.input == nil then
    body.messages = { { role = "user", content = "hello" } }
  end
  return json.encode(body)
end

local asking_options = { headers = "table", path = "string", method = "string" }

local function path_of(given, options)
  if options.path then return options.path end
  if type(given) == "table" and given.prompt ~= nil then return "/v1/completions" end
  if type(given) == "table" and given.input ~= nil then return "/v1/embeddings" end
  return CHAT
end

--- Ask without waiting: several requests may be under way.
---@param body table|string `model` and `messages` are filled in where they are missing; text is sent as it is
---@param options? { headers?: table<string, string>, path?: string, method?: string }
function Router:ask(body, options)
  options = check_options("router:ask", options, asking_options)
  local headers = { { name = "content-type", value = "application/json" } }
  for name, value in pairs(options.headers or {}) do
    headers[#headers + 1] = { name = name, value = tostring(value) }
  end
  local path = path_of(body, options)
  self:note("the client asks %s", path)
  local pending = setmetatable({ router = self, parts = {}, tried = {}, began_ms = self.bed:now_ms() }, Pending)
  pending.id = self.bed:ask(path, options.method == "GET" and "" or body_of(body), headers, options.method)
  self.pending[pending.id] = pending
  self.open = self.open + 1
  pending.is_mixed = self.open > 1
  return pending
end

--- Ask and wait for the whole answer.
function Router:chat(body, options)
  check_options("router:chat", options, asking_options)
  return self:ask(body, options):answer()
end

--- How its networks stand, as the operator is told.
---@return table[]
function Router:network_status()
  local told = self:ask(nil, { path = "/admin/networks", method = "GET" }):answer()
  if told.status ~= 200 then error("the admin API answers " .. tostring(told.status), 0) end
  return told.json.data
end

--- Look at the networks now, and wait until that is done.
function Router:refresh()
  self:ask(nil, { path = "/admin/networks/refresh" }):answer()
  self.bed:settle()
end

--- Time passes.
function Router:advance(ms) self.bed:advance(ms) end

-- ---- Answers ----

local function add_choice(got, choice, message)
  if type(message.content) == "string" then got.text = got.text .. message.content end
  if type(message.reasoning_content) == "string" then
    got.reasoning = (got.reasoning or "") .. message.reasoning_content
  end
  if type(choice.finish_reason) == "string" then got.finish_reason = choice.finish_reason end
  for i, call in ipairs(type(message.tool_calls) == "table" and message.tool_calls or {}) do
    got.tool_calls = got.tool_calls or {}
    local at = (call.index or i - 1) + 1
    local made = got.tool_calls[at] or { arguments = "" }
    local f = call["function"] or {}
    made.id, made.name = made.id or call.id, made.name or f.name
    made.arguments = made.arguments .. (f.arguments or "")
    got.tool_calls[at] = made
  end
end

local function add_json(got, value)
  if type(value) ~= "table" then return end
  if type(value.error) == "table" then got.error = value.error end
  if type(value.usage) == "table" then got.usage = value.usage end
  local choice = type(value.choices) == "table" and value.choices[1]
  if choice then add_choice(got, choice, choice.message or choice.delta or { content = choice.text }) end
end

local function read_stream(got)
  got.events, got.complete = {}, false
  for frame in got.body:gmatch "(.-)\n\n" do
    for data in frame:gmatch "data: ?([^\n]*)" do
      got.events[#got.events + 1] = data
      if data == dialect.done then got.complete = true else add_json(got, json.decode(data)) end
    end
  end
end

local fields = { status = true, headers = true, body = true, text = true, reasoning = true, tool_calls = true,
  finish_reason = true, usage = true, error = true, json = true, events = true, complete = true, why = true,
  provider = true, route = true, tried = true, elapsed_ms = true }

-- A claim about a misspelt field would hold whenever nil is expected.
local Got = { __index = function(_, name)
  if not fields[name] then error(("an answer has no field '%s'"):format(tostring(name)), 2) end
end }

local function read_answer(pending)
  local got = { status = pending.status, headers = pending.headers or {}, body = table.concat(pending.parts), text = "",
    elapsed_ms = pending.ended_ms - pending.began_ms, why = pending.why, complete = not pending.why }
  got.provider, got.route = got.headers["x-perilune-provider"], got.headers["x-perilune-route"]
  if not pending.is_mixed then got.tried = pending.tried end
  if (got.headers["content-type"] or ""):find("text/event-stream", 1, true) then
    read_stream(got)
    got.complete = got.complete and not pending.why
  else
    got.json = json.decode(got.body)
    add_json(got, got.json)
  end
  return setmetatable(got, Got)
end

--- What has come so far.
function Pending:peek()
  self.router.bed:settle()
  return table.concat(self.parts)
end

--- Wait until it is over: time moves on to whatever happens next.
function Pending:answer()
  local bed = self.router.bed
  if self.has_left then error("this client has hung up: there is no answer", 0) end
  bed:settle()
  while not self.is_over do
    local ms = bed:next_ms()
    if not ms then error("no answer came, and nothing is left that could bring one", 0) end
    if bed:now_ms() + ms - self.began_ms > PATIENCE_MS then
      error("no answer came within an hour of the virtual clock", 0)
    end
    bed:advance(ms)
  end
  return read_answer(self)
end

--- The client leaves.
function Pending:hang_up()
  if self.is_over then return end
  self.has_left = true
  self.router:note("the client hangs up")
  self.router:close_pending(self, "the client hung up")
  self.router.bed:hang_up(self.id)
  self.router.bed:settle()
end

-- ---- The end ----

--- What it has logged so far, one table a line.
---@param msg? string only lines that say this
---@return table[]
function Router:log(msg)
  local lines = {}
  self.bed:settle()
  for text in self.bed:log():gmatch "[^\n]+" do
    local line = json.decode(text) or { msg = text }
    if not msg or line.msg == msg then lines[#lines + 1] = line end
  end
  return lines
end

--- Close it; gives its log.
function Router:close()
  local lines = self:log()
  self.bed:close()
  return lines
end

return router
