--- cases: recorded outcomes of the network's gateway, run against our rules.
-- A case is one line of JSON: a request and what the gateway made of it. What is long is written short, with objects
-- whose only member starts with `$`: $string, $repeat, $object, $nest.
local json = require("perilune").json
local answers = require "perilune.gonka.rules.answers"
local body = require "perilune.gonka.rules.body"
local gateway = require "perilune.gonka.rules.gateway"
local models = require "perilune.gonka.rules.models"
local network = require "perilune.gonka.rules.network"
local repair = require "perilune.gonka.rules.repair"
local words = require "perilune.gonka.rules.words"

local cases = {
  --- The release of which `expect_next` tells.
  newer = "v0.2.15",
}

local expand

local function numbered(value, i)
  if type(value) == "string" then return (value:gsub("%$i", tostring(i))) end
  if type(value) ~= "table" then return value end
  local copy = json.kind(value) == "array" and json.array {} or json.object {}
  for key, member in pairs(value) do copy[key] = numbered(member, i) end
  return copy
end

local function filled(wrap, inner)
  if wrap == "$hole" then return inner end
  if type(wrap) ~= "table" then return wrap end
  local copy = json.kind(wrap) == "array" and json.array {} or json.object {}
  for key, member in pairs(wrap) do copy[key] = filled(member, inner) end
  return copy
end

local forms = {
  ["$string"] = function(spec)
    return (spec.prefix or "") .. (spec.ch or "a"):rep(spec.n) .. (spec.suffix or "")
  end,
  ["$object"] = function(spec)
    local object = json.object {}
    for key, value in pairs(spec.base or {}) do object[key] = expand(value) end
    for i = 0, spec.n - 1 do object[(spec.key or "k") .. i] = numbered(expand(spec.value), i) end
    return object
  end,
  ["$nest"] = function(spec)
    local value = expand(spec.leaf)
    local wrap = expand(spec.wrap)
    for _ = 1, spec.n do value = filled(wrap, value) end
    return value
  end,
}

local function expand_list(list)
  local out = json.array {}
  for _, item in ipairs(list) do
    local spec = type(item) == "table" and item["$repeat"]
    if spec then
      for i = 0, spec.n - 1 do out[#out + 1] = numbered(expand(spec.item), i) end
    else
      out[#out + 1] = expand(item)
    end
  end
  return out
end

--- A value with its `$` forms written out.
function expand(value)
  if type(value) ~= "table" then return value end
  if json.kind(value) == "array" then return expand_list(value) end
  for name, form in pairs(forms) do
    if value[name] ~= nil then return form(value[name]) end
  end
  local object = json.object {}
  for key, member in pairs(value) do object[key] = expand(member) end
  return object
end
cases.expand = expand

--- The body a case sends; nil when it sends none.
---@param line string the case
---@return string?
function cases.body(line)
  local doc = assert(json.document(line))
  if doc.request ~= nil then
    local text = json.text(doc.request)
    if not text:find('"$', 1, true) then return text end
    return json.encode(expand(json.table(doc.request)))
  end
  local raw = doc.request_raw
  if raw == nil or raw == json.null then return nil end
  return type(raw) == "string" and raw or expand(json.table(raw))
end

-- What only the state of the network decides, and what a case would have to say of it.
local unsaid = {
  ["$path"] = "the path", authorization = "the path and its key", ["$limiter"] = "the load",
  ["$runtime"] = "which shards take work", ["$phase"] = "the chain's phase",
  ["$race"] = "how the race ended", ["$stream"] = "how the race ended",
}

--- Why a case can not be told from what it says; nil when it can. `env` of the case, or a state from elsewhere, says
--- what no request shows.
---@param case table
---@param state? table
---@return string?
function cases.outside(case, state)
  local what = unsaid[case.expect.field]
  if what and not case.env and not state then
    return ("no member says %s, only its note: %s"):format(what, case.note or "")
  end
end

-- The gateway writes a request anew, so the notation of numbers and halves of surrogate pairs count as changes.
local function is_same(a, b)
  if type(a) ~= type(b) then return false end
  if type(a) == "number" then return a == b and math.type(a) == math.type(b) end
  if not json.same(a, b) then return false end
  return type(a) ~= "userdata" or a == json.null or json.text(a) == json.text(b)
    or not json.text(a):find("\\u[dD][89a-fA-F]")
end

--- Top-level members that differ: set to something else, and taken away.
---@param before string
---@param after perilune.json.node
---@return table set, table removed
function cases.difference(before, after)
  local input = json.document(before)
  local set, removed, was = {}, {}, {}
  if json.kind(input) == "object" then
    for name, value in pairs(input) do was[name] = value end
  end
  for name, value in pairs(after) do
    if was[name] == nil or not is_same(was[name], value) then set[name] = value end
  end
  for name in pairs(was) do
    if after[name] == nil then removed[name] = true end
  end
  return set, removed
end

local forced = { "logprobs", "top_logprobs", "return_token_ids" }

--- Members the cases leave out unless they are about them.
local function forget_usual(set, expected, text, is_newer)
  for _, name in ipairs(forced) do
    if expected.set == nil or (expected.set.top_logprobs == nil and expected.set[name] == nil) then set[name] = nil end
  end
  local sent = json.document(text)
  local is_object = json.kind(sent) == "object"
  local wanted = expected.set or {}
  if set.max_tokens == 3072 and not (is_object and sent.max_completion_tokens ~= nil) and wanted.max_tokens == nil then
    set.max_tokens = nil
  end
  if is_newer and set.min_tokens == 64 and wanted.min_tokens == nil and not (is_object and sent.min_tokens ~= nil) then
    set.min_tokens = nil
  end
end

local function names(t)
  local list = {}
  for name in pairs(t) do list[#list + 1] = name end
  table.sort(list)
  return table.concat(list, ", ")
end

local function as_set(list)
  local set = {}
  for _, name in ipairs(type(list) == "table" and list or { list }) do set[name] = true end
  return set
end

local function compare_output(expect, text, doc, is_newer)
  local expected = expect.output or {}
  local set, removed = cases.difference(text, doc)
  forget_usual(set, expected, text, is_newer)
  if names(removed) ~= names(as_set(expected.removed or {})) then
    return ("removed {%s}, expected {%s}"):format(names(removed), names(as_set(expected.removed or {})))
  end
  if names(set) ~= names(expected.set or {}) then
    return ("set {%s}, expected {%s}"):format(names(set), names(expected.set or {}))
  end
  for name, value in pairs(set) do
    if not json.same(value, expected.set[name]) then
      return ("%s is %s, expected %s"):format(name, json.encode(value), json.encode(expected.set[name]))
    end
  end
  local action = next(set) and "rewrite" or next(removed) and "strip" or "pass"
  if action ~= expect.action then return ("action %s, expected %s"):format(action, expect.action) end
  for name in pairs(removed) do set[name] = true end
  if names(set) ~= names(as_set(expect.field)) then
    return ("changed {%s}, expected {%s}"):format(names(set), names(as_set(expect.field)))
  end
end

local function settings(case, release)
  return { default_model = case.model, is_admin = case.admin_key == true, is_exact = true, release = release }
end

--- What a pool serves where a case does not say it: the network's models, and the one that stands in for none.
local function served(case)
  local list, has_own = {}, models.known[case.model] ~= nil
  for id in pairs(models.known) do list[#list + 1] = id end
  if case.model and not has_own then list[#list + 1] = case.model end
  table.sort(list)
  return list
end

--- What the gateway of a release makes of a case. gives the document that goes on, or nil and what the client hears
local function outcome(case, text, state, release)
  local status, message, field = network.before(state)
  if status then return nil, status, message, field end
  if text == nil then return nil, 400, "request body is required", "$body" end
  local doc
  doc, message, field, status = gateway.text(text, settings(case, release))
  if not doc then return nil, status, message, field end
  local model = type(doc.model) == "string" and words.trim(doc.model) or ""
  if model == "" then model = case.model end
  local whole = setmetatable({ models = state.models or model and served(case) }, { __index = state })
  local is_done
  status, message, field, is_done = network.after(whole,
    { model = model, stream = doc.stream == true, bytes = #text })
  if status then return nil, status, message, field, is_done end
  return doc
end

local function compare(case, expect, text, state, release)
  local doc, status, message, field, is_done = outcome(case, text, state, release)
  if (status or 200) ~= expect.status or (message ~= nil) ~= (expect.message_contains ~= nil) then
    return ("%d %s, expected %d %s"):format(status or 200, message or "accepted", expect.status,
      expect.message_contains or "accepted")
  end
  if doc then
    return compare_output(expect, case.request_raw and text:match "^%s*(.-)%s*trailing$" or text, doc, release ~= nil)
  end
  local action = status == 200 and "sse_error" or "reject"
  if field ~= expect.field or action ~= expect.action or not message:find(expect.message_contains, 1, true) then
    return ("%s about %s, expected %s about %s"):format(message, field, expect.message_contains,
      json.encode(expect.field))
  end
  if is_done ~= expect.done then return "the stream ends otherwise" end
end

--- Run a request case as the gateway would; where it says what a newer release does, as that one, too.
---@param line string
---@param state? table of rules.network, for what the case says in words only
---@return "agree"|"differ"|"outside"
---@return string detail
---@return table case
function cases.emulate(line, state)
  local case = assert(json.decode(line, { nulls = true }))
  if case.model == json.null then case.model = nil end
  local outside = cases.outside(case, state)
  if outside then return "outside", outside, case end
  local text = cases.body(line)
  state = state or case.env or {}
  local why = compare(case, case.expect, text, state)
  if not why and case.expect_next then
    why = compare(case, case.expect_next, text, state, cases.newer)
    if why then why = cases.newer .. ": " .. why end
  end
  return why and "differ" or "agree", why or case.expect.action, case
end

--- Repair the request of a case, then ask the gateway.
---@param line string
---@param state? table as for emulate
---@return "accepted"|"repaired"|"refused"|"broken"|"changed"|"beyond"|"outside" result
---   accepted, and the network would make the same of it · repaired: it was refused · refused before and after ·
---   broken: only the repaired one is refused · changed: the network would make something else of it
---@return string detail
---@return table case
function cases.repair(line, state)
  local case = assert(json.decode(line))
  if case.model == json.null then case.model = nil end
  local outside = cases.outside(case, state)
  if outside then return "outside", outside, case end
  if unsaid[case.expect.field] then return "beyond", case.expect.field, case end
  local text, was_accepted = cases.body(line), case.expect.status == 200
  local doc = text and #text <= body.max_bytes and (body.read(text) or json.document(text)) or nil
  if json.kind(doc) ~= "object" then return "refused", case.expect.message_contains, case end
  local options = settings(case)
  options.off = repair.off()
  local c, message = repair.document(doc, options)
  local after
  if not message then after, message = gateway.text(json.text(doc), settings(case)) end
  if message then return was_accepted and "broken" or "refused", message, case end
  if not was_accepted then return "repaired", repair.summary(c), case end
  local before = gateway.text(text, settings(case))
  if json.same(before, after) then return "accepted", repair.summary(c), case end
  return "changed", repair.summary(c), case
end

-- ---- Answers ----

local operations = {
  classify = function(case) return answers.classify(case.input) end,
  rewrite = function(case) return { output = answers.rewrite(case.input) } end,
  strip = function(case)
    local doc = json.document(case.input)
    if json.kind(doc) == "object" and answers.strip(doc) then return { output = json.text(doc) } end
    return { output = case.input }
  end,
  cache = function(case) return { cacheable = answers.is_cached(case.status, case.input) } end,
  assemble = function(case) return { output = answers.assemble(case.input) } end,
  ctxlen = function(case)
    local limit, requested = answers.context_limit(case.input)
    return { context_limit = limit, total_requested = requested }
  end,
}

--- Events that hold the same values in the same order. The gateway sorts members; we do not compare that.
local function is_same_stream(a, b)
  if a == b then return true end
  local function events(text)
    local list = {}
    for data in text:gmatch "data:%s*([^\n]*)\n\n" do list[#list + 1] = data end
    return list
  end
  local ours, theirs = events(a), events(b)
  for i = 1, math.max(#ours, #theirs) do
    local x, y = json.document(ours[i] or ""), json.document(theirs[i] or "")
    if not x or not y then return false end
    if not json.same(x, y) then return false end
  end
  return #ours > 0
end

--- Run a case about an answer.
---@param line string
---@return "agree"|"differ" result
---@return string detail
---@return table case
function cases.answer(line)
  local case = assert(json.decode(line))
  local ours = operations[case.op](case)
  for name, expected in pairs(case.expect) do
    local value = ours[name]
    local is_agreed = value == expected or case.op == "rewrite" and is_same_stream(value, expected)
    if not is_agreed then
      return "differ", ("%s is %s, expected %s"):format(name, json.encode(value == nil and json.null or value),
        json.encode(expected)), case
    end
  end
  return "agree", case.op, case
end

return cases
