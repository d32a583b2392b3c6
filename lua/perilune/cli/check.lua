--- program: `perilune check --cases FILE` and `perilune check --request FILE`.
-- A case says in `env` what no request shows. For those that say it in words only, `--states FILE` holds lines of
-- { id, state }, a state as gonka/rules/network.lua describes it.
local json = require("perilune").json
local body = require "perilune.gonka.rules.body"
local cases = require "perilune.cli.cases"
local call_hint = require "perilune.gonka.rules.call_hint"
local gateway = require "perilune.gonka.rules.gateway"
local repair = require "perilune.gonka.rules.repair"
local tool_ids = require "perilune.gonka.tool_ids"

local USAGE = 2

local function usage(...)
  io.stderr:write("perilune check: ", string.format(...), "\n")
  return USAGE
end

local function read(path)
  local file, why = io.stdin, nil
  if path ~= "-" then file, why = io.open(path, "rb") end
  if not file then return nil, why end
  local text
  text, why = file:read "a"
  if file ~= io.stdin then file:close() end
  return text, why and path .. ": " .. why
end

-- ---- Cases ----

local agrees = {
  emulate = { agree = true },
  repair = { accepted = true, changed = true, repaired = true, refused = true, beyond = true },
}

local function run_case(line, profile, states)
  local doc = json.document(line)
  if json.kind(doc) ~= "object" then return "differ", "no JSON object", { id = "?" } end
  local run = doc.op and cases.answer or cases[profile]
  local ok, result, detail, case = pcall(run, line, states[doc.id])
  if not ok then return "differ", "no case that can be run: " .. tostring(result), { id = tostring(doc.id) } end
  return result, detail, case
end

local function read_states(path)
  local states = {}
  if not path then return states end
  local text, why = read(path)
  if not text then return nil, why end
  local number = 0
  for line in text:gmatch "[^\n]+" do
    number = number + 1
    local entry
    entry, why = json.decode(line)
    if type(entry) ~= "table" or type(entry.id) ~= "string" or type(entry.state) ~= "table" then
      return nil, ("%s:%d: %s"):format(path, number, why or "expected {\"id\":…,\"state\":{…}}")
    end
    states[entry.id] = entry.state
  end
  return states
end

local function check_cases(text, profile, states)
  local agree, differ, outside, kinds = 0, 0, 0, {}
  for line in text:gmatch "[^\n]+" do
    local result, detail, case = run_case(line, profile, states)
    kinds[result] = (kinds[result] or 0) + 1
    if result == "outside" then
      outside = outside + 1
      print(("%s: left out: %s"):format(case.id, detail))
    elseif agrees[profile][result] or result == "agree" then
      agree = agree + 1
    else
      differ = differ + 1
      print(("%s: %s"):format(case.id, detail))
    end
  end
  if profile == "repair" then
    print(("%d refusals repaired, %d refused still; %d accepted, %d of them go on as another request"):format(
      kinds.repaired or 0, kinds.refused or 0, (kinds.accepted or 0) + (kinds.changed or 0), kinds.changed or 0))
  end
  print(("%d agree, %d differ%s"):format(agree, differ, outside > 0 and (", %d left out"):format(outside) or ""))
  return differ > 0 and 1 or 0
end

-- ---- One request ----

local function verdict(message, field, status)
  if not message then return "accepted" end
  return ("refused: %d %s (%s)"):format(status, message, field)
end

--- What the policies make of a request, with the options that they have when nothing is configured.
local function apply_policies(doc, model)
  local wants_call = call_hint.is_wanted(doc)
  local c, refusal = repair.document(doc, { model = model, off = repair.off() })
  if refusal then return c.notes end
  if wants_call and doc.tool_choice == "auto" then
    call_hint.add(doc.messages, call_hint.usual)
    c:note "told the model to call a tool"
  end
  local rename = c.family.tool_ids == "functions" and tool_ids.to_functions or tool_ids.to_unique
  if rename(doc.messages) > 0 then c:note "renamed calls as the model wants them" end
  return c.notes
end

local function check_request(text, model)
  local _, message, field, status = gateway.text(text, { model = model })
  print("as it is: " .. verdict(message, field, status))
  local doc = body.read(text) or json.document(text)
  if json.kind(doc) ~= "object" then return 1 end
  for _, note in ipairs(apply_policies(doc, model)) do print("  " .. note) end
  local repaired = json.text(doc)
  _, message, field, status = gateway.text(repaired, { model = model })
  print("repaired: " .. verdict(message, field, status))
  if not message then print(repaired) end
  return message and 1 or 0
end

-- ---- Arguments ----

local flags = { ["--cases"] = "cases", ["--states"] = "states",
  ["--request"] = "request", ["--profile"] = "profile", ["--model"] = "model" }

local function main(...)
  local given, args = {}, { ... }
  local i = 1
  while i <= #args do
    local name, value = args[i]:match "^(%-%-%w+)=(.*)$"
    if not name then name, value, i = args[i], args[i + 1], i + 1 end
    if not flags[name] then return usage("unknown argument '%s', see `perilune help check`", name) end
    if not value or value == "" then return usage("%s takes a value", name) end
    given[flags[name]] = value
    i = i + 1
  end
  local profile = given.profile or "emulate"
  if not agrees[profile] then return usage("--profile takes emulate or repair, got '%s'", profile) end
  local text, why = read(given.cases or given.request)
  if not text then return usage("%s", why) end
  local states
  states, why = read_states(given.states)
  if not states then return usage("%s", why) end
  if given.cases then return check_cases(text, profile, states) end
  return check_request(text, given.model)
end

return main(...)
