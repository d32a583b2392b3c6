--- A simulated Gonka node checks what a real one checks, in its order, with its words.
--
-- A request starts with everything wrong that can be wrong at once. One thing after the other is put right, and each
-- time the answer must be that of the next check: so each stands where it should, and none is passed over.
local peri = require "perilune"
local checks = require "perilune.simnet.gonka_checks"
local go = require "perilune.simnet.gonka_go"
local loop = require "spec.support.loop"
local messages = require "perilune.simnet.gonka_messages"
local network = require "spec.support.network"
local process = require "spec.support.process"
local router = require "spec.support.router"

local SECOND = 1000000000
local PATH = "/v1/chat/completions"

-- The body that has these faults; `wrong` is a set.
local function body_of(wrong)
  local list = '[{"role":"user","content":"hi"}]'
  if wrong.shape then list = '[{"role":"robot","content":"hi"}]' end
  if wrong.messages then list = "[]" end
  local model = wrong.served and '"other"' or '"m"'
  local text = wrong.model and ('{"messages":%s}'):format(list) or ('{"model":%s,"messages":%s}'):format(model, list)
  if wrong.json then text = text:sub(1, -2) end
  if wrong.size then text = text .. (" "):rep(10 * 1024 * 1024) end
  return text
end

local function all(names)
  local wrong = {}
  for _, name in ipairs(names) do wrong[name] = true end
  return wrong
end

-- Ask h1; gives status, text and head.
local function send(net, body, headers, path)
  local answer = assert(router.at(net.ports.h1):ask("POST", path or PATH, body, headers))
  return answer.status, answer.json and answer.json.error, answer
end

describe("a simulated Gonka node", function()
  teardown(process.stop_all)

  it("refuses a client's request at the first of its checks that fails", loop.body(function()
    local net = network.start { hosts = 2 }
    local other = process.directory() .. "/other.key"
    assert(peri.gonka.keygen(other))
    local used = peri.clock.wall_ns()
    local function sign(wrong)
      local body = body_of(wrong)
      local stamp = wrong.future and used + 600 * SECOND or wrong.old and used - 600 * SECOND
        or wrong.replay and used or peri.clock.wall_ns()
      local headers = assert(peri.gonka.sign {
        key = "file:" .. (wrong.account and other or net.wallets[1]), body = wrong.signature and "{}" or body,
        node = net.addresses.h1, timestamp = stamp,
      })
      if wrong.base64 then headers.authorization = "Bearer sk-of-someone" end
      if wrong.authorization then headers.authorization = nil end
      return body, headers
    end
    assert.equal(200, (send(net, sign { replay = true }))) -- the one that is sent again below
    local account = { address = net.accounts[1] }
    local heal = {
      agent = function() net:steer("chain", { allowed = {} }) end,
      params = function() net:steer("chain", { lost = "status" }) end,
      status = function() net:steer("chain", { lost = "none" }) end,
      developer = function() net:steer("chain", { developers = { until_height = 0 }, lost = "group" }) end,
      published = function()
        account.published = true
        net:steer("account", account)
      end,
      group = function() net:steer("chain", { lost = "none" }) end,
      balance = function()
        account.balance = 1000000000
        net:steer("account", account)
      end,
      capacity = function() net:host("h1", { capacity = false }) end,
      executors = function() net:steer("chain", { executors = { "h2" } }) end,
      executor = function() net:steer("chain", { every_executor = true }) end,
      machines = function() net:host("h1", { machine = { status = 400, message = "too long" } }) end,
      vllm_400 = function() net:host("h1", { machine = { status = 422 } }) end,
      vllm_422 = function() net:host("h1", { machine = { status = 503 } }) end,
      vllm_503 = function() net:host("h1", { machine = {} }) end,
    }
    local REFUSED = "Unable to validate request against PubKey:"
    local BROKEN = "Inference node response with an error. code = %d. error = %s."
    local function vllm(status, message, kind)
      return BROKEN:format(status, peri.json.encode { object = "error", message = message, type = kind, code = status })
    end
    local steps = {
      { "size", 413, "request body too large" },
      { "json", 400, "invalid chat completion request: unexpected end of JSON input" },
      { "messages", 400, "messages is required" },
      { "agent", 403, "Transfer Agent not allowed" },
      { "authorization", 401, "Authorization is required" },
      { "model", 400, "No model specified" },
      { "params", 503, "unable to fetch chain params" },
      { "status", 503, "unable to fetch chain status" },
      { "developer", 403, "inference requests are restricted until block height 20000" },
      { "shape", 400, 'messages[0].role has unsupported value "robot"' },
      { "account", 500, "rpc error: code = NotFound desc = account %s not found: key not found" },
      { "published", 500, "runtime error: invalid memory address or nil pointer dereference: panic" },
      { "base64", 401, REFUSED .. "illegal base64 data at input byte 6" },
      { "signature", 401, REFUSED .. "invalid signature" },
      { "group", 503, "unable to fetch current epoch group data" },
      { "served", 404, "model not found" },
      { "balance", 402, "Insufficient balance" },
      { "future", 400, "signature is in the future" },
      { "old", 400, "signature is too old" },
      { "replay", 400, "AuthKey has already been used for a transfer request" },
      { "capacity", 429, "Transfer Agent capacity reached. Try another TA from http://127.0.0.1:" .. net.ports.h1
        .. "/v1/epochs/current/participants" },
      { "executors", 503, "no executors available for model" },
      { "executor", 404, "model not found" },
      { "machines", 503, "no inference nodes available" },
      { "vllm_400", 400, vllm(400, "too long", "BadRequestError") },
      { "vllm_422", 422, vllm(422, "simulated failure", "InternalServerError") },
      { "vllm_503", 500, vllm(503, "simulated failure", "InternalServerError") },
    }
    local names = {}
    for i, step in ipairs(steps) do names[i] = step[1] end
    local wrong = all(names)
    net:host("h2", { models = { "not-m" } })
    net:host("h1", { capacity = 0, machine = { count = 0 } })
    net:steer("account", { address = net.accounts[1], balance = 1, published = false })
    net:steer("chain", {
      allowed = { "h2" }, developers = { until_height = 20000, allowed = { net.accounts[1] .. "x" } }, lost = "params",
      executors = {},
    })
    for _, step in ipairs(steps) do
      local name, status, text = table.unpack(step)
      local got, said, answer = send(net, sign(wrong))
      if name == "account" then text = text:format((assert(peri.gonka.wallet("file:" .. other))).address) end
      assert.same({ name, status, text }, { name, got, said })
      assert.equal("application/json", answer.headers["content-type"])
      local members = 0
      for _ in pairs(answer.json) do members = members + 1 end
      assert.equal(1, members) -- {"error":"…"} and nothing else
      wrong[name] = nil
      if heal[name] then heal[name]() end
    end
    assert.equal(200, (send(net, sign(wrong))))
  end))

  it("lets listed developers in before the height, and everybody at it", loop.body(function()
    local net = network.start { hosts = 1 }
    local function ask()
      return (send(net, body_of {}, assert(peri.gonka.sign {
        key = "file:" .. net.wallets[1], body = body_of {}, node = net.addresses.h1, timestamp = peri.clock.wall_ns(),
      })))
    end
    local height = math.tointeger(net:look().height)
    net:steer("chain", { developers = { until_height = height + 1 } })
    assert.equal(403, ask())
    net:steer("chain", { developers = { until_height = height + 1, allowed = net.accounts } })
    assert.equal(200, ask())
    local params = net.node:ask("GET", "/chain-api/productscience/inference/inference/params").json.params
    assert.same({ until_block_height = tostring(height + 1), allowed_developer_addresses = net.accounts },
      params.developer_access_params)
    net:steer("chain", { developers = { until_height = height } })
    assert.equal(200, ask())
  end))

  it("refuses an agent's request at the first of the executor's checks that fails", loop.body(function()
    local net = network.start { hosts = 2, wallets = 2 } -- the second account is the agent's
    local used = peri.clock.wall_ns()
    local agent, SEED = net.accounts[2], "7"
    local function sign(wrong)
      local body = body_of {}
      local stamp = wrong.old and used - 600 * SECOND or wrong.replay and used or peri.clock.wall_ns()
      local hash = checks.prompt_hash(body, 7)
      if wrong.mismatch then hash = ("0"):rep(64) end
      if wrong.hash then hash = "" end
      local headers = assert(peri.gonka.sign {
        key = "file:" .. net.wallets[1], body = wrong.signature and "{}" or body, node = agent, timestamp = stamp,
      })
      local by_agent = assert(peri.gonka.sign {
        key = "file:" .. net.wallets[2], body = hash, node = agent .. net.addresses[wrong.agent and "h2" or "h1"],
        timestamp = stamp, scheme = "raw_body",
      })
      headers["x-transfer-address"], headers["x-inference-id"] = agent, headers.authorization
      headers["x-ta-signature"] = wrong.base64 and "?" or by_agent.authorization
      headers["x-prompt-hash"], headers["x-seed"] = hash ~= "" and hash or nil, wrong.seed and "seven" or SEED
      return body, headers
    end
    assert.equal(200, (send(net, sign { replay = true })))
    local AGENT = "Unable to validate request against TransferSignature:"
    local steps = {
      { "signature", 401, "Unable to validate request against PubKey:invalid signature" },
      { "base64", 401, AGENT .. "illegal base64 data at input byte 0" },
      { "agent", 401, AGENT .. "invalid signature" },
      { "old", 400, "Request timestamp is too old" },
      { "replay", 400, "AuthKey has already been used for an executor request" },
      { "seed", 400, "Bad Request" },
      { "hash", 400, "Prompt hash is missing" },
      { "mismatch", 400, "Prompt hash mismatch" },
      { "machines", 503, "no inference nodes available" },
    }
    local names = {}
    for i, step in ipairs(steps) do names[i] = step[1] end
    local wrong = all(names)
    net:host("h1", { machine = { count = 0 } })
    for _, step in ipairs(steps) do
      local status, text = send(net, sign(wrong))
      assert.same(step, { step[1], status, text })
      wrong[step[1]] = nil
    end
    net:host("h1", { machine = {} })
    assert.equal(200, (send(net, sign(wrong))))
  end))

  it("takes completions through the same checks, signed over their own body", loop.body(function()
    local net = network.start { hosts = 1 }
    local function ask(body, signed)
      return send(net, body, assert(peri.gonka.sign {
        key = "file:" .. net.wallets[1], body = signed or body, node = net.addresses.h1,
        timestamp = peri.clock.wall_ns(),
      }), "/v1/completions")
    end
    for _, case in ipairs {
      { '"x"', 400, "invalid request format" }, { "{}", 400, "model is required" },
      { '{"model":"m"}', 400, "prompt is required" }, { '{"model":"m","prompt":" "}', 400, "prompt is required" },
      { '{"model":"m","prompt":["a","b"]}', 400, "batch prompts are not supported" },
      { '{"model":"other","prompt":"a"}', 404, "model not found" },
    } do
      assert.same({ case[2], case[3] }, { table.unpack({ ask(case[1]) }, 1, 2) })
    end
    assert.equal(401, (ask('{"model":"m","prompt":"a"}', "{}")))
    local status, _, answer = ask '{"model":"m","prompt":"a"}'
    assert.equal(200, status)
    assert.equal("text_completion", answer.json.object)
  end))

  it("has no other APIs, and says what a node says of them", loop.body(function()
    local net = network.start { hosts = 1 }
    local host = router.at(net.ports.h1)
    for _, case in ipairs {
      { "POST", "/v1/embeddings", 404, "Not Found" }, { "GET", "/v1/nothing", 404, "Not Found" },
      { "GET", "/v1/chat/completions", 405, "Method Not Allowed" },
      { "POST", "/v1/models", 405, "Method Not Allowed" },
    } do
      local answer = host:ask(case[1], case[2], case[1] == "POST" and "{}" or nil)
      assert.same({ case[3], { error = case[4] } }, { answer.status, answer.json })
    end
  end))

  it("answers for the closed API as nodes do since v0.2.14", loop.body(function()
    local net = network.start { hosts = 1 }
    net:steer("chain", { closed = true })
    local host = router.at(net.ports.h1)
    local CLASSIC = "classic inference is deprecated; use devshard"
    for _, case in ipairs {
      { "POST", "/v1/chat/completions", CLASSIC }, { "GET", "/v1/chat/completions", CLASSIC },
      { "POST", "/v1/completions", CLASSIC },
      { "POST", "/v1/devshard/sessions/1", "/v1/devshard is deprecated; use /devshard/{version}" },
    } do
      local answer = host:ask(case[1], case[2], case[1] == "POST" and "{}" or nil)
      assert.same({ 410, { error = "deprecated", message = case[3] } }, { answer.status, answer.json })
      assert.equal("true", answer.headers.deprecation)
      assert.equal('</devshard/{version}>; rel="successor-version"', answer.headers.link)
    end
    assert.equal(200, host:ask("GET", "/v1/models").status)
  end))

  it("names the inference by its signature, and passes it on to a host that has the model", loop.body(function()
    local net = network.start { hosts = 2 }
    net:host("h1", { models = { "not-m" } })
    local headers = assert(peri.gonka.sign {
      key = "file:" .. net.wallets[1], body = body_of {}, node = net.addresses.h1, timestamp = peri.clock.wall_ns(),
    })
    local status, _, answer = send(net, body_of {}, headers)
    assert.equal(200, status)
    assert.equal(headers.authorization, answer.json.id)
    local entries = net:ledger "h1"
    assert.equal("h2", entries[#entries].executor)
  end))
end)

describe("Go's words", function()
  it("say where JSON goes wrong", function()
    for text, fault in pairs {
      [""] = "unexpected end of JSON input", ["nonsense"] = "invalid character 'o' in literal null (expecting 'u')",
      ["{"] = "unexpected end of JSON input", ["x"] = "invalid character 'x' looking for beginning of value",
      ["{a"] = "invalid character 'a' looking for beginning of object key string",
      ['{"a" 1}'] = "invalid character '1' after object key",
      ['{"a":1 "b"}'] = [[invalid character '"' after object key:value pair]],
      ["[1 2]"] = "invalid character '2' after array element",
      ["[1]x"] = "invalid character 'x' after top-level value",
      ['{"a":1,}'] = "invalid character '}' looking for beginning of object key string",
      ["[1,]"] = "invalid character ']' looking for beginning of value",
      ['"\n"'] = [[invalid character '\n' in string literal]],
      ['"\\x"'] = "invalid character 'x' in string escape code",
      ['"\\u12g4"'] = [[invalid character 'g' in \u hexadecimal character escape]],
      ["-x"] = "invalid character 'x' in numeric literal",
      ["1.x"] = "invalid character 'x' after decimal point in numeric literal",
      ["1ex"] = "invalid character 'x' in exponent of numeric literal",
      ["01"] = "invalid character '1' after top-level value",
      ["\0"] = [[invalid character '\x00' looking for beginning of value]],
      ["\xff"] = "invalid character 'ÿ' looking for beginning of value",
      ["'"] = [[invalid character '\'' looking for beginning of value]],
    } do
      assert.equal(fault, go.json_fault(text), text)
    end
    for _, text in ipairs { "{}", ' {"a":[1,-0.5e+3,true,false,null,"\\u00e9\\n"]} ', '"\127"', "0" } do
      assert.is_nil(go.json_fault(text), text)
    end
  end)

  it("say where base64 goes wrong", function()
    for text, at in pairs {
      ["a"] = 0, ["abc"] = 0, ["abcda"] = 4, ["ab c"] = 2, ["Bearer sk"] = 6, ["ECDSA_SIG"] = 5, ["ab=c"] = 2,
      ["===="] = 0, ["abcd="] = 4, ["abc=x"] = 4, ["ab-_"] = 2,
    } do
      assert.equal("illegal base64 data at input byte " .. at, go.base64_fault(text), text)
    end
    for _, text in ipairs { "", "abcd", "abc=", "ab==", "ab\r\ncd", "abc=\n" } do
      assert.is_nil(go.base64_fault(text), text)
    end
  end)

  it("say which member has the wrong type", loop.body(function()
    local net = network.start { hosts = 1 }
    for body, fault in pairs {
      ['"x"'] = "json: cannot unmarshal string into Go value of type public.OpenAiRequest",
      ["[1]"] = "json: cannot unmarshal array into Go value of type public.OpenAiRequest",
      ['{"model":1}'] = "json: cannot unmarshal number into Go struct field OpenAiRequest.model of type string",
      ['{"messages":"hi"}'] =
        "json: cannot unmarshal string into Go struct field OpenAiRequest.messages of type []public.Message",
      ['{"max_tokens":1.5}'] =
        "json: cannot unmarshal number 1.5 into Go struct field OpenAiRequest.max_tokens of type int32",
      ['{"seed":true}'] = "json: cannot unmarshal bool into Go struct field OpenAiRequest.seed of type int32",
    } do
      local status, text = send(net, body, {})
      assert.same({ 400, "invalid chat completion request: " .. fault }, { status, text })
    end
    assert.same({ 400, "messages is required" }, { table.unpack({ send(net, "null", {}) }, 1, 2) })
  end))
end)

describe("a chat's messages", function()
  it("are refused with the place and the reason", function()
    local CALL = '{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f"}}]}'
    for list, fault in pairs {
      ['[1]'] = "messages[0] must be an object", ['[{}]'] = "messages[0].role: is required",
      ['[{"role":1}]'] = "messages[0].role: must be a string",
      ['[{"role":" "}]'] = "messages[0].role: must not be empty",
      ['[{"role":"user"}]'] = "messages[0].content: is required",
      ['[{"role":"user","content":null}]'] = "messages[0].content: is required",
      ['[{"role":"user","content":" "}]'] = "messages[0].content: must not be empty",
      ['[{"role":"user","content":[]}]'] = "messages[0].content: must not be empty",
      ['[{"role":"user","content":7}]'] = "messages[0].content: must be a string or an array of text parts",
      ['[{"role":"user","content":[{"type":"image_url"}]}]'] = 'messages[0].content: [0].type must be "text"',
      ['[{"role":"system","content":"a","name":"b"}]'] = "messages[0]: name is not allowed for this role",
      ['[{"role":"assistant"}]'] =
        "messages[0].content: is required unless tool_calls or function_call is provided",
      ['[{"role":"assistant","tool_calls":[]}]'] = "messages[0].tool_calls must not be empty",
      ['[{"role":"assistant","tool_calls":[{"id":"1","type":"x"}]}]'] =
        'messages[0].tool_calls[0].type must be "function"',
      ['[{"role":"assistant","function_call":null}]'] = "messages[0].function_call must be an object",
      ['[{"role":"tool","tool_call_id":"1","content":"a"}]'] =
        "messages[0].tool_call_id does not match any previous assistant tool_calls",
      ['[{"role":"function","content":"a"}]'] = "messages[0].name: is required",
      ["[" .. CALL .. "," .. CALL:gsub("%[(.*)%]", "[%1,%1]") .. "]"] = "messages[1].tool_calls[1].id is duplicated",
    } do
      assert.equal(fault, messages.fault(peri.json.decode(list)), list)
    end
    assert.is_nil(messages.fault(peri.json.decode("[" .. CALL .. ',{"role":"tool","tool_call_id":"1","content":"a"}]')))
    assert.is_nil(messages.fault(peri.json.decode '[{"role":"user","content":[{"type":"text","text":"a"}]}]'))
  end)
end)
