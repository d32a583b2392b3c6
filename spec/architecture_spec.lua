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

-- The rooms of runtime/ in their order, each with the rooms it includes: only ones that stand before it.
local rooms = {
  { "base" },
  { "dialect", "base" },
  { "crypto", "base" },
  { "net", "base", "dialect" },
  { "config", "base", "dialect", "crypto", "net" },
  { "fleet", "base", "dialect", "crypto", "net", "config" },
  { "gonka", "base", "crypto", "net", "config", "fleet" },
  { "request", "base", "dialect", "crypto", "net", "config", "fleet" },
  { "router", "base", "dialect", "crypto", "net", "config", "fleet", "gonka", "request" },
  { "script", "base", "dialect", "crypto", "net", "config", "fleet", "gonka", "request", "router" },
  { "app", "base", "crypto", "net", "gonka", "router", "script" },
}
-- Folders of a room that include each other in one direction only: { from, to } is forbidden.
local closed_doors = {
  { "net", "net/server" }, { "net", "net/client" }, { "net/server", "net/client" }, { "net/client", "net/server" },
  { "gonka/chain", "gonka" },
}
-- What knows a network by its name: the line that registers it, and what plays a network's part or makes its keys.
local named = { "runtime/app/cmd_account.c", "runtime/router/networks.c", "runtime/script/bind/bind_crypto.c" }

local rank, includes = {}, {}
for i, room in ipairs(rooms) do
  rank[room[1]], includes[room[1]] = i, { [room[1]] = true }
  for k = 2, #room do includes[room[1]][room[k]] = true end
end

--- a test may include any room before its own, and what other tests are made with
local function is_test(path)
  return path:match("_test%.[ch]$") or path:match("_fuzz%.c$") or path:match("/test[%w_]*%.h$") or
    path:match("_rig%.h$")
end

--- calls visit(path, room, header, is_ours) for every include of every C file
local function each_include(visit)
  for _, path in ipairs(lines_of("find runtime -mindepth 2 -name '*.[ch]'")) do
    local room = path:match("^runtime/(%w+)/")
    for open, header in read(path):gmatch('#include ([<"])([^>"]+)[>"]') do visit(path, room, header, open == '"') end
  end
end

local function folder_of(path) return path:match("^(.*)/[^/]+$") end

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

describe("the rooms", function()
  it("include only rooms that stand before them, and of those what is written here", function()
    local count, wrong = 0, {}
    each_include(function(path, room, header, is_ours)
      local target = is_ours and header:match("^(%w+)/")
      if not target then return end
      count = count + 1
      local is_before = rank[target] and rank[target] <= rank[room]
      if not (is_before and (includes[room][target] or is_test(path))) then
        wrong[#wrong + 1] = path .. ": " .. header
      end
    end)
    assert.is_true(count > 50)
    assert.same({}, wrong)
  end)

  it("are used as they are written here", function()
    local used, unused = {}, {}
    each_include(function(path, room, header, is_ours)
      local target = is_ours and header:match("^(%w+)/")
      if target and not is_test(path) then used[room .. " " .. target] = true end
    end)
    for _, room in ipairs(rooms) do
      for k = 2, #room do
        local arrow = room[1] .. " " .. room[k]
        if not used[arrow] then unused[#unused + 1] = arrow end
      end
    end
    assert.same({}, unused)
  end)

  it("keep their folders apart", function()
    local wrong = {}
    each_include(function(path, _, header, is_ours)
      if not is_ours or is_test(path) then return end
      for _, door in ipairs(closed_doors) do
        if folder_of(path) == "runtime/" .. door[1] and folder_of(header) == door[2] then
          wrong[#wrong + 1] = path .. ": " .. header
        end
      end
    end)
    assert.same({}, wrong)
  end)

  it("are what the build takes its sources from, in this order", function()
    local names = {}
    for i = 1, #rooms - 1 do names[i] = rooms[i][1] end
    assert.matches("set(ROOMS " .. table.concat(names, " ") .. ")", read "CMakeLists.txt", 1, true)
    local folders = lines_of("find runtime -mindepth 1 -maxdepth 1 -type d -printf '%f\\n'")
    assert.equal(#rooms, #folders)
    for _, folder in ipairs(folders) do assert.truthy(rank[folder], folder) end
  end)

  it("know a network by its name in few places", function()
    local found, seen = {}, {}
    each_include(function(path, room, header, is_ours)
      if is_ours and room ~= "gonka" and header:match("^gonka/") and not is_test(path) and not seen[path] then
        seen[path] = true
        found[#found + 1] = path
      end
    end)
    table.sort(found)
    assert.same(named, found)
  end)

  it("write the end of a stream and the shape of an error in one place each", function()
    local places = { ['"%[DONE%]'] = "dialect/stream.h", ['{\\"error\\":{\\"message'] = "dialect/error.c" }
    for needle, place in pairs(places) do
      local found = {}
      for _, path in ipairs(lines_of("find runtime -name '*.[ch]'")) do
        if not is_test(path) and not path:match("fuzz") and read(path):find(needle) then found[#found + 1] = path end
      end
      assert.same({ "runtime/" .. place }, found)
    end
  end)

  it("keep each library to one of them", function()
    local owners = { { "^uv%.h", "net" }, { "^uv/", "net" }, { "^curl/", "net" }, { "^http_parser", "net" },
      { "^zlib%.h", "net" }, { "^zstd", "net" }, { "^brotli/", "net" },
      { "^llhttp", "net" }, { "^openssl/", "crypto" }, { "^secp256k1", "crypto" }, { "^nettle/", "crypto" },
      { "^lua", "script" }, { "^lauxlib", "script" }, { "^lualib", "script" } }
    local wrong = {}
    each_include(function(path, room, header, is_ours)
      if is_ours then return end
      for _, owner in ipairs(owners) do
        if header:match(owner[1]) and room ~= owner[2] then wrong[#wrong + 1] = path .. ": " .. header end
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
