--- What a simulated model says to one request: its tokens, its tool calls, its usage, and the JSON of each.
--
-- A completion is a list of deltas, each worth one token or none; the whole answer is their sum, so the streamed and
-- the unstreamed answer to the same request always say the same.
local peri = require "perilune"
local text = require "perilune.simnet.text"

local json = peri.json
local completion = {}
completion.__index = completion

local TOKENS_DEFAULT = 8
local ARGUMENT_BYTES = 8 -- of a tool's arguments in one delta

local function last_message(body, role)
  for i = #(body.messages or {}), 1, -1 do
    if not role or body.messages[i].role == role then return body.messages[i] end
  end
end

local function message_text(message)
  local content = message and message.content
  if type(content) == "string" then return content end
  local list = {}
  for _, part in ipairs(type(content) == "table" and content or {}) do list[#list + 1] = part.text end
  return table.concat(list)
end

--- The tool that is to be called, if any: the one that tool_choice names, or the first.
local function wanted_tool(body, b)
  local tools, choice = body.tools, body.tool_choice
  if b.no_tools or type(tools) ~= "table" or #tools == 0 or choice == "none" then return nil end
  local last = last_message(body)
  if last and last.role == "tool" then return nil end
  local name = type(choice) == "table" and choice["function"] and choice["function"].name
  for _, tool in ipairs(tools) do
    local f = tool["function"]
    if f and (not name or f.name == name) then return f end
  end
end

local function token_limit(body) return math.tointeger(body.max_completion_tokens or body.max_tokens) end

local function wanted_tokens(body, b)
  if b.echo then return text.split(message_text(last_message(body, "user"))) end
  if b.text then return text.split(tostring(b.text)) end
  local format = body.response_format
  if type(format) == "table" and format.type == "json_object" then return text.pieces('{"answer":"sim"}', 4) end
  if type(format) == "table" and format.type == "json_schema" then
    local schema = type(format.json_schema) == "table" and format.json_schema.schema
    return text.pieces(json.encode(text.example(schema or {})), 4)
  end
  return text.tokens(math.tointeger(b.tokens) or TOKENS_DEFAULT)
end

local function add_reasoning(self, n)
  for _, token in ipairs(text.tokens(n)) do
    self.deltas[#self.deltas + 1] = { delta = { reasoning_content = token }, tokens = 1 }
  end
  self.reasoning = n
end

local function add_content(self, body, b)
  local tokens, limit = wanted_tokens(body, b), token_limit(body)
  self.finish_reason = "stop"
  for i, token in ipairs(tokens) do
    if limit and i > limit then
      self.finish_reason = "length"
      break
    end
    self.deltas[#self.deltas + 1] = { delta = { content = token }, tokens = 1 }
  end
end

local function add_tool_call(self, tool)
  local arguments = json.encode(text.example(tool.parameters or { type = "object" }))
  local call = { index = 0, id = "call_" .. self.id, type = "function" }
  call["function"] = { name = tool.name, arguments = "" }
  self.deltas[#self.deltas + 1] = { delta = { tool_calls = json.array { call } }, tokens = 1 }
  for _, piece in ipairs(text.pieces(arguments, ARGUMENT_BYTES)) do
    local more = { index = 0, ["function"] = { arguments = piece } }
    self.deltas[#self.deltas + 1] = { delta = { tool_calls = json.array { more } }, tokens = 1 }
  end
  self.finish_reason = "tool_calls"
end

local function count_usage(self, prompt, b)
  local produced = 0
  for _, step in ipairs(self.deltas) do produced = produced + step.tokens end
  local asked = text.count(prompt)
  self.usage = { prompt_tokens = asked, completion_tokens = produced, total_tokens = asked + produced }
  if self.reasoning > 0 then self.usage.completion_tokens_details = { reasoning_tokens = self.reasoning } end
  if b.cached_tokens then self.usage.prompt_tokens_details = { cached_tokens = b.cached_tokens } end
end

--- Think of an answer.
---@param kind "chat"|"text"
---@param body table the decoded request
---@param b table its behaviour
---@param made { id: string, model: string, created: integer }
function completion.new(kind, body, b, made)
  local self = { kind = kind, id = made.id, created = made.created, deltas = {}, reasoning = 0 }
  self.model = b.model or made.model
  setmetatable(self, completion)
  local tool = kind == "chat" and wanted_tool(body, b)
  if kind == "chat" then add_reasoning(self, math.tointeger(b.reasoning) or 0) end
  if tool then add_tool_call(self, tool) else add_content(self, body, b) end
  self.finish_reason = b.finish_reason or self.finish_reason
  count_usage(self, kind == "chat" and json.encode(body.messages or json.array {}) or tostring(body.prompt), b)
  if b.no_usage then self.usage = nil end
  return self
end

local function sum(self, member)
  local list = {}
  for _, step in ipairs(self.deltas) do list[#list + 1] = step.delta[member] end
  return #list > 0 and table.concat(list) or nil
end

local function whole_message(self)
  local message = { role = "assistant", content = sum(self, "content") or json.null }
  message.reasoning_content = sum(self, "reasoning_content")
  local call
  for _, step in ipairs(self.deltas) do
    local part = step.delta.tool_calls and step.delta.tool_calls[1]
    if part and part.id then
      call = { id = part.id, type = part.type, ["function"] = { name = part["function"].name, arguments = "" } }
    elseif part then
      call["function"].arguments = call["function"].arguments .. part["function"].arguments
    end
  end
  if call then message.tool_calls = json.array { call } end
  return message
end

local function envelope(self, object, choice)
  return { id = self.id, object = object, created = self.created, model = self.model, choices = json.array { choice } }
end

--- The whole answer.
---@return string json
function completion:whole()
  local is_chat = self.kind == "chat"
  local choice = { index = 0, finish_reason = self.finish_reason, logprobs = json.null }
  if is_chat then choice.message = whole_message(self) else choice.text = sum(self, "content") or "" end
  local answer = envelope(self, is_chat and "chat.completion" or "text_completion", choice)
  answer.usage = self.usage
  return json.encode(answer)
end

--- One frame's JSON.
---@param delta table|nil nil for the last one
---@param wants_usage boolean every frame then says so (as null)
---@return string json
function completion:chunk(delta, wants_usage)
  local is_chat = self.kind == "chat"
  local choice = { index = 0, finish_reason = delta and json.null or self.finish_reason, logprobs = json.null }
  if is_chat then choice.delta = json.object(delta or {}) else choice.text = delta and delta.content or "" end
  local answer = envelope(self, is_chat and "chat.completion.chunk" or "text_completion", choice)
  if wants_usage then answer.usage = json.null end
  return json.encode(answer)
end

--- The frame that ends a stream whose client asked for the usage.
---@return string json
function completion:usage_chunk()
  local answer = envelope(self, self.kind == "chat" and "chat.completion.chunk" or "text_completion")
  answer.usage = self.usage
  return json.encode(answer)
end

return completion
