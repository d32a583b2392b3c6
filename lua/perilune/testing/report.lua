--- report: what a run says, as text, TAP or one line of JSON a test.
local json = require("perilune").json

local report = {}

local LOG_MAX, JOURNAL_MAX = 20, 20

local function line_of(file, number)
  if not number then return nil end
  local handle = io.open(file, "rb")
  if not handle then return nil end
  local at = 0
  for line in handle:lines() do
    at = at + 1
    if at == number then
      handle:close()
      return (line:gsub("^%s+", ""))
    end
  end
  handle:close()
end

local function spell_log(line)
  local members = {}
  for name, value in pairs(line) do
    if name ~= "ts" and name ~= "level" and name ~= "component" and name ~= "msg" and name ~= "request_id" then
      members[#members + 1] = name .. "=" .. (type(value) == "table" and json.encode(value) or tostring(value))
    end
  end
  table.sort(members)
  if #members > 0 then table.insert(members, 1, "") end
  return ("%-5s  %s%s"):format(line.level or "", line.msg or "", table.concat(members, "  "))
end

local function last_of(list, most, say)
  local out = {}
  if #list > most then out[1] = ("… %d before"):format(#list - most) end
  for i = math.max(1, #list - most + 1), #list do out[#out + 1] = say and say(list[i]) or list[i] end
  return out
end

local function place(result) return ("%s:%d"):format(result.file, result.at or result.line) end

-- ---- Text ----

local function indented(title, lines)
  if #lines == 0 then return end
  print("  " .. title)
  for _, line in ipairs(lines) do print("    " .. line) end
end

local text = {}

function text.result(result)
  if result.ok then return end
  print(("%s: %s"):format(place(result), result.name))
  print("  " .. result.message:gsub("\n", "\n  "))
  local source = line_of(result.file, result.at)
  if source then print("    " .. source) end
  indented("what happened:", last_of(result.journal, JOURNAL_MAX))
  indented("log:", last_of(result.log, LOG_MAX, spell_log))
  print()
end

function text.totals(passed, failed) print(("%d passed, %d failed"):format(passed, failed)) end

-- ---- TAP ----

local tap = { count = 0 }

function tap.begin() print "TAP version 13" end

function tap.result(result)
  tap.count = tap.count + 1
  print(("%s %d - %s"):format(result.ok and "ok" or "not ok", tap.count, result.name:gsub("[#\n]", " ")))
  if result.ok then return end
  print "  ---"
  print("  message: " .. json.encode(result.message))
  print("  at: " .. json.encode(place(result)))
  print "  ..."
end

function tap.totals(passed, failed)
  print("1.." .. tap.count)
  print(("# %d passed, %d failed"):format(passed, failed))
end

-- ---- JSON ----

local lines = {}

function lines.result(result)
  local told = { name = result.name, file = result.file, line = result.at or result.line, ok = result.ok }
  if not result.ok then
    told.message, told.journal = result.message, json.array(result.journal)
    told.log = json.array(result.log)
  end
  print(json.encode(told))
end

function lines.totals(passed, failed) print(json.encode { passed = passed, failed = failed }) end

report.formats = { text = text, tap = tap, json = lines }

return report
