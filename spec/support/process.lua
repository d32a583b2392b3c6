--- process: child processes of a spec: started, watched by what they write, ended by their id.
local loop = require "spec.support.loop"

local process = {}
local Process = {}
Process.__index = Process

local running = {}

-- A spec file that fails half-way, or an interrupted run, must leave nothing behind: the interpreter's last act.
local guard = setmetatable({}, {
  __gc = function()
    for child in pairs(running) do os.execute("kill -KILL " .. child.pid .. " 2>/dev/null") end
  end,
})

local function quote(text) return "'" .. tostring(text):gsub("'", "'\\''") .. "'" end
process.quote = quote

local function read(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "a"
  file:close()
  return text
end
process.read = read

--- A directory of its own; removed by process.stop_all.
local directories = {}
function process.directory()
  local pipe = assert(io.popen("mktemp -d", "r"))
  local path = pipe:read "l"
  pipe:close()
  directories[#directories + 1] = path
  return path
end

--- Start a program.
--   argv      program and arguments
--   options   directory (for its output), environment (name → value)
function process.start(argv, options)
  options = options or {}
  local directory = options.directory or process.directory()
  local words = {}
  for name, value in pairs(options.environment or {}) do words[#words + 1] = quote(name .. "=" .. value) end
  for _, word in ipairs(argv) do words[#words + 1] = quote(word) end
  local self = setmetatable({ directory = directory, name = argv[1], guard = guard, read_to = 0, lines = {} }, Process)
  self.out_path, self.err_path = directory .. "/stdout", directory .. "/stderr"
  -- The inner shell becomes the program; the outer one waits for it and notes how it ended. Beside it another looks
  -- after this interpreter: one that was killed could not end its children.
  local inner = "exec env " .. table.concat(words, " ")
  local form = [[cd %s; {
    sh -c %s >%s 2>%s & child=$!
    echo $child >%s
    { while kill -0 $child; do kill -0 $PPID || kill -KILL $child; sleep 1; done; } &
    wait $child; echo $? >%s
  } </dev/null >/dev/null 2>&1 &]]
  local command = form:format(quote(options.cwd or "."), quote(inner), quote(self.out_path), quote(self.err_path),
    quote(directory .. "/pid"), quote(directory .. "/status"))
  assert(os.execute(command))
  self.pid = tonumber(loop.await("a process id of " .. argv[1], function()
    return (read(directory .. "/pid") or ""):match "^(%d+)\n"
  end))
  running[self] = true
  return self
end

--- The exit status once the program has ended (128 + n after signal n); nil before.
function Process:status()
  local status = tonumber((read(self.directory .. "/status") or ""):match "^(%d+)\n")
  if status then running[self] = nil end
  return status
end

function Process:is_running() return self:status() == nil end

function Process:stdout() return read(self.out_path) or "" end
function Process:stderr() return read(self.err_path) or "" end

--- Wait for its end.
function Process:wait(seconds)
  return loop.await(self.name .. " to end", function() return self:status() end, seconds)
end

--- New whole lines of its standard error since the last call, all of them in self.lines.
function Process:read_lines()
  local file = io.open(self.err_path, "rb")
  if not file then return {} end
  file:seek("set", self.read_to)
  local text, fresh = file:read "a", {}
  file:close()
  for line in text:gmatch "([^\n]*)\n" do
    fresh[#fresh + 1] = line
    self.lines[#self.lines + 1] = line
    self.read_to = self.read_to + #line + 1
  end
  return fresh
end

--- Wait for a line of its standard error; gives what `match(line)` gave.
function Process:await_line(what, match, seconds)
  local at = 1
  return loop.await(what, function()
    self:read_lines()
    while at <= #self.lines do
      local found = match(self.lines[at])
      at = at + 1
      if found then return found end
    end
    local status = self:status()
    if status then
      error(("%s ended with status %d while waiting for %s:\n%s%s"):format(self.name, status, what, self:stdout(),
        self:stderr()), 0)
    end
  end, seconds)
end

function Process:signal(name)
  if self:is_running() then os.execute(("kill -%s %d 2>/dev/null"):format(name, self.pid)) end
end

--- End it: politely, then not. Gives the exit status.
function Process:stop()
  if not self:is_running() then return self:status() end
  self:signal "TERM"
  local ok, status = pcall(self.wait, self, 10)
  if ok then return status end
  if type(status) ~= "string" then error(status, 0) end -- the run is over: not a matter of time
  self:signal "KILL"
  return self:wait(10)
end

--- Resident memory in KiB and open descriptors.
function Process:memory_kib()
  return tonumber((read("/proc/" .. self.pid .. "/status") or ""):match "VmRSS:%s*(%d+)")
end
function Process:descriptors()
  local pipe = assert(io.popen(("ls /proc/%d/fd 2>/dev/null | wc -l"):format(self.pid)))
  local count = tonumber(pipe:read "l")
  pipe:close()
  return count
end

--- End every process that a spec file started and remove its directories.
function process.stop_all()
  for child in pairs(running) do child:stop() end
  for _, path in ipairs(directories) do os.execute("rm -rf " .. quote(path)) end
  directories = {}
end

return process
