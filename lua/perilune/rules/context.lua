--- context: one request while rules look at it.
-- `top` holds the top-level members by name, so that a rule for an absent parameter costs one look into a plain
-- table; `set` keeps it and the document in step. A repeated name counts once, with its last value, as in Go.
local models = require "perilune.rules.models"
local words = require "perilune.rules.words"

local context = {}
context.__index = context

--- Change a top-level member; nil takes it away.
---@param name string
---@param value any
function context:set(name, value)
  self.doc[name] = value
  if value == nil then self.top[name] = nil else self.top[name] = self.doc[name] end
end

--- Remember what was changed, for the client: "dropped tags".
---@param text string
function context:note(text)
  local notes = self.notes
  if not notes[text] then
    notes[text] = true
    notes[#notes + 1] = text
  end
end

--- Is a rule on?
---@param rule string
---@return boolean
function context:has(rule)
  return not self.off[rule]
end

--- A context for a request.
---@param doc perilune.json.node the request
---@param options? { model?: string, default_model?: string, off?: table, is_admin?: boolean, limits?: table }
---@return table
function context.new(doc, options)
  options = options or {}
  local top = {}
  for name, value in pairs(doc) do top[name] = value end
  local model = type(top.model) == "string" and words.trim(top.model) or ""
  if model == "" then model = options.default_model end
  return setmetatable({
    doc = doc, top = top, notes = {},
    family = models.of(options.model or model),
    off = options.off or {},
    is_admin = options.is_admin,
    limits = options.limits,
  }, context)
end

return context
