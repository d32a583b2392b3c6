--- `perilune check` seen from outside: what it accepts, what it says, where values come from.
local build = os.getenv("PERILUNE_BUILD") or "build"

local folder

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

local function write(name, text, mode)
  local f = assert(io.open(folder .. "/" .. name, "w"))
  f:write(text)
  f:close()
  if mode then assert(os.execute("chmod " .. mode .. " " .. quote(folder .. "/" .. name))) end
end

--- Run the program in the folder with nothing but `env` in its environment.
---@return integer code, string out, string err
local function perilune(args, env)
  local words = { "cd", quote(folder), "&& env -i" }
  for name, value in pairs(env or {}) do words[#words + 1] = name .. "=" .. quote(value) end
  local program = build:sub(1, 1) == "/" and build or (os.getenv("PWD") .. "/" .. build)
  words[#words + 1] = quote(program .. "/perilune") .. " " .. args .. " >out 2>err </dev/null"
  local _, _, code = os.execute(table.concat(words, " "))
  local function all(name)
    local f = assert(io.open(folder .. "/" .. name))
    local text = f:read("a")
    f:close()
    return text
  end
  return code, all("out"), all("err")
end

--- The lines that are faults, without the warnings.
local function faults(err)
  local lines = {}
  for line in err:gmatch("[^\n]+") do
    if not line:find("^warning: ") then lines[#lines + 1] = line end
  end
  return lines
end

local function check(source, env, args)
  write("perilune.lua", source)
  return perilune("check " .. (args or ""), env)
end

describe("perilune check", function()
  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    assert(os.execute("mkdir -p " .. folder .. "/policies"))
    write("policies/weighted.lua", "return {}\n")
  end)
  after_each(function() os.execute("rm -rf " .. quote(folder)) end)

  it("accepts a configuration with two providers and a policy", function()
    local code, out = check([[
      return {
        providers = {
          { id = "openai", url = "https://api.openai.com/v1", key = secret "env:OPENAI_API_KEY" },
          { id = "local", url = "http://127.0.0.1:8000/v1/", models = { ["llama"] = {} }, max_concurrent = 8 },
        },
        policies = { "policies/weighted.lua" },
      }]], { OPENAI_API_KEY = "sk-0123456789abcdef" })
    assert.equal(0, code)
    assert.equal("perilune.lua: ok, 2 providers, 1 policies\n", out)
  end)

  it("says every fault at once, with its line and the nearest name", function()
    local code, _, err = check([[
return {
  lisen = "127.0.0.1:9000",
  workers = "four",
  providers = { { id = "a", url = "http://h/v1",
    weigth = 3 } },
}]])
    assert.equal(78, code)
    assert.same({
      "perilune.lua:2: unknown key 'lisen', did you mean 'listen'?",
      "perilune.lua:3: 'workers' must be a whole number from 0 to 1024, got \"four\"",
      "perilune.lua:5: unknown key 'weigth' in 'providers[1]', did you mean 'weight'?",
    }, faults(err))
  end)
end)
