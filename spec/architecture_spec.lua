-- The shape of the source tree, held: who includes whom, what is exported, and that every function C gives to Lua is
-- described in lua/perilune/_meta and exercised by a spec.
local peri = require "perilune"

local build = os.getenv("PERILUNE_BUILD")

local function lines_of(command)
  local lines = {}
  local pipe = assert(io.popen(command))
  for line in pipe:lines() do lines[#lines + 1] = line end
  assert(pipe:close(), command)
  return lines
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function read_all(pattern)
  local texts = {}
  for _, path in ipairs(lines_of("ls " .. pattern)) do texts[#texts + 1] = read(path) end
  return table.concat(texts, "\n")
end

local layers = { "base", "net", "crypto", "core", "script", "app" }
local rank = {}
for i, layer in ipairs(layers) do rank[layer] = i end

--- calls visit(path, layer, header, is_ours) for every include of every C file
local function each_include(visit)
  for _, path in ipairs(lines_of("find runtime -mindepth 2 -name '*.[ch]'")) do
    local layer = path:match("^runtime/(%w+)/")
    for open, header in read(path):gmatch('#include ([<"])([^>"]+)[>"]') do visit(path, layer, header, open == '"') end
  end
end

describe("the tree", function()
  it("has nothing at its top but what belongs there", function()
    local listed = lines_of("git ls-files 2>/dev/null | cut -d/ -f1 | sort -u")
    if #listed == 0 then
      print("skipped: this is no working copy of the repository")
      return
    end
    local belongs = { ["CMakeLists.txt"] = true, ["README.md"] = true, LICENSE = true, ["SECURITY.md"] = true,
      runtime = true, lua = true, policies = true, examples = true, spec = true }
    for _, name in ipairs(listed) do assert.is_true(belongs[name] or name:sub(1, 1) == ".", name) end
  end)
end)

describe("the layers", function()
  it("include only what stands to their left", function()
    local count, wrong = 0, {}
    each_include(function(path, layer, header, is_ours)
      local target = is_ours and header:match("^(%w+)/")
      if not target then return end
      count = count + 1
      if not rank[target] or rank[target] > rank[layer] then wrong[#wrong + 1] = path .. ": " .. header end
    end)
    assert.is_true(count > 50)
    assert.same({}, wrong)
  end)

  it("keep each library to one layer", function()
    local owners = { { "^uv%.h", "net" }, { "^uv/", "net" }, { "^curl/", "net" }, { "^http_parser", "net" },
      { "^llhttp", "net" }, { "^openssl/", "crypto" }, { "^secp256k1", "crypto" }, { "^nettle/", "crypto" },
      { "^lua", "script" }, { "^lauxlib", "script" }, { "^lualib", "script" } }
    local wrong = {}
    each_include(function(path, layer, header, is_ours)
      if is_ours then return end
      for _, owner in ipairs(owners) do
        if header:match(owner[1]) and layer ~= owner[2] then wrong[#wrong + 1] = path .. ": " .. header end
      end
    end)
    assert.same({}, wrong)
  end)

  it("keep Lua, the event library and ours out of the installed header", function()
    for header in read("runtime/perilune.h"):gmatch("#include ([^\n]+)") do
      assert.matches("^<std%w+%.h>$", header)
    end
  end)
end)

describe("the library", function()
  it("exports names of ours only", function()
    local names = lines_of(("nm -D --defined-only %s/libperilune.so | awk '{print $3}'"):format(build))
    assert.is_true(#names > 2)
    for _, name in ipairs(names) do assert.matches("^peri_", name) end
  end)

  it("exports one name to an interpreter", function()
    assert.same({ "luaopen_perilune" },
      lines_of(("nm -D --defined-only %s/lua/perilune.so | awk '{print $3}'"):format(build)))
  end)

  it("has no mutable globals", function()
    -- What the sanitizers add to an object is theirs.
    local found = lines_of(("objdump -t %s/libperilune.a | " ..
      "awk '/ O \\.(data|bss)/ && !/rel\\.ro/ {print $NF}' | grep -v -E 'asan|ubsan|sanitizer|LASAN|Lubsan' || true")
      :format(build))
    assert.same({}, found)
  end)
end)

--- the set of "parent.name" of every function below the module table
local function walk(module)
  local found = {}
  local function visit(value, name, parent)
    if type(value) == "function" then found[parent .. "." .. name] = true end
    if type(value) ~= "table" then return end
    for key, member in pairs(value) do
      if type(key) == "string" and key:match("^%a") then visit(member, key, name) end
    end
  end
  visit(module, "peri", "")
  return found
end

-- The same walk inside a sandbox, which gives only text back.
local sandboxed_walk = [[
local found = {}
local function visit(value, name, parent)
  if type(value) == "function" then found[#found + 1] = parent .. "." .. name end
  if type(value) ~= "table" then return end
  for key, member in pairs(value) do
    if type(key) == "string" and key:match("^%a") then visit(member, key, name) end
  end
end
visit(require "perilune", "peri", "")
return table.concat(found, " ")
]]

describe("what C gives to Lua", function()
  local functions = walk(peri)
  for name in assert(peri.sandbox.run(sandboxed_walk)):gmatch("%S+") do functions[name] = true end

  it("is described in lua/perilune/_meta", function()
    local meta = read_all("lua/perilune/_meta/*.lua")
    local missing = {}
    for name in pairs(functions) do
      local is_there = meta:find("function " .. name .. "(", 1, true) or
        meta:find("function peri." .. name .. "(", 1, true)
      if not is_there then missing[#missing + 1] = name end
    end
    table.sort(missing)
    assert.same({}, missing)
  end)

  it("is exercised by a spec, or by a module that specs run", function()
    local specs = read_all("spec/*_spec.lua spec/support/*.lua lua/perilune/simnet/*.lua")
    local missing = {}
    for name in pairs(functions) do
      local is_looped = name:match("^log%.") or name:match("^hash%.") -- spec/script_spec.lua builds their names
      if not is_looped and not specs:find(name, 1, true) then missing[#missing + 1] = name end
    end
    table.sort(missing)
    assert.same({}, missing)
  end)

  it("is found by this spec at all", function()
    assert.is_true(functions["peri.sleep"] and functions["log.info"] and functions["shared.add"])
    assert.is_true(functions["peri.run"], "trusted functions are walked, too")
  end)
end)
