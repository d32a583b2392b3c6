--- The plainest client there is: what `curl -N` shows on a terminal.
local loop = require "spec.support.loop"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local frames = provider.frames

describe("curl -N", function()
  teardown(process.stop_all)

  local function curl(r, fields, ...)
    local argv = { "curl", "-sS", "-N", "--max-time", "20", "-H", "content-type: application/json", ... }
    argv[#argv + 1] = "-d"
    argv[#argv + 1] = router.chat_body(fields)
    argv[#argv + 1] = r.url .. "/chat/completions"
    return process.start(argv)
  end

  it("shows a stream byte for byte", router.test(function(start)
    local text = provider.stream_text({ "Hel", "lo" }, { usage = true })
    local r = start { providers = { router.provider("a", provider.start(provider.stream { text })) } }
    local child = curl(r, { stream = true })
    assert.equal(0, child:wait())
    assert.equal(text, child:stdout())
  end))

  it("shows each token when it comes", router.test(function(start)
    local release = {}
    local p = provider.start(provider.stream {
      frames.role, frames.token "Hel", provider.hold(release), frames.token "lo", frames.finish(), frames.done,
    })
    local child = curl(start { providers = { router.provider("a", p) } }, { stream = true })
    local first = frames.role .. frames.token "Hel"
    loop.await("the first token on the terminal", function() return child:stdout() == first end)
    assert.is_true(child:is_running())
    release.now = true
    assert.equal(0, child:wait())
    assert.matches("data: %[DONE%]\n\n$", child:stdout())
  end))

  it("shows a whole answer byte for byte, with headers that explain it", router.test(function(start)
    local text = provider.completion "Hello \u{1F319}\\u00e9" .. " \n"
    local r = start { providers = { router.provider("a", provider.start(provider.reply(200, text))) } }
    local child = curl(r, {}, "-D", "-")
    assert.equal(0, child:wait())
    local head, body = child:stdout():match "^(.-)\r\n\r\n(.*)$"
    head = head:lower()
    assert.equal(text, body)
    assert.matches("^http/1.1 200", head)
    for _, line in ipairs { "content%-type: application/json", "x%-request%-id: req_%x+", "x%-perilune%-provider: a",
      "x%-perilune%-model: m", "x%-perilune%-attempts: 1", "x%-perilune%-route: default",
      "x%-perilune%-overhead%-ms: [%d.]+" } do
      assert.matches("\n" .. line, head)
    end
  end))

  it("shows an error in the one shape there is", router.test(function(start)
    local r = start { providers = { router.provider("a", provider.dead_url(), { models = { "m" } }) } }
    local child = curl(r, { model = "other" }, "-o", "/dev/stderr", "-w", "%{http_code}")
    child:wait()
    assert.equal("404", child:stdout())
    assert.matches('^{"error":{"message":".-","type":"invalid_request_error","param":"model",'
      .. '"code":"model_not_found"}}$', child:stderr())
  end))
end)
