--- What a repair changes it tells, and what is switched off it leaves alone: over all recorded requests, and our own.
local cases = require "perilune.cli.cases"
local gateway = require "perilune.gonka.rules.gateway"
local json = require("perilune").json
local repair = require "perilune.gonka.rules.repair"

local requests = {}
for _, name in ipairs { "gateway-cases", "rules-own-cases" } do
  for line in io.lines("spec/vectors/" .. name .. ".jsonl") do
    local case, text = json.decode(line), cases.body(line)
    local doc = text and json.document(text)
    if json.kind(doc) == "object" and type(case.model) == "string" then
      requests[#requests + 1] = { id = case.id, model = case.model, text = text }
    end
  end
end

-- What notes say of members that hold much: a word of theirs.
local spoken = {
  messages = { "message", "content", "call", "role", "result" },
  tools = { "tool" },
}

local function says(notes, name)
  for _, word in ipairs(spoken[name] or { name }) do
    if notes:find(word, 1, true) then return true end
  end
  return false
end

describe("a repair's notes", function()
  it("name every member that is not what the client sent", function()
    assert.is_true(#requests > 1200)
    local silent = {}
    for _, request in ipairs(requests) do
      local doc = json.document(request.text)
      local c, message = repair.document(doc, { model = request.model, off = repair.off() })
      -- Members of the envelope are named by it.
      if not message and not request.text:find('"extra_body"', 1, true) then
        local notes = table.concat(c.notes, "; ")
        local set, removed = cases.difference(request.text, doc)
        for name in pairs(removed) do set[name] = true end
        for name in pairs(set) do
          if not says(notes, name) then silent[#silent + 1] = ("%s: %s (%s)"):format(request.id, name, notes) end
        end
      end
    end
    assert.same({}, silent)
  end)

  it("are none when nothing was changed", function()
    local talkative = {}
    for _, request in ipairs(requests) do
      local doc = json.document(request.text)
      local c, message = repair.document(doc, { model = request.model, off = repair.off() })
      if not message and json.text(doc) == request.text and #c.notes > 0 then
        talkative[#talkative + 1] = request.id .. ": " .. repair.summary(c)
      end
    end
    assert.same({}, talkative)
  end)
end)

describe("rules that are off", function()
  it("change nothing, all of them", function()
    local off = repair.off()
    for _, rules in ipairs { gateway.rules, repair.rules } do
      for _, row in ipairs(rules) do off[row[1]] = true end
    end
    for _, request in ipairs(requests) do
      local doc = json.document(request.text)
      local c, message = repair.document(doc, { model = request.model, off = off })
      assert.is_nil(message, request.id)
      assert.equal(0, #c.notes, request.id)
      assert.equal(request.text, json.text(doc), request.id)
    end
  end)
end)
