--- The requests wrk sends: the kind comes from $KIND (1k, 64k or stream); the end prints one line for report.lua.
-- luacheck: globals wrk done
local kind = os.getenv("KIND")
local words = kind == "64k" and 5400 or 80

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer sk-bench"
wrk.body = ('{"model":"bench","stream":%s,"messages":[{"role":"user","content":"%s"}]}'):format(
  kind == "stream", ("lorem ipsum "):rep(words))

function done(summary, latency)
  local errors = summary.errors
  print(("wrk\t%d\t%.1f\t%.0f\t%.0f\t%d"):format(summary.requests,
    summary.requests / (summary.duration / 1e6), latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
