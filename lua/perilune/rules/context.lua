--- context: one request while rules look at it.
-- `top` holds the top-level members by name, so that a rule for an absent parameter costs one look into a plain
-- table; `set` keeps it and the document in step. A repeated name counts once, with its last value, as in Go.
-- `flags` say which groups of parameters there are, for rules that look at several.
local json = require("perilune").json
local models = require "perilune.rules.models"
local params = require "perilune.rules.params"
local releases = require "perilune.rules.releases"
local words = require "perilune.rules.words"

local context = {}
context.__index = context

local null, known, groups = json.null, params.known, params.groups

local function flag(flags, name, value)
  if value == null then flags.null = true end
  if not known[name] then flags.unknown = true end
  local group = groups[name]
  if group then flags[group] = true end
end

--- Change a top-level member; nil takes it away.
---@param name string
---@param value any
function context:set(name, value)
  self.doc[name] = value
  if value == nil then
    self.top[name] = nil
  else
    self.top[name] = self.doc[name]
    flag(self.flags, name, value)
  end
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

-- What is off is decided once for many requests, so the rules that are on are picked out once, and kept with it.
local nothing_off = {}

local function pick_out(off, rules)
  local picked = { needs = {}, groups = {}, acts = {} }
  for _, row in ipairs(rules) do
    if not off[row[1]] then
      local n = #picked.acts + 1
      picked.needs[n], picked.acts[n], picked.groups[n] = row[2], row[3], row[4] or false
    end
  end
  off[rules] = picked
  return picked
end

--- Run rules: rows of name, the parameter that must be there (false: any), the rule, and the group of parameters of
--- which one must be there (nil: any). The first that gives a sentence ends it.
---@param rules table
---@return string? message
---@return string? field
---@return integer? status
function context:run(rules)
  local top, flags = self.top, self.flags
  local picked = self.off[rules] or pick_out(self.off, rules)
  local needs, wanted, acts = picked.needs, picked.groups, picked.acts
  for i = 1, #acts do
    local name, group = needs[i], wanted[i]
    if (not name or top[name] ~= nil) and (not group or flags[group]) then
      local message, field, status = acts[i](self)
      if message then return message, field, status or 400 end
    end
  end
end

--- A context for a request.
---@param doc perilune.json.node the request
---@param options? { model?: string, default_model?: string, is_exact?: boolean, off?: table, is_admin?: boolean,
---   limits?: table, release?: string }
---   model overrules the request's, default_model stands in for it; is_exact: models are known by the gateway's own
---   spelling only; release: one of releases.known
---@return table
function context.new(doc, options)
  options = options or {}
  local top, flags = {}, {}
  for name, value in pairs(doc) do
    top[name] = value
    flag(flags, name, value)
  end
  local model = options.model
  if not model then
    model = type(top.model) == "string" and words.trim(top.model) or ""
    if model == "" then model = options.default_model end
  end
  return setmetatable({
    doc = doc, top = top, flags = flags, notes = {},
    family = models.of(model, options.is_exact),
    release = releases.known[options.release or releases.usual],
    off = options.off or nothing_off,
    is_admin = options.is_admin,
    limits = options.limits,
  }, context)
end

return context
