--- context: one request while rules look at it.
-- `top` holds the top-level members by name; `set` keeps it and the document in step. A repeated name counts once, with
-- its last value, as in Go. Most rules are about a parameter that is absent: each parameter knows the rules it wakes,
-- as bits of an integer, so those that sleep cost nothing. Models and releases have traits that wake rules, too.
local json = require("perilune").json
local models = require "perilune.gonka.rules.models"
local params = require "perilune.gonka.rules.params"
local releases = require "perilune.gonka.rules.releases"
local words = require "perilune.gonka.rules.words"

local context = {}
context.__index = context

local null, known, groups = json.null, params.known, params.groups

--- Change a top-level member; nil takes it away. A number too large for a double, which only a repair or an envelope
--- moves, can not be written again: rules see it, and nobody else.
---@param name string
---@param value any
function context:set(name, value)
  local is_beyond = value == math.huge or value == -math.huge
  if is_beyond then self.doc[name] = nil else self.doc[name] = value end
  if value == nil then
    self.top[name] = nil
    return
  end
  self.top[name] = is_beyond and value or self.doc[name]
  self.has_null = self.has_null or value == null
  local program = self.program
  if program then
    local awake = self.awake | (program.wakes[name] or program.unknown)
    self.awake = self.has_null and awake | program.null or awake
  end
end

--- Remember what was changed, for the client: "dropped tags". Every rule that changes a request says so here.
---@param text string
function context:note(text)
  local notes = self.notes
  if not notes[text] then
    notes[text] = true
    notes[#notes + 1] = text
  end
end

--- What a rule of the gateway does to a top-level member: change it, and say so. Repairs say it in words of their own.
---@param name string
---@param value? string|number|boolean nil takes it away
function context:change(name, value)
  if value == nil then
    self:note("dropped " .. name)
  elseif self.top[name] == nil then
    self:note(("added %s %s"):format(name, value))
  else
    self:note(("%s became %s"):format(name, value))
  end
  self:set(name, value)
end

--- Is a rule on?
---@param rule string
---@return boolean
function context:has(rule)
  return not self.off[rule]
end

-- What is off is decided once for many requests, so programs of the rules that are on are made once, and kept with it.
local nothing_off = {}

--- wakes: bits of the rules for a parameter · always, unknown, null: bits of those for every request, for a name that
--- is unknown, for a null · needs, acts: by bit
local function compile(off, rules)
  local program = { wakes = {}, always = 0, unknown = 0, null = 0, needs = {}, acts = {} }
  local wakes, bit = program.wakes, 1
  for name in pairs(known) do wakes[name] = 0 end
  for _, row in ipairs(rules) do
    if not off[row[1]] then
      assert(bit ~= 0, "more than 64 rules")
      local need, group = row[2], row[4]
      program.acts[bit], program.needs[bit] = row[3], need
      if group == "unknown" or group == "null" then
        program[group] = program[group] | bit
      elseif group and group:find "^%-" then
        wakes[group] = bit
      elseif group then
        for name, of in pairs(groups) do
          if of == group then wakes[name] = (wakes[name] or 0) | bit end
        end
      elseif need then
        wakes[need] = (wakes[need] or 0) | bit
      else
        program.always = program.always | bit
      end
      bit = bit << 1
    end
  end
  for name, bits in pairs(wakes) do
    if not known[name] and not name:find "^%-" then wakes[name] = bits | program.unknown end
  end
  off[rules] = program
  return program
end

--- Run rules: rows of name, the parameter that must be there (false: any), the rule, and the group of parameters of
--- which one must be there, or the trait (nil: any). The first that gives a sentence ends it.
---@param rules table at most 64
---@return string? message
---@return string? field
---@return integer? status
function context:run(rules)
  local top = self.top
  local program = self.off[rules] or compile(self.off, rules)
  local wakes, awake = program.wakes, program.always
  for name in next, top do awake = awake | (wakes[name] or program.unknown) end
  if self.has_null then awake = awake | program.null end
  local traits = self.family.traits
  for i = 1, #traits do awake = awake | (wakes[traits[i]] or 0) end
  traits = self.release.traits
  for i = 1, #traits do awake = awake | (wakes[traits[i]] or 0) end
  self.program, self.awake = program, awake
  local needs, acts, past = program.needs, program.acts, 0
  while true do
    local rest = self.awake & ~past
    if rest == 0 then return nil end
    local bit = rest & -rest
    past = bit | (bit - 1)
    local need = needs[bit]
    if not need or top[need] ~= nil then
      local message, field, status = acts[bit](self)
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
  local top, has_null = json.members(doc)
  local model = options.model
  if not model then
    model = type(top.model) == "string" and words.trim(top.model) or ""
    if model == "" then model = options.default_model end
  end
  return setmetatable({
    doc = doc, top = top, has_null = has_null, notes = {},
    family = models.of(model, options.is_exact),
    release = releases.known[options.release or releases.usual],
    off = options.off or nothing_off,
    is_admin = options.is_admin,
    limits = options.limits,
  }, context)
end

return context
