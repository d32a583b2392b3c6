--- clients: the official JavaScript clients, installed once, run against an address.
local cjson = require "cjson"
local process = require "spec.support.process"

local clients = {}

local build = os.getenv "PERILUNE_BUILD" or "build"
local here = os.getenv "PWD"

--- Where they are installed; nil and the reason when they can not be had here.
function clients.directory()
  if clients.found == nil then
    local errors = os.tmpname()
    local pipe = assert(io.popen(("spec/support/npm.sh %s 2>%s"):format(process.quote(build), errors)))
    clients.found = pipe:read "l" or false
    pipe:close()
    clients.why = process.read(errors)
    os.remove(errors)
  end
  return clients.found or nil, clients.why
end

--- Make the calls of a plan, one after the other, in one program; gives what each saw.
function clients.run(url, plan)
  local directory = assert(clients.directory())
  local child = process.start({ "node", here .. "/spec/support/clients.mjs", url, cjson.encode(plan) },
    { cwd = directory })
  local status = child:wait(120)
  local seen = {}
  for line in child:stdout():gmatch "[^\n]+" do seen[#seen + 1] = cjson.decode(line) end
  if status ~= 0 or #seen ~= #plan then
    error(("the client program ended with status %d after %d of %d calls:\n%s"):format(status, #seen, #plan,
      child:stderr()), 2)
  end
  return seen
end

return clients
