--- router: `perilune serve` as a child process, and the shortest ways to ask it.
local cjson = require "cjson"
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local raw = require "spec.support.raw"

local router = {}
local Router = {}
Router.__index = Router

local build = os.getenv "PERILUNE_BUILD" or "build"
router.program = build .. "/perilune"
if not router.program:match "^/" then router.program = os.getenv "PWD" .. "/" .. router.program end

--- Built with sanitizers: memory is then kept back on purpose, and measuring it says nothing.
function router.is_sanitized()
  local program = process.read(router.program) or ""
  return (program:find("__asan_init", 1, true) or program:find("__tsan_init", 1, true)) ~= nil
end

local Expression = {}

--- Lua source that stands in a configuration as it is: router.expression 'secret "file:payer.key"'.
function router.expression(text) return setmetatable({ text = text }, Expression) end

--- Lua source for plain data.
local function source(value)
  if getmetatable(value) == Expression then return value.text end
  if type(value) == "string" then return ("%q"):format(value):gsub("\\\n", "\\n") end
  if type(value) ~= "table" then return tostring(value) end
  local parts = {}
  for i, item in ipairs(value) do parts[i] = source(item) end
  local names = {}
  for name in pairs(value) do
    if math.type(name) ~= "integer" then names[#names + 1] = name end
  end
  table.sort(names)
  for _, name in ipairs(names) do parts[#parts + 1] = ("[%q] = %s"):format(name, (source(value[name]))) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- What a provider is asked is what a spec asked for: lists of models are read by default with `discovers` alone.
local function without_lists(config)
  for _, entry in ipairs(not config.discovers and config.providers or {}) do
    local is_open = type(entry) == "table" and not entry.models and not entry.network
    if is_open and entry.discover_models == nil then entry.discover_models = false end
  end
  config.discovers = nil
  return config
end

--- Start a router and wait until it listens.
--   config   what the configuration file returns; listen, workers and log level have defaults here, and lists of models
--            are read by default with `discovers` alone; a log.file is an absolute path
--   files    path → text: policies and the like, beside the configuration file
--   environment   name → value, beside this process's own
function router.start(config, files, environment)
  local directory = process.directory()
  config.listen = config.listen or "127.0.0.1:0"
  config.workers = config.workers or 1
  config.seed = config.seed or 1
  config.log = config.log or { level = "debug" }
  local self = setmetatable({ directory = directory }, Router)
  for path, text in pairs(files or {}) do self:write(path, text) end
  self:configure(config)
  local variables = { ASAN_OPTIONS = "detect_leaks=1", UBSAN_OPTIONS = "print_stacktrace=1" }
  for name, value in pairs(environment or {}) do variables[name] = value end
  self.process = process.start({ router.program, "serve", "--config", directory .. "/perilune.lua" }, {
    directory = directory,
    environment = variables,
  })
  if config.log.file then self.process.err_path = config.log.file end
  self.port = self.process:await_line("the router to listen", function(line)
    local ok, record = pcall(cjson.decode, line)
    return ok and type(record) == "table" and record.msg == "listening" and math.tointeger(record.port)
  end, 20)
  self.url = ("http://127.0.0.1:%d/v1"):format(self.port)
  return self
end

--- A file beside the configuration, replaced in one step as an editor would.
function Router:write(path, text)
  local whole = self.directory .. "/" .. path
  local beside = whole .. ".new"
  local file, why = io.open(beside, "wb")
  if not file then
    os.execute("mkdir -p " .. process.quote(whole:match "^(.*)/"))
    file, why = io.open(beside, "wb")
  end
  assert(file, why):write(text)
  file:close()
  assert(os.rename(beside, whole))
end

--- Write the configuration file; a running router takes it over when it is told to.
function Router:configure(config)
  self:write("perilune.lua", "return " .. source(without_lists(config)) .. "\n")
end

--- Log lines so far, decoded; those whose message is `message` when given.
function Router:log(message)
  self.process:read_lines()
  local found = {}
  for _, line in ipairs(self.process.lines) do
    local ok, record = pcall(cjson.decode, line)
    if ok and (message == nil or record.msg == message) then found[#found + 1] = record end
  end
  return found
end

--- Wait until `count` requests stand in the log, and give them.
function Router:await_requests(count)
  return loop.await(("%d requests in the log"):format(count), function()
    local found = self:log "request"
    return #found >= count and found
  end)
end

--- End it; the exit status must be 0 (a sanitizer's finding is not).
function Router:stop()
  local status = self.process:stop()
  if status ~= 0 then
    error(("the router ended with status %s:\n%s"):format(status, self.process:stderr():sub(-8000)), 2)
  end
end

-- --- asking ---

function router.request_text(method, path, body, headers)
  local lines = { ("%s %s HTTP/1.1\r\nhost: router\r\n"):format(method, path) }
  for name, value in pairs(headers or {}) do lines[#lines + 1] = ("%s: %s\r\n"):format(name, value) end
  if body then lines[#lines + 1] = ("content-type: application/json\r\ncontent-length: %d\r\n"):format(#body) end
  return table.concat(lines) .. "\r\n" .. (body or "")
end

--- Something else that speaks HTTP on this machine, to be asked in the same ways.
function router.at(port) return setmetatable({ port = port }, Router) end

--- Send a request and give the open connection (raw): for clients that look closely or leave.
function Router:open(method, path, body, headers)
  local c = raw.connect(self.port)
  assert(c:send(router.request_text(method, path, body, headers)))
  return c
end

--- A whole exchange: { status, headers, body, json, is_whole }.
function Router:ask(method, path, body, headers)
  local c = self:open(method, path, body, headers)
  local head, why = c:take_head()
  if not head then
    c:close()
    return nil, why
  end
  local text, is_whole = c:take_body(head)
  c:close()
  local ok, json = pcall(cjson.decode, text)
  return { status = head.status, headers = head.headers, body = text, json = ok and json or nil, is_whole = is_whole }
end

--- The body of a chat request; `fields` are added as JSON has them.
function router.chat_body(fields)
  fields = fields or {}
  local parts = {}
  if fields.model == nil then parts[1] = '"model":"m"' end
  if fields.messages == nil then parts[#parts + 1] = '"messages":[{"role":"user","content":"Say hello."}]' end
  for name, value in pairs(fields) do
    parts[#parts + 1] = ("%s:%s"):format(cjson.encode(name), cjson.encode(value))
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function Router:chat(fields, headers)
  return self:ask("POST", "/v1/chat/completions", router.chat_body(fields), headers)
end

function Router:open_chat(fields, headers)
  return self:open("POST", "/v1/chat/completions", router.chat_body(fields), headers)
end

--- What a streamed answer says: { text, done, error, events }.
function router.read_stream(body)
  local seen = { text = "", done = false, events = {} }
  for event in (body .. "\n\n"):gmatch "(.-)\n\n" do
    local data = event:match "^data: ?(.*)$"
    if data == "[DONE]" then
      seen.done = true
    elseif data then
      local json = cjson.decode(data)
      seen.events[#seen.events + 1] = json
      if json.error then seen.error = json.error end
      local choice = json.choices and json.choices[1]
      local content = choice and choice.delta and choice.delta.content
      if type(content) == "string" then seen.text = seen.text .. content end
    end
  end
  return seen
end

--- What a chat request, streamed, got: the exchange with `stream` as read_stream has it.
function Router:stream(fields, headers)
  fields = fields or {}
  fields.stream = true
  local answer, why = self:chat(fields, headers)
  if answer and answer.status == 200 then answer.stream = router.read_stream(answer.body) end
  return answer, why
end

--- One provider of a configuration.
function router.provider(id, simulated, options)
  local entry = { id = id, url = type(simulated) == "string" and simulated or simulated.url, key = "sk-canary-" .. id }
  for name, value in pairs(options or {}) do entry[name] = value end
  return entry
end

--- A body for `it`: providers and a router live for it alone.
--   body(start, provider) where start(config, files) gives a router that is stopped, and judged, at the end
function router.test(body, seconds)
  return function()
    local started = {}
    local ok, why = xpcall(loop.run, function(text) return text end, function()
      body(function(config, files, environment)
        local one = router.start(config, files, environment)
        started[#started + 1] = one
        return one
      end)
      for _, one in ipairs(started) do one:stop() end
    end, seconds)
    local tail = ""
    if not ok and started[1] then
      local has_ended, status = pcall(started[1].process.wait, started[1].process, 0.5)
      tail = started[1].process:stderr():sub(-6000) .. (has_ended and "\n(it ended with status " .. status .. ")" or "")
    end
    process.stop_all()
    if not ok then
      if type(why) == "string" and tail ~= "" then why = why .. "\n--- the router's last words\n" .. tail end
      error(why, 0)
    end
  end
end

return router
