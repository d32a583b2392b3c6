--- Answers that spent tokens and say nothing: asked for once more, differently, where a policy minds.
local cjson = require "cjson"
local process = require "spec.support.process"
local provider = require "spec.support.provider"
local router = require "spec.support.router"

local frames = provider.frames
local here = os.getenv "PWD"
local kimi = "moonshotai/Kimi-K2.6"

local function usage_of(tokens) return { prompt_tokens = 5, completion_tokens = tokens, total_tokens = 5 + tokens } end

--- An answer without a word, streamed or not as the request asks; `tokens` were spent on it.
local function silent(tokens, options)
  options = options or {}
  local function usage_frame()
    return (frames.usage:gsub('"completion_tokens":2', '"completion_tokens":' .. tokens))
  end
  return function(c, request)
    if request.json.stream then
      local script = { frames.role, frames.finish(options.reason or "length") }
      if request.json.stream_options and request.json.stream_options.include_usage then
        script[#script + 1] = usage_frame()
      end
      if not options.no_done then script[#script + 1] = frames.done end
      return provider.stream(script)(c, request)
    end
    provider.reply(200, cjson.encode {
      object = "chat.completion", usage = usage_of(tokens), choices = { {
        index = 0, finish_reason = options.reason or "length",
        message = { role = "assistant", content = options.content or cjson.null,
          reasoning_content = options.reasoning },
      } },
    })(c, request)
  end
end

local function start_with(start, providers, policies, files, route)
  local list = {}
  for i, p in ipairs(providers) do
    -- What policies make of it is told here; what the router does by itself, in stream_shapes_spec.
    list[i] = router.provider("p" .. i, p, { models = { kimi, "other" }, tier = i, empty_answers = "pass" })
  end
  local config = { policy = { budget = "10s" }, providers = list, policies = {}, route = route } -- a busy machine
  for i, name in ipairs(policies) do
    config.policies[i] = name:find "/" and name or { file = here .. "/policies/" .. name .. ".lua",
      options = name:find "^gonka_" and { networks = {} } or nil }
  end
  return start(config, files)
end

describe("an answer that spent its tokens on nothing", function()
  teardown(process.stop_all)

  for _, stream in ipairs { false, true } do
    local how = stream and "streamed" or "whole"
    for route, policies in pairs {
      ["the built-in route"] = { "gonka_answers" },
      ["policies/weighted.lua"] = { "gonka_answers", "weighted" },
      ["policies/fallback.lua"] = { "gonka_answers", "fallback" },
      ["policies/gonka.lua"] = { "gonka_answers", "gonka" },
    } do
      it(("is asked for once more, differently, by %s: %s"):format(route, how), router.test(function(start)
        local p = provider.start()
        p:next(silent(3072))
        local r = start_with(start, { p }, policies)
        local answer = r:chat { model = kimi, stream = stream, seed = 7 }
        assert.equal(200, answer.status, answer.body)
        assert.equal("2", answer.headers["x-perilune-attempts"])
        local text = stream and router.read_stream(answer.body).text or answer.json.choices[1].message.content
        assert.equal("Hello there.", text)
        assert.is_nil(answer.body:find("length", 1, true), "a piece of the first answer reached the client")
        assert.equal(2, #p.requests)
        local first, second = p.requests[1].json, p.requests[2].json
        assert.equal(7, first.seed)
        assert.is_nil(first.thinking_token_budget)
        assert.equal(0, second.thinking_token_budget)
        assert.is_false(second.chat_template_kwargs.thinking)
        assert.equal(4096, second.max_tokens)
        assert.is_true(second.seed ~= 7)
      end))
    end
  end

  it("leaves what was spent in the log, and to `done`", router.test(function(start)
    local p = provider.start()
    p:next(silent(3072))
    local r = start_with(start, { p }, { "gonka_answers", "./observe.lua" }, { ["observe.lua"] = [[
      local peri = require "perilune"
      return { done = function(_, o)
        peri.log.info("seen", { out = o.output_tokens, lost_in = o.discarded_input_tokens,
          lost_out = o.discarded_output_tokens })
      end }
    ]] })
    r:chat { model = kimi, stream = true }
    local line = r:await_requests(1)[1]
    assert.equal(2, line.attempts)
    assert.equal(2, line.out_tokens)
    assert.equal(3072, line.discarded_out_tokens)
    assert.equal(5, line.discarded_in_tokens)
    local failed = r:log("attempt failed")[1]
    assert.equal("EEMPTY", failed.error)
    assert.equal(3072, failed.out_tokens)
    assert.equal(line.request_id, failed.request_id)
    local seen = r:log("seen")[1]
    assert.same({ 2, 5, 3072 }, { seen.out, seen.lost_in, seen.lost_out })
  end))

  it("is no fault of the provider's", router.test(function(start)
    local p, other = provider.start(), provider.start()
    p:next(silent(9))
    local r = start_with(start, { p, other }, { "gonka_answers" })
    for _ = 1, 2 do assert.equal("p1", r:chat({ model = kimi }).headers["x-perilune-provider"]) end
    assert.equal(0, #other.requests)
  end))

  it("is asked for again only once: the second goes to the client as it is", router.test(function(start)
    local p = provider.start(silent(3072))
    local r = start_with(start, { p }, { "gonka_answers", "weighted" })
    local whole = r:chat { model = kimi }
    assert.equal(200, whole.status)
    assert.equal("length", whole.json.choices[1].finish_reason)
    assert.equal(3072, whole.json.usage.completion_tokens)
    local streamed = r:stream { model = kimi }
    assert.is_true(streamed.stream.done)
    assert.equal("", streamed.stream.text)
    assert.equal(4, #p.requests)
  end))

  it("is known by its reasoning and blanks alone, while nobody has seen them", router.test(function(start)
    local p = provider.start()
    p:next(silent(3072, { content = "\n\n ", reasoning = "hm", reason = "stop" }))
    local r = start_with(start, { p }, { "gonka_answers" })
    assert.equal("Hello there.", r:chat({ model = kimi }).json.choices[1].message.content)
    assert.equal(2, #p.requests)
  end))

  it("is known when it comes whole where a stream was asked for", router.test(function(start)
    local p = provider.start()
    local whole = cjson.encode { object = "chat.completion", usage = usage_of(9), choices = { {
      index = 0, finish_reason = "length", message = { role = "assistant", content = "" } } } }
    p:next(provider.stream { "data: " .. whole .. "\n\n", frames.done }, provider.tokens { "a" },
      provider.reply(200, whole), provider.tokens { "b" })
    local r = start_with(start, { p }, { "gonka_answers" })
    assert.equal("a", r:stream({ model = kimi }).stream.text)
    assert.equal("b", r:stream({ model = kimi }).stream.text)
  end))

  it("is asked for again within the limit that the client names", router.test(function(start)
    local p = provider.start()
    p:next(silent(100))
    local r = start_with(start, { p }, { "gonka_answers" })
    r:chat { model = kimi, max_completion_tokens = 100 }
    assert.is_nil(p.requests[2].json.max_tokens)
    assert.equal(100, p.requests[2].json.max_completion_tokens)
    assert.is_true(p.requests[1].body ~= p.requests[2].body)
  end))

  it("works together with the rules of the network, in either order", router.test(function(start)
    for _, policies in ipairs { { "gonka_answers", "gonka_rules" }, { "gonka_rules", "gonka_answers" } } do
      local p = provider.start()
      p:next(silent(3072))
      local r = start_with(start, { p }, policies)
      assert.equal(200, r:chat({ model = kimi, stream = true }).status)
      assert.equal(1536, p.requests[1].json.thinking_token_budget)
      assert.equal(0, p.requests[2].json.thinking_token_budget)
      assert.equal(4096, p.requests[2].json.max_tokens)
      assert.is_true(p.requests[1].json.stream_options.include_usage)
    end
  end))

  it("goes to the client where no policy minds", router.test(function(start)
    local p = provider.start(silent(9))
    local r = start_with(start, { p }, {})
    assert.equal("length", r:chat({ model = kimi }).json.choices[1].finish_reason)
    assert.is_true(r:stream({ model = kimi }).stream.done)
    local minding = start_with(start, { p }, { "gonka_answers" })
    assert.equal("length", minding:chat({ model = "other" }).json.choices[1].finish_reason)
    assert.equal(3, #p.requests)
  end))

  it("is the client's to know when a policy insists and nobody says more", router.test(function(start)
    local p = provider.start(silent(9, { reason = "stop" }))
    local r = start_with(start, { p }, { "./insist.lua" }, { ["insist.lua"] = [[
      return {
        attempt = function(_, attempt)
          attempt.headers["x-previous"] = tostring(attempt.previous)
          attempt:expect_content()
        end,
        route = function(req)
          if req.headers["x-own"] then
            local _, why, code, status = req:try(req:pick())
            req:fail(500, code .. " " .. status .. ": " .. why)
          end
        end,
      }
    ]] }, { max_attempts = 2 })
    local answer = r:chat { model = "other" }
    assert.equal(502, answer.status)
    assert.equal("empty_answer", answer.json.error.code)
    assert.matches("spent 9 tokens and said nothing", answer.json.error.message)
    assert.equal(2, #p.requests)
    assert.equal("nil", p.requests[1].headers["x-previous"])
    assert.equal("EEMPTY", p.requests[2].headers["x-previous"])
    assert.equal("EEMPTY 200: provider p1 spent 9 tokens and said nothing",
      r:chat({ model = "other" }, { ["x-own"] = "1" }).json.error.message)
  end))
end)

describe("an answer without a word that cost nothing", function()
  teardown(process.stop_all)

  for name, options in pairs { ["with [DONE]"] = {}, ["without"] = { no_done = true } } do
    it("is the answer, " .. name, router.test(function(start)
      options.reason = "stop"
      local p = provider.start(silent(0, options))
      local r = start_with(start, { p }, { "gonka_answers" })
      local answer = r:stream { model = kimi }
      assert.equal(200, answer.status, answer.body)
      assert.is_true(answer.stream.done)
      assert.is_nil(answer.stream.error)
      assert.equal(1, #p.requests)
      assert.equal("stop", r:chat({ model = kimi }).json.choices[1].finish_reason)
    end))
  end
end)
