--- Turns the samples run.sh collected into a table and a JSON file, or compares them with a baseline.
--   report.lua compare SAMPLES OUT      tables, and OUT in JSON
--   report.lua record SAMPLES OUT       instructions per request into OUT
--   report.lua gate SAMPLES BASELINE    fails when a request needs 3 % more instructions than BASELINE says
-- A sample is one line of tab-separated fields: what was measured, gateway, kind, figures.
local mode, samples_path, other_path = ...
local TOLERANCE = 0.03

local function median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  local middle = (#sorted + 1) / 2
  return (sorted[math.floor(middle)] + sorted[math.ceil(middle)]) / 2
end

-- samples[what][gateway][kind][column] is the list of that column's figures.
local samples, gateways = {}, {}
local function child(node, key)
  node[key] = node[key] or {}
  return node[key]
end
for line in io.lines(samples_path) do
  local fields = {}
  for field in line:gmatch("[^\t]+") do fields[#fields + 1] = field end
  if not gateways[fields[2]] then
    gateways[fields[2]] = true
    gateways[#gateways + 1] = fields[2]
  end
  local node = child(child(child(samples, fields[1]), fields[2]), fields[3])
  for i = 4, #fields do table.insert(child(node, i - 3), tonumber(fields[i])) end
end

-- The median of one column, or nil when nothing was measured.
local function figure(what, gateway, kind, column)
  local node = samples[what] and samples[what][gateway] and samples[what][gateway][kind]
  return node and node[column or 1] and median(node[column or 1])
end

local function cell(value, format) return value and format:format(value) or "-" end
local function scaled(value, by) return value and value / by end
local function ratio(a, b) return a and b and a / b end

local function json_of(value)
  if type(value) ~= "table" then
    return type(value) == "number" and ("%.10g"):format(value) or ("%q"):format(value)
  end
  local keys, parts = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do parts[#parts + 1] = ("%q: %s"):format(key, json_of(value[key])) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function write_json(path, value)
  local file <close> = assert(io.open(path, "w"))
  file:write(json_of(value), "\n")
end

local function read_instructions(path)
  local file <close> = assert(io.open(path))
  local found = {}
  for kind, count in file:read("a"):gmatch('"(%w+)":%s*(%d+)') do found[kind] = tonumber(count) end
  return found
end

local kinds = { { "1k", "1 KB chat" }, { "64k", "64 KB chat" }, { "stream", "50-chunk stream, 5 ms apart" } }

local function instructions()
  local found = {}
  for _, kind in ipairs(kinds) do found[kind[1]] = figure("instructions", "perilune", kind[1]) end
  return found
end

local function print_proxied()
  for _, kind in ipairs(kinds) do
    local id, title = kind[1], kind[2]
    print(("\n%-28s %10s %9s %9s %9s %8s %11s"):format(title, "CPU us/req", "req/s", "p50 ms", "p99 ms", "/nginx",
      "/nginx-lua"))
    for _, gateway in ipairs(gateways) do
      local cpu = scaled(figure("proxied", gateway, id), 1000)
      print(("  %-26s %10s %9s %9s %9s %8s %11s"):format(gateway, cell(cpu, "%.1f"),
        cell(figure("proxied", gateway, id, 2), "%.0f"),
        cell(scaled(figure("proxied", gateway, id, 3), 1000), "%.2f"),
        cell(scaled(figure("proxied", gateway, id, 4), 1000), "%.2f"),
        cell(ratio(cpu, scaled(figure("proxied", "nginx", id), 1000)), "%.2f"),
        cell(ratio(cpu, scaled(figure("proxied", "nginx-lua", id), 1000)), "%.2f")))
    end
  end
end

local function print_open()
  print(("\n%-28s %10s %9s %9s"):format("1 KB chat, CPU us/req while", "0 open", "2,000", "5,000"))
  for _, gateway in ipairs(gateways) do
    local row = {}
    for _, count in ipairs { 0, 2000, 5000 } do
      row[#row + 1] = cell(scaled(figure("open-" .. count, gateway, "1k"), 1000), "%.1f")
    end
    print(("  %-26s %10s %9s %9s"):format(gateway, table.unpack(row)))
  end
  print(("\n%-28s %10s %9s %9s %9s %9s %9s"):format("RSS, MB (KB per stream)", "idle", "2,000", "after", "5,000",
    "after", "start ms"))
  for _, gateway in ipairs(gateways) do
    local idle = figure("rss", gateway, "idle")
    local row = { cell(scaled(idle, 1024), "%.1f") }
    for _, count in ipairs { 2000, 5000 } do
      local open = figure("rss", gateway, "open-" .. count)
      row[#row + 1] = open and ("%.0f (%.1f)"):format(open / 1024, (open - idle) / count) or "-"
      row[#row + 1] = cell(scaled(figure("rss", gateway, "after-" .. count), 1024), "%.1f")
    end
    row[#row + 1] = cell(figure("start", gateway, "-"), "%.1f")
    print(("  %-26s %10s %9s %9s %9s %9s %9s"):format(gateway, table.unpack(row)))
  end
end

local function print_signatures()
  for _, bytes in ipairs { "1024", "65536" } do
    local plain = figure("signature", "perilune-signed", bytes)
    if plain then
      print(("\nsignature over %s bytes: %.1f us CPU, verified %.1f us"):format(bytes, plain,
        figure("signature", "perilune-signed", bytes, 2)))
    end
  end
end

-- What the columns of a sample are, where they are not those of a load.
local columns_of = { rss = { "kib" }, start = { "ms" }, signature = { "plain_us", "verified_us" } }

local function compare()
  print_proxied()
  print_open()
  print_signatures()
  local out = { gateways = {}, instructions = instructions() }
  for _, gateway in ipairs(gateways) do
    local all = child(out.gateways, gateway)
    for what, by_gateway in pairs(samples) do
      for kind, columns in pairs(by_gateway[gateway] or {}) do
        local place = child(child(all, what), kind)
        local names = columns_of[what] or { "cpu_ns", "per_second", "p50_us", "p99_us", "errors" }
        for i, name in ipairs(names) do place[name] = columns[i] and median(columns[i]) end
      end
    end
    all.instructions = nil
  end
  write_json(other_path, out)
  for _, kind in ipairs(kinds) do
    local count = out.instructions[kind[1]]
    if count then print(("\ninstructions per request, %s: %.0f"):format(kind[2], count)) end
  end
end

local function gate()
  local base, failed = read_instructions(other_path), false
  for _, kind in ipairs(kinds) do
    local now, was = instructions()[kind[1]], base[kind[1]]
    local change = now / was - 1
    print(("%-28s %10.0f instructions, baseline %.0f (%+.1f %%)"):format(kind[2], now, was, change * 100))
    if change > TOLERANCE then failed = true end
    if change < -TOLERANCE then print("  better than the baseline: record it with --record") end
  end
  if failed then
    io.stderr:write("a request costs more than the baseline allows\n")
    os.exit(1)
  end
end

if mode == "compare" then compare()
elseif mode == "record" then write_json(other_path, instructions())
else gate() end
