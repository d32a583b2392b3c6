--- special_tokens: text that a tokenizer takes for its own marks, made text again.
-- A conversation about chat templates holds <|im_end|>, and a model that reads it as a token ends the turn there; one
-- version of the gateway refuses such requests altogether. A zero-width joiner inside the mark changes what the
-- tokenizer sees, and nothing that a reader sees.
local json = require("perilune").json

local special_tokens = {
  joiner = "\u{200D}",
  --- Names that are marks in square brackets; in <|…|> every name is one.
  bracketed = { BOS = true, EOS = true, EOT = true, PAD = true, UNK = true, SEP = true, CLS = true, MASK = true },
}

--- Break the marks of a text.
---@param text string
---@return string
---@return integer count marks broken
function special_tokens.break_text(text)
  local count, n = 0, 0
  if text:find("<|", 1, true) then
    text, count = text:gsub("<|([^|<>%s]+|>)", "<" .. special_tokens.joiner .. "|%1")
  end
  if text:find("[", 1, true) then
    text = text:gsub("%[(%u+)%]", function(name)
      if not special_tokens.bracketed[name] then return nil end
      n = n + 1
      return "[" .. special_tokens.joiner .. name .. "]"
    end)
  end
  return text, count + n
end

local function break_member(object, name)
  local value = object[name]
  if type(value) ~= "string" then return 0 end
  local text, count = special_tokens.break_text(value)
  if count > 0 then object[name] = text end
  return count
end

--- Break the marks in all that messages say.
---@param messages any of a request; edited
---@return integer count
function special_tokens.break_up(messages)
  local count = 0
  for i = 1, json.kind(messages) == "array" and #messages or 0 do
    local message = messages[i]
    if json.kind(message) == "object" then
      count = count + break_member(message, "content")
      local parts = message.content
      for k = 1, json.kind(parts) == "array" and #parts or 0 do
        if json.kind(parts[k]) == "object" then count = count + break_member(parts[k], "text") end
      end
    end
  end
  return count
end

return special_tokens
