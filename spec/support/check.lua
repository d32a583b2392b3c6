--- check: `perilune check` in a folder of its own, with an environment of its own.
local cjson = require "cjson"

local build = os.getenv("PERILUNE_BUILD") or "build"

local check = {
  wallet = ("1"):rep(64),
  address = "gonka15wgtkntdf26hqan77g0kdsldcxjddypxvas6v2",
  canary = "sk-canary-9f86d081884c7d65",
}

local folder

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

--- Before each spec, and after it.
function check.open()
  folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -p " .. folder .. "/policies " .. folder .. "/conf"))
  check.write("policies/weighted.lua", "return {}\n")
end

function check.close() os.execute("rm -rf " .. quote(folder)) end

--- Where it is.
function check.folder() return folder end

--- A file in the folder, with the mode when one is given.
function check.write(name, text, mode)
  local f = assert(io.open(folder .. "/" .. name, "w"))
  f:write(text)
  f:close()
  if mode then assert(os.execute("chmod " .. mode .. " " .. quote(folder .. "/" .. name))) end
end

local function all(path)
  local f = assert(io.open(path))
  local text = f:read("a")
  f:close()
  return text
end
check.read = all

--- Run the program in the folder with nothing but `env` in its environment.
---@return integer code, string out, string err
function check.perilune(args, env)
  local words = { "cd", quote(folder), "&& env -i" }
  for name, value in pairs(env or {}) do words[#words + 1] = name .. "=" .. quote(value) end
  local program = build:sub(1, 1) == "/" and build or (os.getenv("PWD") .. "/" .. build)
  words[#words + 1] = quote(program .. "/perilune") .. " " .. args .. " >out 2>err </dev/null"
  local _, _, code = os.execute(table.concat(words, " "))
  return code, all(folder .. "/out"), all(folder .. "/err")
end

--- Check this text as perilune.lua.
function check.lua(source, env, args)
  check.write("perilune.lua", source)
  return check.perilune("check " .. (args or ""), env)
end

--- The lines that are faults, without the warnings.
function check.faults(err)
  local lines = {}
  for line in err:gmatch("[^\n]+") do
    if not line:find("^warning: ") then lines[#lines + 1] = line end
  end
  return lines
end

--- Load what there is, and give a function from a path to its value and origin (nil when it is not there).
function check.dump(env, args)
  local code, out, err = check.perilune("check --dump=json " .. (args or ""), env)
  if code ~= 0 then error(err, 2) end
  local entries = {}
  for _, entry in ipairs(cjson.decode(out)) do entries[entry.path] = entry end
  return function(path)
    local entry = entries[path]
    if entry then return entry.value, entry.origin end
  end
end

return check
