--- gonka_rules: a request becomes one that the Gonka network accepts, or is refused with the network's own sentence.
-- Profile "repair" changes what can be changed without changing what is meant; "emulate" does exactly what the
-- network's gateway does. Either tells the client of every change in the header `x-perilune-edits`.
local json = require("perilune").json
local attachments = require "perilune.gonka.rules.attachments"
local body = require "perilune.gonka.rules.body"
local call_hint = require "perilune.gonka.rules.call_hint"
local context = require "perilune.gonka.rules.context"
local gateway = require "perilune.gonka.rules.gateway"
local releases = require "perilune.gonka.rules.releases"
local repair = require "perilune.gonka.rules.repair"
local special_tokens = require "perilune.gonka.rules.special_tokens"

local policy = {
  name = "gonka_rules",
  options = {
    profile = { default = "repair", doc = "\"repair\", or \"emulate\" for exactly what the gateway does" },
    release = { default = "v0.2.14", doc = "which release of the gateway \"emulate\" does, see rules/releases.lua" },
    off = { default = {}, doc = "names of rules that are left out, see lua/perilune/gonka/rules/{gateway,repair}.lua" },
    networks = { default = { "gonka" }, doc = "networks whose providers are meant; empty: all providers" },
    default_tokens = { default = 3072, doc = "output tokens when the client names no limit" },
    cap_tokens = { default = 4096, doc = "most output tokens" },
    images = { default = "refuse", doc = "images, sound and files, in a repair: \"refuse\", or \"note\" that one was "
      .. "left out; models that are configured without the capability are not asked either way" },
    call_hint = { default = call_hint.usual, doc = "what a repair tells the model when the "
      .. "client requires a call, which the network does not know; empty: nothing" },
    special_tokens = { default = "keep", doc = "marks of tokenizers in messages, <|im_end|> or [EOS], in a repair: "
      .. "\"keep\", or \"break\" by a zero-width joiner" },
  },
}

local off -- of the options, which do not change while a policy is loaded

local function known_rules()
  local known = {}
  for _, rules in ipairs { gateway.rules, repair.rules } do
    for _, row in ipairs(rules) do known[row[1]] = true end
  end
  for name in pairs(gateway.parts) do known[name] = true end
  return known
end

function policy.check(config)
  local options = config.options
  if options.profile ~= "repair" and options.profile ~= "emulate" then
    return nil, ("option 'profile' must be \"repair\" or \"emulate\", got %q"):format(options.profile)
  end
  if not releases.known[options.release] then
    return nil, ("option 'release' must be one of those in rules/releases.lua, got %q"):format(options.release)
  end
  for name, words in pairs { images = { "refuse", "note" }, special_tokens = { "keep", "break" } } do
    if options[name] ~= words[1] and options[name] ~= words[2] then
      return nil, ("option '%s' must be %q or %q, got %q"):format(name, words[1], words[2], tostring(options[name]))
    end
  end
  local known = known_rules()
  for _, name in ipairs(options.off) do
    if not known[name] then return nil, ("option 'off' names '%s', which is no rule"):format(name) end
  end
  policy.networks = options.networks
  return true
end

local function read_options(options)
  if options.profile == "repair" then
    off = repair.off(options.off)
  else
    off = {}
    for _, name in ipairs(options.off) do off[name] = true end
  end
end

--- The gateway on the body as it stands.
local function emulate(attempt, settings)
  if json.depth(attempt.body) > body.max_nesting then return nil, body.too_deep, "$body", 400 end
  settings.is_exact, settings.release = true, policy.options.release
  local c = context.new(attempt.body, settings)
  return c, gateway.run(c)
end

--- A repair, with what this policy's options add to it.
local function mend(doc, settings)
  local options = policy.options
  local notes = {}
  if options.images == "note" and attachments.note(doc.messages) > 0 then
    notes[#notes + 1] = "left out what is not text"
  end
  local wants_call = options.call_hint ~= "" and call_hint.is_wanted(doc)
  local c, message, field, status = repair.document(doc, settings)
  if message then return c, message, field, status end
  if wants_call and doc.tool_choice == "auto" then
    call_hint.add(doc.messages, options.call_hint)
    notes[#notes + 1] = "told the model to call a tool"
  end
  if options.special_tokens == "break" and special_tokens.break_up(doc.messages) > 0 then
    notes[#notes + 1] = "broke special tokens"
  end
  for _, note in ipairs(notes) do c:note(note) end
  return c
end

-- The network's rules are those of chat completions: of other requests they would make what was never asked.
function policy.attempt(req, attempt)
  if req.endpoint ~= "chat" then return end
  local options = policy.options
  if not off then read_options(options) end
  local settings = { model = attempt.model, off = off, limits = options }
  local c, message, field, status
  if options.profile == "repair" then
    c, message, field, status = mend(attempt.body, settings)
  else
    c, message, field, status = emulate(attempt, settings)
  end
  if message then return attempt:refuse(status, message, "gonka_rules", field) end
  if #c.notes > 0 then attempt:set_answer_header("x-perilune-edits", repair.summary(c)) end
end

return policy
